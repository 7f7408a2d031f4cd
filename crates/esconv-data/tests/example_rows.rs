//! `conversations.jsonl`: round trips, and rows of the published form.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use esconv_data::{Conversation, Example, Speaker, Utterance, cut, read_examples, write_examples};
use serde_json::Value;

/// A conversation of `turns` alternating turns; all begin with the same greeting.
fn conversation(name: &str, turns: usize) -> Conversation {
    let dialog = (0..turns)
        .map(|n| Utterance {
            speaker: if n % 2 == 0 { Speaker::Seeker } else { Speaker::Supporter },
            content: if n == 0 { "Hello\n".into() } else { format!("{name}, turn {n}") },
            strategy: (n % 2 == 1).then(|| "Question".into()),
            feedback: None,
        })
        .collect();
    Conversation {
        situation: format!("{name} happened."),
        problem_type: "job crisis".into(),
        dialog,
        ..Default::default()
    }
}

/// What the published preprocessing writes: our rows without our two fields.
fn write_published_rows(path: &Path, examples: &[Example]) {
    let lines: Vec<String> = examples
        .iter()
        .map(|example| {
            let mut row = serde_json::to_value(example).unwrap();
            let row = row.as_object_mut().unwrap();
            row.remove("id");
            row.remove("conversation");
            serde_json::to_string(row).unwrap()
        })
        .collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversations.jsonl");
    let mut examples = cut(&conversation("é \"quoted\"", 12), 1);
    examples[0].response = "two\nlines \u{2028} and more".into();
    write_examples(&path, &examples).unwrap();
    assert_eq!(read_examples(&path).unwrap(), examples);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn rows_have_the_published_fields_and_our_two() {
    let row = serde_json::to_value(&cut(&conversation("A", 8), 1)[0]).unwrap();
    let mut fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = [
        "conversation",
        "dialog_history",
        "emotion_type",
        "id",
        "prev_speakers",
        "prev_strategies",
        "problem_type",
        "response",
        "situation",
        "strategy",
        "turn",
    ];
    assert_eq!(fields, expected);
    assert_eq!(row["prev_speakers"][0], Value::from("seeker"));
    assert_eq!(row["prev_strategies"][0][0], Value::from(""));
}

#[test]
fn published_rows_get_one_conversation_key_per_conversation_from_turn_1_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversations.json");
    let examples: Vec<Example> = [("A", 16), ("B", 8), ("C", 6), ("D", 30)]
        .iter()
        .flat_map(|(name, turns)| cut(&conversation(name, *turns), 1))
        .collect();
    write_published_rows(&path, &examples);
    let read = read_examples(&path).unwrap();

    let ids: HashSet<&str> = read.iter().map(|example| example.id.as_str()).collect();
    assert_eq!(ids.len(), read.len(), "ids are unique");
    let mut keys: HashMap<&str, HashSet<&str>> = HashMap::new();
    for (example, original) in read.iter().zip(&examples) {
        keys.entry(&original.conversation).or_default().insert(&example.conversation);
    }
    assert_eq!(keys.len(), 4);
    assert!(keys.values().all(|found| found.len() == 1), "a conversation's rows share one key: {keys:?}");
    let distinct: HashSet<&&str> = keys.values().flatten().collect();
    assert_eq!(distinct.len(), 4, "conversations that begin alike have keys of their own");
}

#[test]
fn a_published_row_keeps_its_key_when_early_rows_are_absent() {
    let folder = tempfile::tempdir().unwrap();
    let (all, late) = (folder.path().join("all.json"), folder.path().join("late.json"));
    let examples = cut(&conversation("A", 16), 1);
    write_published_rows(&all, &examples);
    write_published_rows(&late, &examples[2..]);
    assert_eq!(read_examples(&all).unwrap()[2..], read_examples(&late).unwrap());
}

#[test]
fn an_unwritable_place_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("conversations.jsonl");
    assert!(write_examples(&path, &[]).unwrap_err().to_string().contains("missing"));
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversations.jsonl");
    // A folder that is not empty can't be replaced by a file, so that the last step fails.
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("old"), "kept").unwrap();
    assert!(write_examples(&path, &cut(&conversation("A", 8), 1)).is_err());
    assert_eq!(std::fs::read_to_string(path.join("old")).unwrap(), "kept");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
}
