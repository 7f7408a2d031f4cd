//! What the memory keeps, hides, replaces and gives back.

use candle_core::{DType, Device, Tensor, Var};
use memory_bank::{BankOptions, BankRow, Eviction, Place, StrategyBank};

fn row(text: &str, dialogue: &str, turn: usize) -> BankRow {
    let place = Place { dialogue: dialogue.into(), turn };
    BankRow { text: text.into(), place, written_at: 0, feedback: None }
}

/// Vectors of width 2: `[number, 2 · number]`.
fn vectors(numbers: &[f32]) -> Tensor {
    let values: Vec<f32> = numbers.iter().flat_map(|number| [*number, 2.0 * number]).collect();
    Tensor::from_vec(values, (numbers.len(), 2), &Device::Cpu).unwrap()
}

fn bank(options: BankOptions) -> StrategyBank {
    StrategyBank::new(3, 2, options, &Device::Cpu).unwrap()
}

fn firsts(bank: &StrategyBank, strategy: usize) -> Vec<f32> {
    let Some(vectors) = bank.vectors(strategy) else { return Vec::new() };
    vectors.to_vec2::<f32>().unwrap().iter().map(|row| row[0]).collect()
}

fn texts(bank: &StrategyBank, strategy: usize) -> Vec<&str> {
    bank.rows(strategy).iter().map(|row| row.text.as_str()).collect()
}

/// Writes responses to strategy 1, a number each.
fn write(bank: &mut StrategyBank, responses: &[(&str, f32)]) {
    let rows = responses.iter().map(|(text, _)| (1, row(text, "d", 1))).collect();
    let numbers: Vec<f32> = responses.iter().map(|(_, number)| *number).collect();
    bank.write(rows, &vectors(&numbers)).unwrap();
}

#[test]
fn a_full_list_keeps_the_newest() {
    let mut bank = bank(BankOptions { capacity: 3, ..BankOptions::default() });
    write(&mut bank, &[("a", 1.0), ("b", 2.0)]);
    write(&mut bank, &[("c", 3.0), ("d", 4.0)]);
    assert_eq!((texts(&bank, 1), firsts(&bank, 1)), (vec!["b", "c", "d"], vec![2.0, 3.0, 4.0]));
    assert_eq!(bank.sizes(), [0, 3, 0]);
    write(&mut bank, &[("e", 5.0), ("f", 6.0), ("g", 7.0), ("h", 8.0)]);
    assert_eq!(texts(&bank, 1), ["f", "g", "h"], "more at once than there is room");
}

#[test]
fn a_response_stands_once_with_its_newest_vector() {
    let mut deduplicating = bank(BankOptions::default());
    write(&mut deduplicating, &[("a", 1.0), ("b", 2.0)]);
    write(&mut deduplicating, &[("a", 3.0)]);
    assert_eq!((texts(&deduplicating, 1), firsts(&deduplicating, 1)), (vec!["b", "a"], vec![2.0, 3.0]));
    let mut plain = bank(BankOptions { deduplicate: false, ..BankOptions::default() });
    write(&mut plain, &[("a", 1.0), ("b", 2.0)]);
    write(&mut plain, &[("a", 3.0)]);
    assert_eq!(texts(&plain, 1), ["a", "b", "a"]);
}

#[test]
fn what_helped_least_makes_room() {
    let mut bank = bank(BankOptions { capacity: 2, eviction: Eviction::LeastHelpful, ..BankOptions::default() });
    let with = |text: &str, feedback: Option<f32>| (0, BankRow { feedback, ..row(text, "d", 1) });
    let rows = vec![with("poor", Some(1.0)), with("unknown", None), with("good", Some(5.0))];
    bank.write(rows, &vectors(&[1.0, 2.0, 3.0])).unwrap();
    assert_eq!(texts(&bank, 0), ["unknown", "good"]);
    bank.write(vec![with("fair", Some(3.0))], &vectors(&[4.0])).unwrap();
    assert_eq!((texts(&bank, 0), firsts(&bank, 0)), (vec!["good", "fair"], vec![3.0, 4.0]), "the older of equals goes");
}

#[test]
fn nobody_sees_the_future_of_the_own_dialogue() {
    let mut hiding = bank(BankOptions::default());
    let rows = vec![(2, row("before", "d", 3)), (2, row("gold", "d", 5)), (2, row("other", "e", 9))];
    hiding.write(rows.clone(), &vectors(&[1.0, 2.0, 3.0])).unwrap();
    let reader = Place { dialogue: "d".into(), turn: 5 };
    let read = hiding.read(2, Some(&reader)).unwrap().unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(read, [[1.0, 2.0], [3.0, 6.0]]);
    assert_eq!(hiding.seen(2, Some(&reader)).unwrap(), [0, 2]);
    assert_eq!(hiding.read(2, None).unwrap().unwrap().dims(), [3, 2]);
    let mut showing = bank(BankOptions { exclude_self: false, ..BankOptions::default() });
    showing.write(rows, &vectors(&[1.0, 2.0, 3.0])).unwrap();
    assert_eq!(showing.read(2, Some(&reader)).unwrap().unwrap().dims(), [3, 2]);
}

