//! A number of all records over turns.

use std::path::PathBuf;

use attention_viz::{LineBy, Precision, RunIndex, over_turns};

use crate::sample::{SMALL, info, record};

#[test]
fn lines_are_means_with_bands_by_conversation() {
    let folder = tempfile::tempdir().unwrap();
    let mut number = 0;
    // Turn 3: conversation 1 has the values 1 and 2, conversation 2 has 6. Turn 4: one conversation.
    for (conversation, turn, layout, value) in
        [(1, 3, "b", 1.0), (1, 3, "b", 2.0), (2, 3, "b", 6.0), (1, 4, "b", 5.0), (1, 3, "a", 7.0)]
    {
        number += 1;
        let mut sample = record(number, SMALL, info(number, conversation, turn, layout, "x"));
        sample.info.values = [("sra".to_owned(), value)].into();
        sample.write(&folder.path().join(format!("{number}.attn")), Precision::F16).unwrap();
    }
    let index = RunIndex::open(&[folder.path().to_owned()]).unwrap();
    let lines = over_turns(index.listing(), "sra", LineBy::Layout).unwrap();
    assert_eq!(lines.iter().map(|line| line.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let [third, fourth] = lines[1].points[..] else { panic!("two turns: {lines:?}") };
    assert_eq!((third.turn, third.mean, third.records), (3, 3.0, 3));
    // Of two conversations one is drawn twice in about half of the draws: the ends are the conversations' own means.
    assert_eq!(third.interval, Some((1.5, 6.0)));
    assert_eq!((fourth.turn, fourth.mean, fourth.interval), (4, 5.0, None), "one conversation alone gives no interval");
    assert_eq!(over_turns(index.listing(), "sra", LineBy::Run).unwrap().len(), 1);
    let again = over_turns(index.listing(), "sra", LineBy::Layout).unwrap();
    assert_eq!(again, lines, "equal seeds give equal bands");
    let error = over_turns(index.listing(), "nothing", LineBy::Layout).unwrap_err().to_string();
    assert!(error.contains("they hold: sra"), "{error}");
}

#[test]
fn models_and_runs_of_one_name_are_never_pooled() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["one/run", "two/run", "three/run"].map(|name| folder.path().join(name));
    for (number, (run, model)) in (1..).zip(runs.iter().zip(["large", "small", "small"])) {
        std::fs::create_dir_all(run).unwrap();
        let mut sample = record(number, SMALL, info(number, 1, 3, "c1_hf", "x"));
        sample.info.model = model.into();
        sample.info.values = [("sra".to_owned(), number as f64)].into();
        sample.write(&run.join("record.attn"), Precision::F16).unwrap();
    }
    let lines = |runs: &[PathBuf], by: LineBy| -> Vec<(String, f64)> {
        let index = RunIndex::open(runs).unwrap();
        let lines = over_turns(index.listing(), "sra", by).unwrap();
        lines.into_iter().map(|line| (line.name, line.points[0].mean)).collect()
    };
    let named = |expected: &[(&str, f64)]| -> Vec<(String, f64)> {
        expected.iter().map(|(name, mean)| ((*name).to_owned(), *mean)).collect()
    };
    assert_eq!(lines(&runs, LineBy::Layout), named(&[("large · c1_hf", 1.0), ("small · c1_hf", 2.5)]));
    assert_eq!(lines(&runs, LineBy::Model), named(&[("large", 1.0), ("small", 2.5)]));
    assert_eq!(
        lines(&runs, LineBy::Run),
        named(&[("large · run", 1.0), ("small · run-2", 2.0), ("small · run-3", 3.0)])
    );
    // One model needs no name in every line.
    assert_eq!(lines(&runs[1..], LineBy::Layout), named(&[("c1_hf", 2.5)]));
    assert_eq!(lines(&runs[1..], LineBy::Run), named(&[("run", 2.0), ("run-2", 3.0)]));
}
