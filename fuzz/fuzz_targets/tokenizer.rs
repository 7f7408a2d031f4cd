//! Foreign bytes as each kind of tokenizer file. What can be read has to encode any text and decode any tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use llm_runtime::Tokenizer;
use llm_runtime::tokenizer::ControlTokenText;
use solace_fuzz::choice;

fuzz_target!(|bytes: &[u8]| {
    let (chosen, bytes) = choice(bytes);
    let read = match chosen % 3 {
        0 => Tokenizer::from_tokenizer_json(bytes, None),
        1 => {
            // The settings beside a file that is good by itself.
            let json = include_bytes!("../../fixtures/models/tiny-llama/tokenizer.json");
            Tokenizer::from_tokenizer_json(json, Some(&String::from_utf8_lossy(bytes)))
        }
        _ => Tokenizer::from_sentencepiece(bytes),
    };
    let Ok(tokenizer) = read else { return };
    let text = "Well, I feel\u{a0}sad… \u{1f642} <s>\n</s> 12,5";
    let _ = tokenizer.encode_with_bos(text);
    let Ok(encoding) = tokenizer.encode(text) else { return };
    let _ = tokenizer.decode(&encoding.ids, ControlTokenText::Keep);
    let _ = tokenizer.decode_text(&[0, 1, u32::MAX]);
});
