//! Each wrong input gives one clear message and exit code 1 or 2, and no panic.

use crate::program::{Place, dialogue, magic, text};

/// Runs words that must fail with this code, and gives what they say.
fn complaint(words: &[&str], code: i32) -> String {
    let output = magic(words).output().unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}: {told}");
    assert!(!told.contains("panicked"), "{words:?}: {told}");
    told
}

#[test]
fn raw_files_that_are_none_are_refused_with_their_place() {
    let place = Place::with_data();
    let folder = place.folder();
    let out = place.name("out");
    let wrong_label = |label: &str| dialogue(true, 3) + &dialogue(true, 3).replace("\"Reflection of Feelings\"", label);
    let table = [
        (String::new(), "holds no conversation"),
        ("[]".into(), "line 1"),
        (dialogue(true, 3) + "{\"dialog\": 7}\n", "line 2"),
        (dialogue(true, 3).replace("\"usr\"", "\"nurse\""), "nurse"),
        (
            wrong_label("\"Hypnosis\""),
            "dialogue 1, turn 2, sample 1 (all counted from 0): the strategy `Hypnosis` is unknown",
        ),
        (wrong_label("\"[]\""), "the strategy `[]` is unknown"),
        (
            wrong_label("null"),
            "dialogue 1, turn 2, sample 1 (all counted from 0): the supporter's turn has no strategy",
        ),
    ];
    for (raw, says) in table {
        place.write("train.txt", &raw);
        let told = complaint(&["preprocess", "--data-dir", &folder, "--out-dir", &out], 1);
        assert!(told.contains(says) && told.contains("train.txt"), "{says}: {told}");
        assert!(!place.path("out").exists());
    }
    std::fs::write(place.path("train.txt"), b"\xff\xfe").unwrap();
    let told = complaint(&["preprocess", "--data-dir", &folder], 1);
    assert!(told.contains("not UTF-8"), "{told}");
}

