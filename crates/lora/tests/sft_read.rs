//! Reading records: every kind, every complaint.

use std::path::Path;

use llm_runtime::{Message, Role};
use lora::sft::{
    BadRecords, FileLayout, Position, ReadOptions, RecordKind, RecordSet, SftContent, SftError, SftRecord,
    parse_records, read_records,
};
use proptest::prelude::*;

use crate::sft_models::messages;

fn parse(text: &str, options: &ReadOptions) -> Result<RecordSet, SftError> {
    parse_records(Path::new("data.json"), text, options)
}

fn one(text: &str) -> SftRecord {
    parse(text, &ReadOptions::default()).unwrap().records.remove(0)
}

fn texts(record: &SftRecord) -> Vec<(Role, &str)> {
    messages(record).iter().map(|message| (message.role, message.content.as_str())).collect()
}

fn options(columns: &str) -> ReadOptions {
    ReadOptions { columns: columns.parse().unwrap(), ..ReadOptions::default() }
}

#[test]
fn instructions_become_chats_with_history_and_system() {
    let record = one(
        r#"[{"instruction": "Shorten.", "input": "Long.", "output": "Short.", "system": "Brief.", "history": [["a", "b"]], "id": 7}]"#,
    );
    let expected = [
        (Role::System, "Brief."),
        (Role::User, "a"),
        (Role::Assistant, "b"),
        (Role::User, "Shorten.\nLong."),
        (Role::Assistant, "Short."),
    ];
    assert_eq!(texts(&record), expected);
    let parts: Vec<(&str, &str)> = messages(&record)[3]
        .parts
        .iter()
        .map(|part| (part.label.as_str(), &messages(&record)[3].content[part.range.clone()]))
        .collect();
    assert_eq!(parts, [("instruction", "Shorten."), ("input", "Long.")]);
    assert_eq!(record.place.position, Position::Item(1));
}

