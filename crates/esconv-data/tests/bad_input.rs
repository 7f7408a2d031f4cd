//! Malformed files: each gives an error that names the file, the place and what is wrong.

use std::path::Path;

use esconv_data::{Split, StrategySet, read_corpus, read_examples, read_multiesc, read_multiesc_as_written};

/// The error's text of a reader that is given `bytes` as a file of that name.
fn failure<T>(file: &str, bytes: &[u8], read: impl Fn(&Path) -> Result<T, esconv_data::Error>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    std::fs::write(&path, bytes).unwrap();
    match read(&path) {
        Ok(_) => panic!("{} was accepted", String::from_utf8_lossy(bytes)),
        Err(error) => error.to_string(),
    }
}

fn esconv(utterance: &str) -> String {
    format!(
        r#"[{{"emotion_type":"fear","problem_type":"p","situation":"s","dialog":[{{"speaker":"seeker","content":"a"}},{utterance}]}}]"#
    )
}

#[test]
fn malformed_corpora_are_refused_with_their_place() {
    let supporter =
        |annotation: &str| esconv(&format!(r#"{{"speaker":"supporter","content":"b","annotation":{annotation}}}"#));
    let line =
        |dialog: &str| format!(r#"{{"emotion_type":"e","problem_type":"p","situation":"s","dialog":[{dialog}]}}"#);
    let table: Vec<(String, &[&str])> = vec![
        (String::new(), &["expected conversations"]),
        ("[]".into(), &["expected conversations"]),
        ("hello".into(), &["no known form"]),
        (r#"{"text":"x"}"#.into(), &["no known form", "dialog"]),
        ("[\n{]".into(), &["line 2", "not a JSON array"]),
        (r#"[{"situation":"s"}]"#.into(), &["conversation 0", "dialog"]),
        (
            r#"[{"situation":"s","dialog":7,"emotion_type":"e","problem_type":"p"}]"#.into(),
            &["conversation 0", "dialog"],
        ),
        (
            r#"[{"dialog":[],"emotion_type":"e","problem_type":"p"}]"#.into(),
            &["conversation 0", "situation", "missing"],
        ),
        (
            r#"[{"dialog":[],"emotion_type":3,"problem_type":"p","situation":"s"}]"#.into(),
            &["emotion_type", "expected a text"],
        ),
        (esconv(r#"{"speaker":"nurse","content":"b"}"#), &["conversation 0", "dialog[1].speaker", "nurse"]),
        (esconv(r#"{"speaker":"supporter"}"#), &["dialog[1].content"]),
        (
            supporter(r#"{"strategy":"Hypnosis"}"#),
            &["conversation 0", "dialog[1].annotation.strategy", "Hypnosis", "Question"],
        ),
        (supporter(r#"{"strategy":5}"#), &["dialog[1].annotation.strategy", "5"]),
        (supporter(r#""Question""#), &["dialog[1].annotation"]),
        (supporter(r#"{"feedback":"9"}"#), &["dialog[1].annotation.feedback", "9"]),
        (
            r#"[{"dialog":[],"emotion_type":"e","problem_type":"p","situation":"s","survey_score":5}]"#.into(),
            &["survey_score"],
        ),
        (line(r#"{"text":"a","speaker":"bot"}"#), &["line 1", "bot"]),
        (line(r#"{"speaker":"usr"}"#), &["line 1", "text"]),
        (line(r#"{"text":"a","speaker":"sys","strategy":"Hypnosis"}"#), &["line 1, dialog[0]", "Hypnosis", "Question"]),
        (line(r#"{"text":"a","speaker":"usr","feedback":"good"}"#), &["line 1, dialog[0]", "feedback"]),
        (format!("{}\nnot json", line(r#"{"text":"a","speaker":"usr"}"#)), &["line 2"]),
    ];
    for (text, expected) in table {
        let message = failure("corpus.json", text.as_bytes(), read_corpus);
        for part in expected.iter().chain(&["corpus.json"]) {
            assert!(message.contains(part), "`{part}` is not in: {message}\nfor: {text}");
        }
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_line() {
    let message = failure("corpus.json", b"[\n{\"situation\": \"\xff\"}]", read_corpus);
    assert!(message.contains("line 2") && message.contains("UTF-8"), "{message}");
    let message = failure("rows.jsonl", b"\n\n\xff\n", read_examples);
    assert!(message.contains("line 3") && message.contains("UTF-8"), "{message}");
}

#[test]
fn an_absent_file_is_named() {
    let message = read_corpus(Path::new("nowhere/ESConv.json")).unwrap_err().to_string();
    assert!(message.contains("nowhere/ESConv.json"), "{message}");
}

#[test]
fn malformed_rows_are_refused_with_their_line() {
    let row = |history: &str, speakers: &str, strategies: &str, turn: &str| {
        format!(
            r#"{{"emotion_type":"e","problem_type":"p","situation":"s","dialog_history":{history},"prev_speakers":{speakers},"prev_strategies":{strategies},"strategy":[""],"response":"r","turn":{turn}}}"#
        )
    };
    let table: Vec<(String, &[&str])> = vec![
        ("[1]".into(), &["not an example"]),
        ("{".into(), &["not an example"]),
        (row(r#"["a"]"#, "[]", r#"[[""]]"#, "1"), &["dialog_history", "prev_speakers"]),
        (row(r#"["a"]"#, r#"["seeker"]"#, "[]", "1"), &["dialog_history", "prev_strategies"]),
        (row(r#"["a"]"#, r#"["listener"]"#, r#"[[""]]"#, "1"), &["listener"]),
        (row(r#"["a"]"#, r#"["seeker"]"#, r#"[[""]]"#, "-1"), &["not an example"]),
        (row("[]", "[]", "[]", "1"), &["dialog_history"]),
        (row(r#"["a"]"#, r#"["supporter"]"#, r#"[[""]]"#, "1"), &["prev_speakers", "seeker"]),
    ];
    for (text, expected) in table {
        let message = failure("rows.jsonl", format!("\n{text}\n").as_bytes(), read_examples);
        for part in expected.iter().chain(&["rows.jsonl", "line 2"]) {
            assert!(message.contains(part), "`{part}` is not in: {message}\nfor: {text}");
        }
    }
}

#[test]
fn malformed_splits_are_refused() {
    let table = [
        ("{}", "train"),
        (r#"{"train":[0],"valid":[0],"test":[]}"#, "twice"),
        (r#"{"train":[9],"valid":[],"test":[]}"#, "conversation 9"),
        (r#"{"train":[-1],"valid":[],"test":[]}"#, "line 1"),
        (r#"{"train":[],"valid":[],"test":[],"dev":[]}"#, "dev"),
    ];
    for (text, expected) in table {
        let message = failure("splits.json", text.as_bytes(), |path| Split::read(path, 3));
        assert!(message.contains(expected) && message.contains("splits.json"), "{message}");
    }
}

#[test]
fn malformed_strategy_sets_are_refused() {
    let one = |name: &str, examples: &str| {
        format!("[[strategy]]\nname = \"{name}\"\ndescription = \"d\"\nexamples = {examples}\n")
    };
    let set = |strategies: &str| format!("name = \"mine\"\n{strategies}");
    let table = [
        ("not toml".to_owned(), "not a strategy set"),
        ("name = \"mine\"\nstrategy = []".to_owned(), "at least one"),
        (set(&one("", "[\"x\"]")), "strategy 1"),
        (set(&one("A", "[]")), "at least one example"),
        (set(&(one("A", "[\"x\"]") + &one("a", "[\"x\"]"))), "twice"),
        (set(&one("A \\\"b\\\"", "[\"x\"]")), "quotes"),
        (set("[[strategy]]\nname = \"A\"\n"), "description"),
        (set(&(one("A", "[\"x\"]") + "colour = \"red\"\n")), "colour"),
    ];
    for (text, expected) in table {
        let message = failure("mine.toml", text.as_bytes(), StrategySet::from_file);
        assert!(message.contains(expected) && message.contains("mine.toml"), "`{expected}` is not in: {message}");
    }
}

#[test]
fn a_user_set_needs_only_one_example_a_strategy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(
        &path,
        "name = \"mine\"\n[[strategy]]\nname = \"Hum\"\ndescription = \"Hum.\"\nexamples = [\"Mm.\"]\n",
    )
    .unwrap();
    let set = StrategySet::by_name_or_path(&path.to_string_lossy()).unwrap();
    assert_eq!(set.find(" hum ").unwrap().paragraph(), "Description: Hum. Examples: 'Mm.'");
}

#[test]
fn an_unknown_strategy_of_multiesc_is_refused_or_kept_as_written() {
    let line = r#"{"emotion_type":"e","problem_type":"p","situation":"s","init_intensity":4,"dialog":[{"text":"a","speaker":"sys","strategy":"[hope]"}]}"#;
    let told = failure("train.txt", line.as_bytes(), read_multiesc);
    assert!(told.contains("line 1, dialog[0]: the strategy `[hope]` is not one of"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.txt");
    std::fs::write(&path, line).unwrap();
    let corpus = read_multiesc_as_written(&path).unwrap();
    assert_eq!(corpus.conversations[0].dialog[0].strategy.as_deref(), Some("[hope]"));
}
