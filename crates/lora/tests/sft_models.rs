//! Tokenizers, templates and records that the tests share.

use std::path::{Path, PathBuf};

use llm_runtime::{BuiltInTemplate, Message, Tokenizer};
use lora::sft::{
    BuiltInPlain, EncodeOptions, Encoded, Place, SftContent, SftEncoder, SftExample, SftRecord, SftTemplate,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The tokenizer of the fixtures' tiny model.
pub(crate) fn tiny() -> Tokenizer {
    let bytes = std::fs::read(root().join("fixtures/models/tiny-llama/tokenizer.json")).unwrap();
    Tokenizer::from_tokenizer_json(&bytes, None).unwrap()
}

/// A byte-level tokenizer with Llama-3's control tokens: every byte is a token, and `ab` and ` a` are joined.
pub(crate) fn byte_level() -> Tokenizer {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let mut others = 0x100..;
    let spell = |byte: u32| if printable(byte) { byte } else { others.next().unwrap() };
    let mut vocab: Vec<String> = (0..256).map(spell).map(|code| char::from_u32(code).unwrap().to_string()).collect();
    vocab.extend(["ab".to_owned(), "\u{120}a".to_owned()]);
    let vocab: serde_json::Map<String, serde_json::Value> =
        vocab.into_iter().enumerate().map(|(id, piece)| (piece, id.into())).collect();
    let control = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"];
    let added: Vec<_> = control
        .iter()
        .enumerate()
        .map(|(number, text)| serde_json::json!({"id": 258 + number, "content": text, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}))
        .collect();
    let file = serde_json::json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocab, "merges": [["a", "b"], ["\u{120}", "a"]]},
    });
    let config = r#"{"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}"#;
    Tokenizer::from_tokenizer_json(file.to_string().as_bytes(), Some(config)).unwrap()
}

/// The fixtures' tokenizer, a byte-level one, and Llama-2's where the real data are.
pub(crate) fn tokenizers() -> Vec<(&'static str, Tokenizer)> {
    let mut tokenizers = vec![("tiny-llama", tiny()), ("byte-level", byte_level())];
    let llama2 = root().join("../shared/data/tokenizers/llama2");
    if llama2.is_dir() {
        let json = std::fs::read(llama2.join("tokenizer.json")).unwrap();
        let model = std::fs::read(llama2.join("tokenizer.model")).unwrap();
        tokenizers.push(("llama2 json", Tokenizer::from_tokenizer_json(&json, None).unwrap()));
        tokenizers.push(("llama2 model", Tokenizer::from_sentencepiece(&model).unwrap()));
    } else {
        println!("skipped: {} is not here", llama2.display());
    }
    tokenizers
}

pub(crate) fn templates() -> Vec<(&'static str, SftTemplate)> {
    let chats =
        BuiltInTemplate::ALL.into_iter().map(|format| (format.name(), SftTemplate::from(format.template().unwrap())));
    let plains =
        BuiltInPlain::ALL.into_iter().map(|format| (format.name(), SftTemplate::from(format.template().unwrap())));
    chats.chain(plains).collect()
}

/// A text as a record's place.
pub(crate) fn place() -> Place {
    Place::item("memory", 1)
}

pub(crate) fn chat(messages: Vec<Message>) -> SftRecord {
    SftRecord::chat(place(), messages)
}

/// System, then texts of user and assistant in turn.
pub(crate) fn dialogue(system: &str, texts: &[&str]) -> SftRecord {
    let turn = |(number, text): (usize, &&str)| match number % 2 {
        0 => Message::user(*text),
        _ => Message::assistant(*text),
    };
    let system = (!system.is_empty()).then(|| Message::system(system));
    chat(system.into_iter().chain(texts.iter().enumerate().map(turn)).collect())
}

pub(crate) fn messages(record: &SftRecord) -> &[Message] {
    match &record.content {
        SftContent::Chat(messages) => messages,
        SftContent::Text { .. } => panic!("a text"),
    }
}

/// The example of a record that is encoded whole.
pub(crate) fn example(
    tokenizer: &Tokenizer,
    template: &SftTemplate,
    options: EncodeOptions,
    record: &SftRecord,
) -> (SftExample, bool) {
    match SftEncoder::new(tokenizer, template, options).unwrap().encode(record).unwrap() {
        Encoded::Example { example, boundary_moved, .. } => (example, boundary_moved),
        other => panic!("{other:?}"),
    }
}
