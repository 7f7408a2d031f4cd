//! Real dialogues, from JSON Lines to examples, where the data are.

use std::path::Path;

use llm_runtime::{ControlTokenText, Message, Role};
use lora::sft::{BadRecords, EncodeOptions, ReadOptions, SftEncoder, parse_records};
use serde_json::{Value, json};

use crate::sft_models::{messages, templates, tokenizers};

/// Conversations of ESConv as chats that begin with the user, alternate and end with the assistant.
fn chats(corpus: &[Value]) -> String {
    let mut lines = String::new();
    for conversation in corpus {
        let mut chat: Vec<Message> = Vec::new();
        for turn in conversation["dialog"].as_array().unwrap() {
            let content = turn["content"].as_str().unwrap().trim();
            let role = if turn["speaker"] == "seeker" { Role::User } else { Role::Assistant };
            match chat.last_mut() {
                Some(last) if last.role == role => last.push(&format!(" {content}")),
                None if role == Role::Assistant => {}
                _ => chat.push(Message::new(role, content)),
            }
        }
        let length = chat.iter().rposition(|message| message.role == Role::Assistant).unwrap() + 1;
        lines.push_str(&json!({"messages": chat[..length], "situation": conversation["situation"]}).to_string());
        lines.push('\n');
    }
    lines
}

#[test]
fn real_dialogues_keep_their_answers_under_a_limit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/esconv/ESConv.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return;
    };
    let corpus: Vec<Value> = serde_json::from_str(&text).unwrap();
    let set = parse_records(Path::new("esconv.jsonl"), &chats(&corpus[..20]), &ReadOptions::default()).unwrap();
    for (name, tokenizer) in tokenizers() {
        for (template_name, template) in templates() {
            let options = EncodeOptions { cutoff: Some(600), ..EncodeOptions::default() };
            let encoder = SftEncoder::new(&tokenizer, &template, options).unwrap();
            let (examples, summary) = encoder.encode_all(&set.records, BadRecords::Fail).unwrap();
            assert!(summary.too_long == 0 && summary.dropped_turns > 0 && summary.longest <= 600, "{summary:?}");
            for (example, record) in examples.iter().zip(&set.records) {
                let learned = tokenizer.decode(&example.learned_ids(), ControlTokenText::Skip).unwrap();
                let answer = &messages(record).last().unwrap().content;
                assert!(learned.contains(answer.as_str()), "{name} {template_name}: {learned}");
            }
            println!(
                "{name} {template_name}: {} tokens, {} learned, {} turns dropped, {} questions cut, {} boundaries moved",
                summary.tokens,
                summary.learned_tokens,
                summary.dropped_turns,
                summary.cut_questions,
                summary.boundary_moved
            );
        }
    }
}
