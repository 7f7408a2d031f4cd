//! Records that can't be used: refused with file, line and field, or skipped and counted.

use dpo::{BadRecord, ReadPairs, read_pairs};

use crate::pair_files::written;

/// A good record, in line 1.
const GOOD: &str = r#"{"id": "good", "prompt": "Tea?", "chosen": "Yes", "rejected": "No"}"#;

/// The second record of a file of JSON Lines, what is wrong with it, and what the message says.
const BAD: [(&str, BadRecord, &str); 21] = [
    (
        r#"{"chosen": "a", "rejected": "b", "question": "c"}"#,
        BadRecord::MissingField,
        "`prompt` is missing, there is `chosen`, `rejected`, `question`",
    ),
    (r#"{"prompt": "a", "rejected": "b"}"#, BadRecord::MissingField, "`chosen` is missing"),
    (r#"{"prompt": "a", "chosen": "b"}"#, BadRecord::MissingField, "give rejected=NAME"),
    ("{}", BadRecord::MissingField, "`prompt` is missing, there is nothing"),
    (r#"{"prompt": 7, "chosen": "a", "rejected": "b"}"#, BadRecord::WrongType, "`prompt` is a number"),
    (r#"{"prompt": "a", "chosen": null, "rejected": "b"}"#, BadRecord::WrongType, "`chosen` is null"),
    (r#"{"prompt": "a", "chosen": {"text": "c"}, "rejected": "b"}"#, BadRecord::WrongType, "`chosen` is an object"),
    (r#"{"id": ["a"], "prompt": "a", "chosen": "b", "rejected": "c"}"#, BadRecord::WrongType, "`id` is an array"),
    (
        r#"{"group": true, "prompt": "a", "chosen": "b", "rejected": "c"}"#,
        BadRecord::WrongType,
        "`group` is true or false",
    ),
    (r#"{"prompt": " \n", "chosen": "a", "rejected": "b"}"#, BadRecord::Empty, "`prompt` is empty"),
    (r#"{"prompt": "a", "chosen": "", "rejected": "b"}"#, BadRecord::Empty, "`chosen` is empty"),
    (r#"{"prompt": "a", "chosen": "b", "rejected": "\t"}"#, BadRecord::Empty, "`rejected` is empty"),
    (r#"{"prompt": [], "chosen": "a", "rejected": "b"}"#, BadRecord::Empty, "`prompt` is empty"),
    (
        r#"{"prompt": "a", "chosen": "b", "rejected": " b\n"}"#,
        BadRecord::Identical,
        "`chosen` and `rejected` are the same",
    ),
    (
        r#"{"id": "good", "prompt": "a", "chosen": "b", "rejected": "c"}"#,
        BadRecord::DuplicateId,
        "the id `good` stands in line 1 already",
    ),
    (r#"["a", "b", "c"]"#, BadRecord::NotAnObject, "a JSON object was expected, not an array"),
    (r#"{"prompt": "a", "chosen": "b", "reje"#, BadRecord::NotAnObject, "not a JSON object: EOF"),
    (
        r#"{"prompt": [{"role": "robot", "content": "a"}], "chosen": "b", "rejected": "c"}"#,
        BadRecord::WrongType,
        "turn 1 of `prompt`",
    ),
    (
        r#"{"prompt": "a", "chosen": [{"role": "user", "content": "b"}], "rejected": "c"}"#,
        BadRecord::WrongType,
        "`chosen` must hold one turn of the assistant",
    ),
    (
        r#"{"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "rejected": [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}"#,
        BadRecord::WrongType,
        "`chosen` must hold one turn",
    ),
    (
        r#"{"chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]}"#,
        BadRecord::MissingField,
        "there is no `prompt`, and the conversations begin differently",
    ),
];

#[test]
fn a_bad_record_is_refused_with_its_file_line_and_field() {
    for (record, _, problem) in BAD {
        let lines = format!("{GOOD}\n{}\n", in_one_line(record));
        check_refused("pairs.jsonl", lines.as_bytes(), 2, problem);
    }
}

#[test]
fn in_an_array_too() {
    for (record, _, problem) in BAD.into_iter().filter(|(record, ..)| record.ends_with(['}', ']'])) {
        check_refused("pairs.json", format!("[{GOOD},\n\n  {record}]\n").as_bytes(), 3, problem);
    }
}

#[test]
fn bad_records_are_skipped_and_counted_if_that_is_wanted() {
    for (record, kind, problem) in BAD {
        let lines = format!("{GOOD}\n{}\n{GOOD}\n", in_one_line(record));
        let (_folder, path) = written("pairs.jsonl", lines.as_bytes());
        let file = read_pairs(&path, &ReadPairs { skip_bad: true, ..ReadPairs::default() }).unwrap();
        assert_eq!(file.pairs.len(), 1, "{record}");
        // The third line repeats the first one's id.
        assert_eq!(file.skipped.len(), 2, "{record}");
        assert!(file.skipped[0].contains(problem) && file.skipped[0].contains("pairs.jsonl, line 2"), "{file:?}");
        let count = if kind == BadRecord::DuplicateId { 2 } else { 1 };
        assert_eq!(file.counts[&kind], count, "{record}");
        assert_eq!(file.counts.values().sum::<usize>(), 2);
    }
}

#[test]
fn bytes_that_are_no_utf8_spoil_their_own_record_only() {
    let bad = b"{\"prompt\": \"caf\xE9\", \"chosen\": \"a\", \"rejected\": \"b\"}";
    let good = br#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#;
    let table = b"prompt,chosen,rejected\n\"two\nlines\",a,b\ncaf\xE9,a,b\nc,d,e\n";
    let files = [
        ("pairs.jsonl", [&good[..], b"\n", bad, b"\n", good].concat(), 2),
        ("pairs.json", [b"[\n", &good[..], b",\n", bad, b",\n", good, b"]"].concat(), 3),
        ("pairs.csv", table.to_vec(), 4),
    ];
    for (name, bytes, line) in files {
        check_refused(name, &bytes, line, "byte 0xe9");
        let (_folder, path) = written(name, &bytes);
        let file = read_pairs(&path, &ReadPairs { skip_bad: true, ..ReadPairs::default() }).unwrap();
        assert_eq!((file.pairs.len(), file.counts[&BadRecord::NotUtf8]), (2, 1), "{name}");
    }
}

#[test]
fn tables_have_problems_of_their_own() {
    for (table, line, problem) in [
        ("prompt,chosen\na,b\n", 2, "`rejected` is missing, there is `prompt`, `chosen`"),
        ("prompt,chosen,rejected\na,b,c\n\na,\"b\n\n\",d\na,b\n", 7, "2 cells, but the header has 3"),
        ("prompt,chosen,rejected\na,,c\n", 2, "`chosen` is empty"),
        ("prompt,prompt,chosen,rejected\na,b,c,d\n", 1, "two columns are called `prompt`"),
    ] {
        check_refused("pairs.csv", table.as_bytes(), line, problem);
    }
    let (_folder, path) = written("pairs.csv", b"prompt,chosen,rejected\na,b\nc,d,e\n");
    let file = read_pairs(&path, &ReadPairs { skip_bad: true, ..ReadPairs::default() }).unwrap();
    assert_eq!((file.pairs.len(), file.counts[&BadRecord::WrongCells]), (1, 1));
    // Its place in the file, not among the pairs.
    assert_eq!(file.pairs[0].id, "1");
}

#[test]
fn broken_arrays_are_refused() {
    for (array, line, problem) in [
        (format!("[{GOOD}"), 1, "has no end"),
        (format!("[\n{GOOD},\n"), 3, "has no end"),
        (format!("[{GOOD},\n]"), 2, "a record was expected"),
        (format!("[{GOOD}]\n{GOOD}"), 2, "more behind the array's end"),
        (format!("[{GOOD}\n{GOOD}]"), 1, "trailing characters"),
    ] {
        check_refused("pairs.json", array.as_bytes(), line, problem);
    }
}

#[test]
fn a_file_without_pairs_is_refused() {
    for (name, text) in
        [("a.json", "[]"), ("a.json", ""), ("a.jsonl", "\n\n"), ("a.csv", "prompt,chosen,rejected\n"), ("a", "")]
    {
        let (_folder, path) = written(name, text.as_bytes());
        let message = read_pairs(&path, &ReadPairs::default()).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("there are no pairs"), "{name}: {message}");
    }
    let (_folder, path) = written("a.jsonl", b"{}\n[]\n");
    let message = read_pairs(&path, &ReadPairs { skip_bad: true, ..ReadPairs::default() }).unwrap_err().to_string();
    assert!(message.contains("none of its 2 records") && message.contains("line 1: `prompt` is missing"), "{message}");

    let message = read_pairs(&path.with_file_name("b.jsonl"), &ReadPairs::default()).unwrap_err().to_string();
    assert!(message.contains("b.jsonl"), "{message}");
}

fn check_refused(name: &str, bytes: &[u8], line: u64, problem: &str) {
    let (_folder, path) = written(name, bytes);
    let message = read_pairs(&path, &ReadPairs::default()).unwrap_err().to_string();
    assert!(message.contains(&format!("{name}, line {line}: ")) && message.contains(problem), "{message}");
}

fn in_one_line(record: &str) -> String {
    record.replace('\n', " ")
}