#[test]
fn inferences_that_do_not_fit_are_refused() {
    let place = Place::with_data();
    let folder = place.folder();
    let words = ["preprocess", "--data-dir", &folder, "--out-dir", &folder, "--inferred-dir", &folder];
    let told = complaint(&words, 1);
    assert!(told.contains("strategy_with_motivation.json: "), "{told}");
    let entry = r#"{"strategy": "[others]", "motivation": "m"}"#;
    let table = [
        (format!("[{entry}, {entry}, {entry}]"), "holds 3 inferred strategies, but there are 4 samples"),
        (format!("[{entry}, {}]", entry.replace("others", "hope")), "entry 1 (counted from 0)"),
        (format!("[{entry}, {}]", entry.replace("others", "hope")), "`[hope]` is unknown"),
        (r#"[{"strategy": "Others"}]"#.into(), "entry 0 (counted from 0)"),
        ("{}".into(), "not a JSON array"),
        ("[".into(), "not a JSON array"),
    ];
    for (contents, says) in table {
        place.write("strategy_with_motivation.json", &contents);
        let told = complaint(&words, 1);
        assert!(told.contains(says) && told.contains("strategy_with_motivation.json"), "{says}: {told}");
        assert!(!place.path("train.json").exists());
    }
}

#[test]
fn words_that_make_no_sense_are_wrong_use() {
    let table: [(&[&str], &str); 5] = [
        (&[], "Usage"),
        (&["preprocess", "--test-samples", "first"], "expected last or all"),
        (&["preprocess", "--expand-case", "upper"], "expected table or preserve"),
        (&["preprocess", "--gold-strategy"], "--inferred-dir"),
        (&["preprocess", "--data_folder", "x"], "--data-folder"),
    ];
    for (words, says) in table {
        let told = complaint(words, 2);
        assert!(told.contains(says), "{words:?}: {told}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let place = Place::with_data();
    let folder = place.folder();
    let in_the_way = place.write("file", "");
    let told = complaint(&["preprocess", "--data-dir", &folder, "--out-dir", &in_the_way], 1);
    assert!(told.contains("file"), "{told}");
    let told = complaint(&["preprocess", "--data-dir", &place.name("nowhere")], 1);
    assert!(told.contains("nowhere/train.txt"), "{told}");
}

#[test]
fn motivations_and_answers_that_do_not_fit_are_refused() {
    let place = Place::with_data();
    let (folder, motivations) = (place.folder(), place.name("motivations_4_LLaMA.json"));
    let build = ["build-prompts", "--data-dir", &folder, "--out-dir", &folder];
    let told = complaint(&build, 1);
    assert!(told.contains(&motivations), "{told}");
    for (contents, says) in [
        (r#"["a", "b", "c"]"#, "holds 3 motivations, but there are 4 supporter turns to be explained in train.txt"),
        (r#"["a", 7, "c", "d"]"#, "entry 1 (counted from 0) is no motivation"),
        (r#"{"a": 1}"#, "not a JSON array"),
    ] {
        place.write("motivations_4_LLaMA.json", contents);
        let told = complaint(&build, 1);
        assert!(told.contains(says) && told.contains(&motivations), "{says}: {told}");
    }
    place.write("motivations_4_LLaMA.json", r#"["a", "b", "c", "d"]"#);
    let told = complaint(&[&build[..], &["--templates", &folder]].concat(), 1);
    assert!(told.contains("inference_head.txt"), "{told}");
    assert!(!place.path("prompts_4_LLaMA.json").exists());

    let (answers, prompts) = (place.write("answers.json", r#"["a"]"#), place.write("prompts.json", r#"["a", "b"]"#));
    let parse = ["parse-answers", "--answers", &answers, "--out", &place.name("out.json")];
    let told = complaint(&[&parse[..], &["--prompts", &prompts]].concat(), 1);
    assert!(told.contains("holds 1 answers, but") && told.contains("holds 2 prompts"), "{told}");
    place.write("prompts.json", r#"[{"prompt": "a"}]"#);
    let told = complaint(&[&parse[..], &["--prompts", &prompts]].concat(), 1);
    assert!(told.contains("entry 0 (counted from 0) is no prompt"), "{told}");
    let collect = ["collect-motivations", "--train-file-path", &place.name("train.txt"), "--out-dir", &folder];
    let told = complaint(&[&collect[..], &["--backend", "file", "--answers", &answers]].concat(), 1);
    assert!(told.contains("holds 1 answers, but there are 4 supporter turns"), "{told}");
    place.write("answers.json", "[null]");
    assert!(complaint(&parse, 1).contains("entry 0 (counted from 0) is no answer"));
}

#[test]
fn a_collection_that_makes_no_sense_is_wrong_use() {
    let place = Place::with_data();
    let (train, out) = (place.name("train.txt"), place.name("out"));
    let table: [(&[&str], &str); 10] = [
        (&["--backend", "file"], "--answers FILE"),
        (&["--backend", "echo", "--answers", "x"], "--backend file"),
        (&["--model", "gpt-4o"], "openai:NAME@URL"),
        (&["--model", "openai:m@https://user:hunter2@h/v1"], "password"),
        (&["--concurrency", "0"], "concurrent"),
        (&["--temperature", "-1"], "temperature"),
        (&["--max-new-tokens", "0"], "max_new_tokens"),
        (&["--api-key-env", "MAGIC_TEST_NOT_SET"], "MAGIC_TEST_NOT_SET"),
        (&["--min-delay", "soon"], "not a number of seconds"),
        (&["--price-in=-1"], "price"),
    ];
    for (more, says) in table {
        let words = [&["collect-motivations", "--train-file-path", &train, "--out-dir", &out], more].concat();
        let told = complaint(&words, 2);
        assert!(told.contains(says) && !told.contains("hunter2"), "{more:?}: {told}");
        assert!(!place.path("out").exists(), "{more:?}");
    }
}

#[test]
fn a_journal_of_something_else_stays_as_it_is() {
    let place = Place::with_data();
    let (train, folder) = (place.name("train.txt"), place.folder());
    for foreign in ["sk-0123456789abcdef", "{\"id\": 1}\n", "[1]\n"] {
        place.write("motivations.jsonl", foreign);
        let words =
            ["collect-motivations", "--train-file-path", &train, "--out-dir", &folder, "--backend", "echo", "--resume"];
        let told = complaint(&words, 1);
        assert!(told.contains("motivations.jsonl") && !told.contains("sk-0123"), "{told}");
        assert_eq!(std::fs::read_to_string(place.path("motivations.jsonl")).unwrap(), foreign);
    }
}
