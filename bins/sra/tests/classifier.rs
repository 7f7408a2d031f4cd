//! `sra classifier` as a user meets it: train, evaluate, predict; interruption and bad input.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Place, good, json, lines, root, sra, text};

fn train<'a>(data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["classifier", "train", "--quiet", "--format", "json", "--size", "tiny"];
    words.extend(["--data", data, "--out", out]);
    words.extend(more);
    words
}

/// The captured run of the demonstration model that is part of the repository.
fn shipped_run() -> String {
    root().join("fixtures/runs/attention").to_string_lossy().into_owned()
}

/// A classifier of nothing but built-in training dialogues tells the strategies of held-out ones, and those of generated
/// responses.
#[test]
fn a_tiny_classifier_learns_the_demonstration_language() {
    let place = Place::new();
    let out = place.name("run");
    let words = train("demo-train:400", &out, &["--dev", "demo:40", "--epochs", "4"]);
    let trained = json(&words);
    println!("{trained}");
    assert_eq!(trained["labels"], 15);
    assert!(trained["dev"]["metrics"]["accuracy"].as_f64().unwrap() >= 0.95, "{trained}");

    let scores = json(&["classifier", "eval", "--format", "json", "--model", &out, "--data", "demo:100"]);
    assert!(scores["accuracy"].as_f64().unwrap() >= 0.95, "{scores}");
    assert!(scores["macro_f1"].as_f64().unwrap() >= 0.95, "{scores}");
    let interval = &scores["intervals"]["accuracy"];
    assert!(
        interval["low"].as_f64() <= scores["accuracy"].as_f64()
            && scores["accuracy"].as_f64() <= interval["high"].as_f64()
    );
    assert_eq!(scores["classes"].as_array().unwrap().len(), 15);
    let told: u64 = scores["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(told, scores["items"].as_u64().unwrap());

    let (rows, table) = (place.name("rows.jsonl"), place.name("rows.tsv"));
    let run = shipped_run();
    let predict = ["classifier", "predict", "--quiet", "--format", "json", "--model", &out, "--input", &run, "--out"];
    let found = json(&[&predict[..], &[&rows]].concat());
    let share = found["adherence"]["c1_hf"]["found"]["mean"].as_f64().unwrap();
    assert!(share >= 0.9, "{found}");
    let rows = lines(Path::new(&rows));
    assert_eq!(rows.len() as u64, found["responses"].as_u64().unwrap());
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row["index"], number);
        let sum: f64 = row["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
    good(&[&predict[..], &[&table]].concat());
    let table = std::fs::read_to_string(&table).unwrap();
    let first: Vec<&str> = table.lines().nth(1).unwrap().split('\t').collect();
    assert!(table.starts_with("index\tprediction\t"));
    assert_eq!((first[0], first[1], first.len()), ("0", rows[0]["prediction"].as_str().unwrap(), 17));

    // A run of the classifier is a base for more training, and what is torn is made again.
    let more =
        ["classifier", "train", "--quiet", "--base", &out, "--data", "demo-train:20", "--max-steps", "2", "--out"];
    good(&[&more[..], &[&place.name("more")]].concat());
    let whole = std::fs::read(place.path("rows.jsonl")).unwrap();
    std::fs::write(place.path("rows.jsonl"), &whole[..whole.len() / 2]).unwrap();
    good(&[&predict[..], &[&place.name("rows.jsonl"), "--resume"]].concat());
    assert!(std::fs::read(place.path("rows.jsonl")).unwrap() == whole);
    let other =
        ["classifier", "predict", "--quiet", "--model", &place.name("more"), "--input", &run, "--resume", "--out"];
    let output = sra(&[&other[..], &[&place.name("rows.jsonl")]].concat()).output().unwrap();
    assert!(text(&output.stderr).contains("holds rows made by"), "{}", text(&output.stderr));
}

/// The first hundred or so responses of the built-in dialogues as the published data have them.
fn sentences(place: &Place) -> String {
    let words =
        ["continue", "--quiet", "--model", "demo", "--data", "demo-train:4", "--turns", "1..2", "--temperature", "0"];
    let out = place.name("lessons");
    good(&[&words[..], &["--max-new-tokens", "24", "--out", &out]].concat());
    let rows: Vec<String> = lines(&place.path("lessons/continuations.jsonl"))
        .iter()
        .map(|row| serde_json::json!({"sentence": row["text"], "strategy": row["strategy"]}).to_string())
        .collect();
    place.write("sentences.jsonl", &rows.join("\n"))
}

/// Kill -9 while training; resumed, the classifier has the bytes of one that was trained in one go.
#[test]
fn a_killed_run_resumes_to_the_same_classifier() {
    let place = Place::new();
    let data = sentences(&place);
    let words = |out: &str| -> Vec<String> {
        let more = ["--max-steps", "60", "--micro-batch", "8", "--save-every", "7", "--evaluate-every", "10"];
        let more = [&more[..], &["--hold-out", "0.2", "--best-by", "loss", "--resume"]].concat();
        train(&data, out, &more).into_iter().map(str::to_owned).collect()
    };
    let (whole, parts) = (place.name("whole"), place.name("parts"));
    let run = |words: &[String]| good(&words.iter().map(String::as_str).collect::<Vec<_>>());
    run(&words(&whole));
    let mut killed_midway = 0;
    for milliseconds in [100, 200, 300, 500, 700] {
        let words = words(&parts);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut child = sra(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        killed_midway += usize::from(place.path("parts/checkpoints").exists() && !place.path("parts/model").exists());
    }
    println!("{killed_midway} of 5 kills hit a run between its first and its last step");
    run(&words(&parts));
    for file in ["model.safetensors", "config.json", "tokenizer.json"] {
        let read = |run: &str| std::fs::read(place.path(run).join("model").join(file)).unwrap();
        assert!(read("whole") == read("parts"), "{file} differs");
    }
    let steps: Vec<u64> = lines(&place.path("parts/events.jsonl"))
        .iter()
        .filter(|event| event["data"]["loss"].is_number())
        .map(|event| event["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (1..=12).map(|step| step * 5).collect::<Vec<_>>(), "every recorded step once");

    // Other settings do not resume, and a run is not overwritten.
    let mut other = words(&parts);
    other.extend(["--weight-decay".to_owned(), "0.1".to_owned()]);
    let fail = |words: &[String]| {
        let output = sra(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let (code, message) = fail(&other);
    assert!(code == Some(2) && message.contains("settings"), "{message}");
    let mut again = words(&parts);
    again.retain(|word| word != "--resume");
    let (code, message) = fail(&again);
    assert!(code == Some(1) && message.contains("--resume"), "{message}");
}

/// Labels are those of the training data, sorted; held-out responses with another one are counted.
#[test]
fn unknown_labels_are_left_out_and_counted() {
    let place = Place::new();
    let rows = |rows: &[(&str, &str)]| -> String {
        rows.iter().map(|(text, label)| serde_json::json!({"text": text, "label": label}).to_string() + "\n").collect()
    };
    let data = place.write("train.jsonl", &rows(&[("it will pass", "hope"), ("you are sad", "echo"), ("", "hope")]));
    let dev = place.write("dev.jsonl", &rows(&[("it will pass", "hope"), ("why?", "question"), ("you", "echo")]));
    let out = place.name("run");
    let trained = json(&train(&data, &out, &["--dev", &dev, "--max-steps", "3"]));
    assert_eq!(trained["left_out"], serde_json::json!({"empty": 1, "unlabelled": 0, "unknown": 0}));
    assert_eq!(trained["dev_left_out"], serde_json::json!({"empty": 0, "unlabelled": 0, "unknown": 1}));
    assert_eq!(trained["dev"]["responses"], 2);
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(place.path("run/model/config.json")).unwrap()).unwrap();
    assert_eq!(config["id2label"], serde_json::json!({"0": "echo", "1": "hope"}));
    let scores = json(&["classifier", "eval", "--format", "json", "--model", &out, "--data", &dev]);
    assert_eq!((&scores["items"], &scores["left_out"]["unknown"]), (&2.into(), &1.into()));
    let dry = json(&train(&data, &place.name("dry"), &["--dry-run"]));
    assert_eq!((&dry["examples"], &dry["left_out"]["empty"]), (&2.into(), &1.into()));
    assert!(!place.path("dry").exists());
}

#[test]
fn options_of_a_configuration_file_reach_the_inner_command() {
    let place = Place::new();
    let config = place.write(
        "sra.toml",
        "[classifier]\nmax-length = 77\n[classifier.train]\nsize = \"tiny\"\nmax_steps = 9\n[train]\nrank = 3\n",
    );
    let out = place.name("run");
    let words = ["classifier", "train", "--config", &config, "--data", "demo-train:3", "--out", &out, "--dry-run"];
    let dry = json(&[&words[..], &["--format", "json"]].concat());
    assert_eq!((&dry["steps"], &dry["settings"]["max_length"]), (&9.into(), &77.into()));
}

fn train_sized(data: &str, out: &str, size: &str) -> Vec<String> {
    let words = ["classifier", "train", "--data", data, "--out", out, "--size"];
    words.into_iter().chain(size.split(' ')).map(str::to_owned).collect()
}

#[test]
fn bad_input_gets_a_clear_answer() {
    let place = Place::new();
    let good_row = "{\"sentence\": \"a b\", \"strategy\": \"x\"}\n{\"sentence\": \"c\", \"strategy\": \"y\"}\n";
    let data = place.write("good.jsonl", good_row);
    let no_text = place.write("no-text.jsonl", &format!("{good_row}{{\"strategy\": \"x\"}}\n"));
    let not_json = place.write("not.jsonl", "{\"sentence\": }\n");
    let odd_label = place.write("odd.jsonl", "{\"sentence\": \"a\", \"label\": {\"x\": 1}}\n");
    let one_class =
        place.write("one.jsonl", "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"x\"}\n");
    let no_label = place.write("none.jsonl", "{\"text\": \"a\"}\n");
    let all_empty = place.write("blank.jsonl", "{\"text\": \" \", \"label\": \"x\"}\n");
    let other = place.write("other.jsonl", "{\"text\": \"a\", \"label\": \"z\"}\n");
    let empty = place.write("empty.jsonl", "");
    let (out, folder) = (place.name("out"), place.name("folder"));
    std::fs::create_dir(&folder).unwrap();
    let llama = root().join("fixtures/models/tiny-llama").to_string_lossy().into_owned();
    let golden = root().join("fixtures/goldens/classifier/roberta/model").to_string_lossy().into_owned();
    let model = place.name("model");
    good(&train(&data, &model, &["--max-steps", "1"]));

    let with =
        |data: &str, more: &[&str]| -> Vec<String> { train(data, &out, more).into_iter().map(str::to_owned).collect() };
    let based = |base: &str, more: &[&str]| -> Vec<String> {
        let words = ["classifier", "train", "--base", base, "--data", &data, "--out", &out, "--max-steps", "1"];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let eval = |model: &str, data: &str| -> Vec<String> {
        ["classifier", "eval", "--model", model, "--data", data].map(str::to_owned).to_vec()
    };
    let predict = |input: &str, out: &str, more: &[&str]| -> Vec<String> {
        let words = ["classifier", "predict", "--model", &model, "--input", input, "--out", out];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let cases: Vec<(Vec<String>, i32, &str)> = vec![
        (with("/no/such.jsonl", &[]), 1, "/no/such.jsonl"),
        (with(&not_json, &[]), 1, "not.jsonl, line 1: not JSON"),
        (with(&no_text, &[]), 1, "no-text.jsonl, line 3"),
        (with(&odd_label, &[]), 1, "odd.jsonl, line 1: the label"),
        (with(&one_class, &[]), 1, "`x` only; at least two"),
        (with(&no_label, &[]), 1, "none; at least two"),
        (with(&all_empty, &[]), 1, "1 without a text"),
        (with(&empty, &[]), 1, "empty.jsonl: no response"),
        (with(&folder, &[]), 1, "continuations.jsonl"),
        (with("demo:0", &[]), 2, "dialogues"),
        (with(&data, &["--dev", &other]), 1, "no held-out response can be used"),
        (with(&data, &["--hold-out", "1.5"]), 2, "--hold-out"),
        (with(&data, &["--dev", &data, "--hold-out", "0.5"]), 2, "--hold-out"),
        (with(&data, &["--learning-rate", "-1"]), 2, "learning rate"),
        (with(&data, &["--micro-batch", "0"]), 2, "at least 1"),
        (with(&data, &["--max-length", "2"]), 2, "at least 3"),
        (train_sized(&data, &out, "huge"), 2, "tiny"),
        (train_sized(&data, &out, "tiny --new-head"), 2, "--base"),
        (with(&data, &["--base", &model]), 2, "--base"),
        (based("./no-model", &[]), 2, "no-model"),
        (based(&folder, &[]), 1, "no tokenizer.json"),
        (based(&llama, &[]), 1, "`llama` is not supported"),
        (based(&golden, &[]), 1, "no tokenizer.json"),
        (based(&model, &["--data", &one_class, &other]), 1, "new head"),
        (eval(&folder, &data), 1, "config.json"),
        (eval(&model, &other), 1, "the classifier knows x, y, the data have z"),
        (eval(&model, &no_label), 1, "the data have none"),
        (predict(&data, &place.name("nowhere/rows.jsonl"), &[]), 1, "nowhere"),
        (predict(&data, &place.name("rows.tsv"), &["--resume"]), 2, ".jsonl"),
        (predict(&data, &data, &[]), 1, "exists already"),
        (predict(&data, &data, &["--resume"]), 1, "not a row of"),
        (predict("/no/such", &out, &[]), 1, "/no/such"),
        (vec!["classifier".into()], 2, "train"),
    ];
    for (words, code, hint) in cases {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = sra(&words).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}\n{message}");
        assert!(message.contains(hint), "{words:?}: `{hint}` is not in\n{message}");
        assert!(!message.contains("panicked"), "{words:?}\n{message}");
    }
}
