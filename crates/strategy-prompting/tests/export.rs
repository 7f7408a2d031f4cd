//! Files for other programs.

use std::fs;
use std::path::Path;

use serde_json::Value;
use strategy_prompting::{
    CONTINUATIONS, ExistingRun, ReferenceConversation, ResponseText, TextsByStrategy, TornLine, export_chats,
    export_reference, gather_by_example, read_records, write_conversation_array,
};

use crate::fake_model::FakeModel;
use crate::run::run;
use crate::sample_data::{plan, settings, strategies};

fn order() -> Vec<String> {
    strategies().strategies.into_iter().map(|strategy| strategy.name).collect()
}

fn finished_run(folder: &Path) -> std::path::PathBuf {
    run(&plan(settings()), folder, &mut FakeModel::new(), ExistingRun::Refuse).unwrap();
    folder.join(CONTINUATIONS)
}

#[test]
fn one_file_per_layout_and_example_with_the_strategies_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = finished_run(folder.path());
    let out = folder.path().join("reference");
    let records = read_records(&path, TornLine::Refuse).unwrap();
    let summary = export_reference(records, &order(), &out, ResponseText::Raw).unwrap();
    assert_eq!((summary.conversations, summary.continuations), (18, 270));
    let text = fs::read_to_string(out.join("standard/ben-2.json")).unwrap();
    let fields: Vec<String> =
        serde_json::from_str::<Value>(&text).unwrap().as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["dialog", "situation", "speakers", "responses", "prompts"]);
    let conversation = ReferenceConversation::read(&out.join("standard/ben-2.json")).unwrap();
    for texts in [&conversation.responses, &conversation.prompts] {
        assert!(texts.0.iter().map(|(label, _)| label).eq(&order()));
    }
    assert_eq!(conversation.speakers, ["seeker", "supporter", "seeker"]);
    assert!(conversation.prompts.0[0].1.starts_with("<|begin_of_text|>"));
}

#[test]
fn texts_are_raw_tidied_or_as_published() {
    let folder = tempfile::tempdir().unwrap();
    let path = finished_run(folder.path());
    for (text, expected) in [
        (ResponseText::Raw, "assistant: Answer \""),
        (ResponseText::Tidied, "Answer \""),
        (ResponseText::Compat, "answer \""),
    ] {
        let gathered = gather_by_example(read_records(&path, TornLine::Refuse).unwrap(), &order(), text).unwrap();
        assert!(gathered.iter().flat_map(|e| &e.conversation.responses.0).all(|(_, text)| text.starts_with(expected)));
    }
}

#[test]
fn two_records_for_one_place_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = finished_run(folder.path());
    let twice = read_records(&path, TornLine::Refuse).unwrap().chain(read_records(&path, TornLine::Refuse).unwrap());
    let error = gather_by_example(twice, &order(), ResponseText::Raw).unwrap_err().to_string();
    assert!(error.contains("two records"), "{error}");
}

#[test]
fn ids_that_lead_out_of_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = finished_run(folder.path());
    let mut record = read_records(&path, TornLine::Refuse).unwrap().next().unwrap().unwrap();
    record.example = "../escape".into();
    let out = folder.path().join("reference");
    let error = export_reference([Ok(record)], &order(), &out, ResponseText::Raw).unwrap_err().to_string();
    assert!(error.contains("../escape"), "{error}");
    assert!(!out.exists());
}

#[test]
fn chats_end_with_the_response_and_have_the_same_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = finished_run(folder.path());
    let out = folder.path().join("chats.jsonl");
    let summary = export_chats(read_records(&path, TornLine::Refuse).unwrap(), &out, ResponseText::Tidied).unwrap();
    assert_eq!((summary.conversations, summary.continuations), (18, 270));
    let text = fs::read_to_string(&out).unwrap();
    for line in text.lines() {
        let chat: Value = serde_json::from_str(line).unwrap();
        let columns: Vec<&String> = chat.as_object().unwrap().keys().collect();
        assert_eq!(columns, ["id", "example", "conversation", "turn", "strategy", "layout", "model", "messages"]);
        let messages = chat["messages"].as_array().unwrap();
        assert_eq!(messages[0]["role"], "system");
        assert_eq!(messages[messages.len() - 1]["role"], "assistant");
        assert!(messages[messages.len() - 1]["content"].as_str().unwrap().starts_with("Answer"));
    }
}

#[test]
fn maps_may_be_empty_and_arrays_are_indented() {
    let folder = tempfile::tempdir().unwrap();
    let empty = ReferenceConversation {
        dialog: vec!["Hi".into()],
        situation: "none".into(),
        speakers: vec!["seeker".into()],
        responses: TextsByStrategy::default(),
        prompts: TextsByStrategy::default(),
    };
    let full = ReferenceConversation {
        responses: TextsByStrategy(vec![("Chit Chat".into(), "Assistant: Chit Chat is FUN".into())]),
        ..empty.clone()
    };
    let path = folder.path().join("output.json");
    write_conversation_array(&path, &[empty.clone(), full.compat()]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("[\n    {\n        \"dialog\": ["), "{text}");
    let read: Vec<ReferenceConversation> = serde_json::from_str(&text).unwrap();
    assert_eq!(read[0], empty);
    assert_eq!(read[1].responses.0[0].1, "is fun");
    fs::write(&path, "[]").unwrap();
    assert!(ReferenceConversation::read(&path).unwrap_err().to_string().contains("output.json"));
}
