//! Each wrong input to `thtra helpfulness` gives one clear message and exit code 1 or 2, and no panic.

use thtra::{Part, record_file};

use crate::helpfulness_program::train_words;
use crate::program::{Place, complaint, said};

#[test]
fn words_that_make_no_sense_are_wrong_use() {
    let place = Place::with_data();
    let (data, out) = (place.name("data"), place.name("out"));
    let table: [(&[&str], &str); 12] = [
        (&["--objective", "em"], "rq, qr, combination, soft, majority, single"),
        (&["--kind", "ordinal", "--objective", "rq"], "--objective is about --kind d-pm"),
        (&["--annotator", "2"], "--annotator is about --objective single"),
        (&["--objective", "single", "--annotator", "0"], "0"),
        (&["--fold", "2"], "--fold chooses among --folds"),
        (&["--folds", "3", "--fold", "4"], "--fold 4: there are 3 folds"),
        (&["--folds", "3", "--dev-index", "x"], "cannot be used with"),
        (&["--classes", "2", "--labels", "x"], "cannot be used with"),
        (&["--mask", "upside-down"], "correct, inverted"),
        (&["--with-situation", "maybe"], "true, false"),
        (&["--encoder", "x"], "cannot be used with"),
        (&["--learning-rate", "-1"], "learning rate"),
    ];
    for (further, says) in table {
        let told = complaint(&train_words(&data, &out, further), 2);
        assert!(told.contains(says), "{further:?}: {told}");
        assert!(!place.path("out").exists(), "{further:?}");
    }
    let table: [(&[&str], &str); 5] = [
        (&["helpfulness"], "Usage"),
        (&["helpfulness", "eval", "--model", "x"], "--records"),
        (&["helpfulness", "score", "--model", "x", "--context", "x"], "--response"),
        (&["helpfulness", "score", "--model", "x", "--input", "x"], "--out"),
        (&["helpfulness", "import", "--weights", "x", "--encoder", "x", "--out", "x"], "--mask"),
    ];
    for (words, says) in table {
        let told = complaint(words, 2);
        assert!(told.contains(says), "{words:?}: {told}");
    }
}

#[test]
fn settings_that_do_not_fit_the_records_are_told() {
    let place = Place::with_data();
    let (data, out) = (place.name("data"), place.name("out"));
    let lists = place.write("lists.json", r#"["nobody's"]"#);
    let table = place.write("labels.json", r#"{"classes": ["yes", "no"], "labels": {"Warn": "no"}}"#);
    let no_table = place.write("no-labels.json", r#"{"classes": ["yes"], "labels": {"Warn": "yes"}}"#);
    let cases: [(&[&str], &str); 11] = [
        (&["--hidden", "0"], "need a length and a width of at least 1"),
        (&["--prefix-dropout", "1"], "a prefix dropout of 1: expected a number in [0, 1)"),
        (&["--classes", "5"], "there is no table of 5 classes: expected 2, 3 or 4"),
        (&["--labels", &table], "the label `Simple Reflection` is in no class: expected - or one of Warn"),
        (&["--labels", &no_table], "at least two classes are needed"),
        (&["--folds", "99"], "99 folds of 14 conversations"),
        (&["--dev-index", &lists], "are they named as in the records?"),
        (&["--dev-index", "absent.json"], "absent.json"),
        (&["--objective", "single", "--annotator", "6"], "0 annotated responses of annotator 6"),
        (&["--limit", "3"], "3 annotated responses to learn from do not fill a batch of 4"),
        (&["--data-dir", "nowhere"], "nowhere/helpfulness/esc_data.txt"),
    ];
    for (further, says) in cases {
        let mut words = train_words(&data, &out, &[]);
        if let Some(place) = words.iter().position(|word| *word == further[0]) {
            words.drain(place..place + 2);
        }
        words.extend(further);
        let told = complaint(&words, 1);
        assert!(told.contains(says), "{further:?}: {told}");
        assert!(!place.path("out").exists(), "{says}");
    }
}

#[test]
fn records_that_are_none_are_told_with_their_line() {
    let place = Place::with_data();
    let (data, out) = (place.name("data"), place.name("out"));
    let path = record_file(&place.path("data"), Part::Train);
    let good = std::fs::read_to_string(&path).unwrap();
    for (records, says) in [
        (String::new(), "holds no record"),
        (format!("{good}\n{{"), "line 30: not JSON"),
        (good.replacen("\"context\"", "\"before\"", 1), "line 1: not a record: missing field `context`"),
        (good.replacen("\"Warn\"", "7", 1), "line 1: not a record: invalid type"),
        (good.replacen(", \"conversation\"", ", \"number\"", 1), "record 0 (counted from 0) has no `conversation`"),
        (good.replacen("\"Warn\"", "\"Nice\"", 1), "record 1 (of `"),
    ] {
        std::fs::write(&path, records).unwrap();
        let told = complaint(&train_words(&data, &out, &[]), 1);
        assert!(told.contains(says), "{says}: {told}");
        assert!(!place.path("out").exists(), "{says}");
    }
    std::fs::write(&path, b"{\n\xff").unwrap();
    assert!(complaint(&train_words(&data, &out, &[]), 1).contains("line 2: not UTF-8"));
}

#[test]
fn models_and_exchanges_that_are_none_are_told() {
    let place = Place::with_data();
    let (data, run) = (place.name("data"), place.name("run"));
    said(&train_words(&data, &run, &["--max-steps", "1"]));
    let (input, out) = (place.name("input.jsonl"), place.name("scores.jsonl"));
    let score =
        |model: &str| complaint(&["helpfulness", "score", "--model", model, "--input", &input, "--out", &out], 1);
    for (lines, says) in [
        ("", "holds no exchange"),
        ("\n{\"context\": \"a\", \"response\": \"b\"}\n7", "input.jsonl, line 3: not an exchange"),
        ("{\"context\": \"a\"}", "line 1: not an exchange"),
        ("{\"context\": \"a\", \"responses\": []}", "line 1: an exchange without a response"),
        ("{\"context\": \"a\", \"response\": \"b\", \"seeker\": \"c\"}", "unknown field `seeker`"),
    ] {
        place.write("input.jsonl", lines);
        let told = score(&run);
        assert!(told.contains(says), "{lines}: {told}");
        assert!(!place.path("scores.jsonl").exists());
    }
    place.write("input.jsonl", "{\"context\": \"a\", \"response\": \"b\"}\n");
    assert!(score(&place.name("data")).contains("helpfulness.json"));
    for (file, contents, says) in [
        ("helpfulness.safetensors", "torn", "helpfulness.safetensors"),
        ("helpfulness.json", "{}", "not a helpfulness model's configuration"),
        ("encoder/config.json", "{}", "encoder/config.json"),
    ] {
        let path = format!("run/model/{file}");
        let before = std::fs::read(place.path(&path)).unwrap();
        place.write(&path, contents);
        let told = score(&run);
        assert!(told.contains(says), "{file}: {told}");
        std::fs::write(place.path(&path), before).unwrap();
    }
    let words = ["helpfulness", "eval", "--model", &run, "--records", &input, "--out", &out];
    assert!(complaint(&words, 1).contains("line 1: not a record"));
    let labels = place.write("labels.json", r#"{"classes": ["a", "b", "c"], "labels": {"Warn": "c"}}"#);
    let records = record_file(&place.path("data"), Part::Test);
    let records = records.to_string_lossy();
    let words = ["helpfulness", "eval", "--model", &run, "--records", &records, "--labels", &labels, "--out", &out];
    assert!(complaint(&words, 1).contains("with 3 classes: the model was trained with 2"));
}
