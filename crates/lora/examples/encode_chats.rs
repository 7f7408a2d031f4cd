//! Prints what a model is trained on: each chat of a file as token ids, with the number of the first that is learned.
//!
//! `cargo run -p lora --example encode_chats -- MODEL_FOLDER CHATS.jsonl [CUTOFF] [CHAT_TEMPLATE]` (without words: a shipped model and
//! two records)

use std::error::Error;
use std::path::Path;

use llm_runtime::{LoadOptions, PretrainedModel};
use lora::sft::{BadRecords, EncodeOptions, ReadOptions, SftEncoder, SftTemplate, read_records};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
        words = vec![format!("{fixtures}/models/tiny-llama"), format!("{fixtures}/lora/two-chats.jsonl")];
    }
    let [model, chats, options @ ..] = words.as_slice() else {
        return Err("usage: encode_chats MODEL_FOLDER CHATS.jsonl [CUTOFF] [CHAT_TEMPLATE]".into());
    };
    let cutoff = options.first().map(|cutoff| cutoff.parse()).transpose()?;
    let load = LoadOptions { chat_template: options.get(1).cloned(), ..LoadOptions::new(model) };
    let model = PretrainedModel::load(&load, &|_| ())?;
    let template = SftTemplate::from(model.template.clone().ok_or("the model has no chat template: name one")?);
    let encoder = SftEncoder::new(&model.tokenizer, &template, EncodeOptions { cutoff, ..EncodeOptions::default() })?;
    let records = read_records(Path::new(chats), &ReadOptions::default())?.records;
    let (examples, summary) = encoder.encode_all(&records, BadRecords::Skip)?;
    for example in &examples {
        let line = serde_json::json!({"ids": example.ids, "labels_from": example.labels_from()});
        println!("{line}");
    }
    eprintln!("{} examples, {} tokens, {} of them learned", summary.encoded, summary.tokens, summary.learned_tokens);
    Ok(())
}