#[test]
fn blank_and_null_columns_are_absent() {
    let record = one(r#"{"instruction": "Go.", "input": " ", "output": "Done.", "system": null, "history": null}"#);
    assert_eq!(texts(&record), [(Role::User, "Go."), (Role::Assistant, "Done.")]);
    assert_eq!(record.place.position, Position::Line(1));
}

#[test]
fn columns_can_have_other_names() {
    let set =
        parse(r#"{"question": "Q", "answer": "A", "messages": []}"#, &options("instruction=question, output=answer"));
    assert_eq!(texts(&set.unwrap().records[0]), [(Role::User, "Q"), (Role::Assistant, "A")]);
    for (columns, expected) in [
        ("question", "`question` is not FIELD=NAME"),
        ("instruction=", "is not FIELD=NAME"),
        ("query=question", "unknown field `query`"),
        ("output=a,output=b", "renamed twice"),
        ("output=a,prompt=b", "`prompt` belongs to prompt-completion records"),
    ] {
        let error = columns.parse::<lora::sft::ColumnMap>().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn chats_of_both_spellings_are_read() {
    let openai = one(
        r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "strategy": "x"}"#,
    );
    let sharegpt =
        one(r#"{"system": "s", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}"#);
    assert_eq!(texts(&openai), [(Role::User, "a"), (Role::Assistant, "b")]);
    assert_eq!(texts(&sharegpt), [(Role::System, "s"), (Role::User, "a"), (Role::Assistant, "b")]);
}

#[test]
fn prompts_and_completions_are_texts_or_chats() {
    let text = one(r#"{"prompt": "2+2=", "completion": " 4"}"#);
    assert_eq!(text.content, SftContent::Text { prompt: "2+2=".into(), completion: " 4".into() });
    let chat =
        one(r#"{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]}"#);
    assert_eq!(messages(&chat), [Message::user("a"), Message::assistant("b")]);
}

#[test]
fn lines_may_be_blank_and_files_may_begin_with_a_mark() {
    let text =
        "\u{FEFF}\n{\"prompt\": \"a\", \"completion\": \"b\"}\r\n\r\n{\"prompt\": \"c\", \"completion\": \"d\"}\r\n";
    let set = parse(text, &ReadOptions::default()).unwrap();
    let lines: Vec<Position> = set.records.iter().map(|record| record.place.position).collect();
    assert_eq!(lines, [Position::Line(2), Position::Line(4)]);
}

#[test]
fn complaints_name_the_place_the_field_and_what_to_do() {
    for (row, expected) in [
        ("{", "line 1: not JSON: "),
        ("3", "line 1: expected a JSON object, found a number"),
        (r#"{"text": "a"}"#, "found: text; name the columns"),
        (r#"{"instruction": "a"}"#, "`output` is missing: expected the answer; add it"),
        (r#"{"instruction": "a", "output": 5}"#, "`output`: expected a text, found a number"),
        (r#"{"instruction": " ", "output": "b"}"#, "both blank"),
        (r#"{"instruction": "a", "output": " "}"#, "the answer to be learned is blank"),
        (r#"{"instruction": "a", "output": "b", "history": [["x"]]}"#, "`history[0]`: expected exactly two texts"),
        (r#"{"instruction": "a", "output": "b", "history": [["x", 1]]}"#, "`history[0][1]`: expected a text"),
        (r#"{"messages": []}"#, "there are no messages"),
        (r#"{"messages": "a"}"#, "`messages`: expected an array of messages, found a text"),
        (r#"{"messages": [{"role": "user", "content": "a"}]}"#, "the last message is the user's"),
        (r#"{"messages": [{"role": "tool", "content": "a"}]}"#, "`messages[0].role` is `tool`: expected system"),
        (r#"{"messages": [{"role": "user"}]}"#, "`messages[0]`: expected an object with `role` and `content`"),
        (
            r#"{"messages": [{"role": "user", "content": []}]}"#,
            "`messages[0].content`: expected a text, found an array",
        ),
        (r#"{"prompt": "a"}"#, "`completion` is missing"),
        (r#"{"prompt": "a", "completion": []}"#, "expected two texts or two arrays"),
    ] {
        let error = parse(row, &ReadOptions { layout: FileLayout::Lines, ..ReadOptions::default() }).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("data.json, line 1: ") && error.contains(expected), "{row}: {error}");
    }
    let array = parse(r#"[{"prompt": "a", "completion": "b"}, 3]"#, &ReadOptions::default()).unwrap_err();
    assert!(array.to_string().starts_with("data.json, item 2: "), "{array}");
}

#[test]
fn bad_records_are_listed_on_request() {
    let text = "{\"prompt\": \"a\", \"completion\": \"b\"}\nnonsense\n{\"prompt\": \"a\"}\n";
    let set = parse(text, &ReadOptions { bad_records: BadRecords::Skip, ..ReadOptions::default() }).unwrap();
    assert_eq!((set.records.len(), set.skipped.len()), (1, 2));
    assert!(set.skipped[0].to_string().starts_with("data.json, line 2: not JSON"));
}

#[test]
fn files_without_records_are_refused() {
    for text in ["", "  \n", "[]"] {
        assert!(parse(text, &ReadOptions::default()).unwrap_err().to_string().contains("there are no records"));
    }
    assert!(parse("[1", &ReadOptions::default()).unwrap_err().to_string().contains("line 1 column 2"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.jsonl");
    assert!(matches!(read_records(&path, &ReadOptions::default()), Err(SftError::Io { .. })));
    std::fs::write(&path, b"{}\n\xE9").unwrap();
    let error = read_records(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("line 2: not UTF-8"), "{error}");
}

#[test]
fn a_kind_can_be_forced() {
    let row = r#"{"instruction": "a", "output": "b", "prompt": "c", "completion": "d"}"#;
    assert!(matches!(one(row).content, SftContent::Text { .. }));
    let options = ReadOptions { kind: Some(RecordKind::Instruction), ..ReadOptions::default() };
    assert_eq!(texts(&parse(row, &options).unwrap().records[0]), [(Role::User, "a"), (Role::Assistant, "b")]);
    assert_eq!("messages".parse::<RecordKind>().unwrap(), RecordKind::Messages);
    assert!("chat".parse::<RecordKind>().is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in r#"(\[|\{|\}|\]|"|:|,|messages|role|content|prompt|completion|a|1|null|\n| ){0,40}"#) {
        for layout in [FileLayout::Detect, FileLayout::Array, FileLayout::Lines] {
            let _ = parse(&text, &ReadOptions { layout, bad_records: BadRecords::Skip, ..ReadOptions::default() });
        }
    }
}