/// New rows train what made them, until the next writing.
#[test]
fn only_new_rows_have_a_history() {
    let mut bank = bank(BankOptions::default());
    let first = Var::from_tensor(&vectors(&[1.0])).unwrap();
    bank.write(vec![(1, row("a", "d", 1))], first.as_tensor()).unwrap();
    let gradient = |bank: &StrategyBank, of: &Var| {
        bank.read(1, None).unwrap().unwrap().sum_all().unwrap().backward().unwrap().get(of).is_some()
    };
    assert!(gradient(&bank, &first));
    let second = Var::from_tensor(&vectors(&[2.0])).unwrap();
    bank.write(vec![(1, row("b", "d", 2))], second.as_tensor()).unwrap();
    assert!(!gradient(&bank, &first) && gradient(&bank, &second));
    bank.detach();
    assert!(!gradient(&bank, &second));
}

#[test]
fn refreshed_rows_have_the_vectors_of_their_texts() {
    let mut bank = bank(BankOptions::default());
    write(&mut bank, &[("a", 1.0), ("bb", 2.0)]);
    bank.refresh(|texts| Ok(vectors(&texts.iter().map(|text| text.len() as f32 * 10.0).collect::<Vec<_>>()))).unwrap();
    assert_eq!((texts(&bank, 1), firsts(&bank, 1)), (vec!["a", "bb"], vec![10.0, 20.0]));
    let told = bank.refresh(|_| Ok(vectors(&[1.0]))).unwrap_err().to_string();
    assert!(told.contains("for 2 rows"), "{told}");
    assert_eq!(firsts(&bank, 1), [10.0, 20.0], "nothing was changed");
}

#[test]
fn a_saved_memory_comes_back_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mut bank = bank(BankOptions { capacity: 7, eviction: Eviction::LeastHelpful, ..BankOptions::default() });
    write(&mut bank, &[("a \"quoted\" line\n", 0.1), ("é", f32::MIN_POSITIVE)]);
    bank.write(vec![(2, BankRow { feedback: Some(4.5), ..row("x", "e", 3) })], &vectors(&[-3.3])).unwrap();
    bank.save(folder.path()).unwrap();
    let read = StrategyBank::load(folder.path(), &Device::Cpu).unwrap();
    assert_eq!((read.sizes(), read.options(), read.width()), (vec![0, 2, 1], bank.options(), 2));
    for strategy in 0..3 {
        assert_eq!((read.rows(strategy), firsts(&read, strategy)), (bank.rows(strategy), firsts(&bank, strategy)));
    }
}

#[test]
fn files_that_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let told = || StrategyBank::load(folder.path(), &Device::Cpu).unwrap_err().to_string();
    assert!(told().contains("memory_bank.json"));
    let mut bank = bank(BankOptions::default());
    write(&mut bank, &[("a", 1.0)]);
    bank.save(folder.path()).unwrap();
    let account = folder.path().join("memory_bank.json");
    let text = std::fs::read_to_string(&account).unwrap();
    std::fs::write(&account, text.replace("\"width\": 2", "\"width\": 3")).unwrap();
    assert!(told().contains("bank.1 has the shape [1, 2]"), "{}", told());
    std::fs::write(&account, "[]").unwrap();
    assert!(told().contains("not the account of a strategy memory"), "{}", told());
    std::fs::write(&account, text).unwrap();
    std::fs::write(folder.path().join("memory_bank.safetensors"), "x").unwrap();
    assert!(told().contains("memory_bank.safetensors"), "{}", told());
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    assert!(StrategyBank::new(0, 2, BankOptions::default(), &Device::Cpu).is_err());
    assert!(StrategyBank::new(3, 2, BankOptions { capacity: 0, ..BankOptions::default() }, &Device::Cpu).is_err());
    let mut bank = bank(BankOptions::default());
    write(&mut bank, &[("a", 1.0)]);
    for (rows, vectors) in [
        (vec![(3, row("b", "d", 1))], vectors(&[1.0])),
        (vec![(0, row("b", "d", 1))], vectors(&[1.0, 2.0])),
        (vec![(0, row("b", "d", 1))], Tensor::zeros((1, 5), DType::F32, &Device::Cpu).unwrap()),
    ] {
        assert!(bank.write(rows, &vectors).is_err());
    }
    assert_eq!(bank.sizes(), [0, 1, 0]);
    assert!(bank.read(3, None).is_err() && bank.rows(3).is_empty() && bank.vectors(3).is_none());
}
