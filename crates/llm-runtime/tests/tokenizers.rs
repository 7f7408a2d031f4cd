//! Tokenisers against SentencePiece and transformers.

use std::path::Path;

use llm_runtime::{GgufVocabulary, Tokenizer, TokenizerError};
use proptest::prelude::*;
use serde_json::Value;

use crate::goldens::{data, family, root};
use crate::llama::{ids, json};

fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sentencepiece(path: &Path) -> Tokenizer {
    Tokenizer::from_sentencepiece(&std::fs::read(path).unwrap()).unwrap()
}

fn tokenizer_json(path: &Path) -> Tokenizer {
    Tokenizer::from_tokenizer_json(&std::fs::read(path).unwrap(), None).unwrap()
}

/// The vocabulary of a tokenizer as a GGUF file holds it.
fn as_gguf(tokenizer: &Tokenizer) -> GgufVocabulary {
    let size = tokenizer.vocabulary_size();
    let tokens: Vec<String> = (0..size as u32).map(|id| tokenizer.piece(id).unwrap()).collect();
    let kind = |id: usize, token: &str| match id {
        0 => 2,
        1 | 2 => 3,
        _ if token.starts_with("<0x") => 6,
        _ => 1,
    };
    GgufVocabulary {
        model: "llama".into(),
        scores: (0..size).map(|id| -(id as f32)).collect(),
        token_types: tokens.iter().enumerate().map(|(id, token)| kind(id, token)).collect(),
        tokens,
        bos: Some(1),
        eos: Some(2),
        unk: Some(0),
        ..GgufVocabulary::default()
    }
}

/// Both forms of Llama-2's tokeniser.
fn llama2(family: &Path) -> Vec<(&'static str, Tokenizer)> {
    let model = sentencepiece(&family.join("assets/llama2.tokenizer.model"));
    let fast = tokenizer_json(&family.join("assets/llama2.tokenizer.fast_legacy.json"));
    vec![("tokenizer.model", model), ("tokenizer.json", fast)]
}

#[test]
fn golden_tokenizers_llama2() {
    let Some(family) = family("tokenizers") else { return };
    let rows = lines(&family.join("llama2.jsonl"));
    assert!(!rows.is_empty());
    for (name, tokenizer) in llama2(&family) {
        for row in &rows {
            let text = row["text"].as_str().unwrap();
            let mut parsed = tokenizer.encode_rendered(text, &[]).unwrap().ids;
            parsed.insert(0, tokenizer.bos().unwrap());
            assert_eq!(parsed, ids(&row["ids"]["fast_legacy"]), "{name}: {text:?}");
            assert_eq!(tokenizer.encode(text).unwrap().ids, ids(&row["raw_sentencepiece"]), "{name}: {text:?}");
            assert_eq!(
                tokenizer.decode_text(&parsed),
                row["decode"]["fast_legacy"].as_str().unwrap(),
                "{name}: {text:?}"
            );
        }
    }
}

#[test]
fn golden_tokenizers_streams_and_offsets() {
    let Some(family) = family("tokenizers") else { return };
    for (name, tokenizer) in llama2(&family) {
        for row in lines(&family.join("llama2.jsonl")) {
            let text = row["text"].as_str().unwrap();
            let encoding = tokenizer.encode(text).unwrap();
            assert_eq!(encoding.ids.len(), encoding.offsets.len());
            let mut streamed = String::new();
            let mut stream = tokenizer.decode_stream();
            for id in &encoding.ids {
                streamed.extend(stream.push(*id));
            }
            streamed.push_str(&stream.finish());
            assert_eq!(streamed, tokenizer.decode_text(&encoding.ids), "{name}: {text:?}");
            check_offsets(text, &encoding.offsets);
        }
    }
}

/// Offsets are characters' borders, never go back, and leave nothing out.
fn check_offsets(text: &str, offsets: &[std::ops::Range<usize>]) {
    let mut covered = 0;
    for offset in offsets {
        assert!(text.get(offset.clone()).is_some(), "{text:?}: {offset:?}");
        assert!(offset.start <= covered, "{text:?}: bytes {covered}..{} belong to no token", offset.start);
        covered = covered.max(offset.end);
    }
    assert_eq!(covered, text.len(), "{text:?}");
}

#[test]
fn golden_gguf_tokenizer() {
    let Some(family) = family("gguf") else { return };
    let tokenizer = sentencepiece(&family.join("tokenizer.model"));
    let text = std::fs::read_to_string(family.join("ppl_text.txt")).unwrap();
    let expected = json(family.join("ppl_text_ids.json"));
    let expected = ids(expected.get("ids").unwrap_or(&expected));
    assert_eq!(tokenizer.encode_with_bos(&text).unwrap().ids, expected);
}

#[test]
fn both_files_of_llama2_agree_on_the_real_corpus() {
    let (Some(folder), Some(corpus)) = (data("tokenizers/llama2"), data("esconv/ESConv.json")) else { return };
    let fast = tokenizer_json(&folder.join("tokenizer.json"));
    let slow = sentencepiece(&folder.join("tokenizer.model"));
    let mut turns = 0;
    for conversation in json(corpus).as_array().unwrap() {
        for utterance in conversation["dialog"].as_array().unwrap() {
            let text = utterance["content"].as_str().unwrap();
            assert_eq!(fast.encode(text).unwrap().ids, slow.encode(text).unwrap().ids, "{text:?}");
            turns += 1;
        }
    }
    assert_eq!(turns, 38_365);
}

#[test]
fn a_byte_level_vocabulary_is_read() {
    let (Some(folder), Some(goldens)) = (data("tokenizers/gpt2"), data("tokenizers/goldens.json")) else { return };
    let vocabulary = json(folder.join("vocab.json"));
    let mut tokens = vec![String::new(); vocabulary.as_object().unwrap().len()];
    for (token, id) in vocabulary.as_object().unwrap() {
        tokens[id.as_u64().unwrap() as usize] = token.clone();
    }
    let merges = std::fs::read_to_string(folder.join("merges.txt")).unwrap();
    let merges = merges.lines().skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let end = tokens.iter().position(|token| token == "<|endoftext|>").unwrap();
    let mut token_types = vec![1; tokens.len()];
    token_types[end] = 3;
    let tokenizer = Tokenizer::from_gguf(GgufVocabulary {
        model: "gpt2".into(),
        tokens,
        token_types,
        merges,
        eos: Some(end as u32),
        ..GgufVocabulary::default()
    })
    .unwrap();
    for (text, expected) in
        [("Hello world", vec![15496, 995]), (" the", vec![262]), ("é🙂\n", vec![2634, 8582, 25081, 198])]
    {
        let encoding = tokenizer.encode(text).unwrap();
        assert_eq!(encoding.ids, expected, "{text:?}");
        assert_eq!(tokenizer.decode_text(&encoding.ids), text);
        check_offsets(text, &encoding.offsets);
    }
    assert_eq!(tokenizer.encode("<|endoftext|>").unwrap().ids.len(), 7, "what a user writes is no control token");
    assert_eq!(tokenizer.encode_rendered("<|endoftext|>", &[]).unwrap().ids, [end as u32]);
    assert!(goldens.is_file());
}

#[test]
fn text_of_a_user_never_becomes_a_control_token() {
    let Some(family) = family("gguf") else { return };
    let tokenizer = sentencepiece(&family.join("tokenizer.model"));
    let text = "<s>say </s> now</s>";
    let said = 3..15;
    let encoding = tokenizer.encode_rendered(text, std::slice::from_ref(&said)).unwrap();
    assert_eq!(encoding.ids.first(), tokenizer.bos().as_ref());
    assert_eq!(encoding.ids.iter().filter(|id| tokenizer.eos().contains(id)).count(), 1);
    assert_eq!(encoding.ids.last(), tokenizer.eos().first());
}

#[test]
fn wrong_files_give_clear_errors() {
    let Some(family) = family("gguf") else { return };
    let model = std::fs::read(family.join("tokenizer.model")).unwrap();
    assert!(matches!(Tokenizer::from_sentencepiece(&model[..model.len() - 3]), Err(TokenizerError::SentencePiece(_))));
    assert!(matches!(Tokenizer::from_sentencepiece(b""), Err(TokenizerError::SentencePiece(_))));
    assert!(matches!(Tokenizer::from_tokenizer_json(b"{", None), Err(TokenizerError::Format(_))));
    assert!(matches!(Tokenizer::from_tokenizer_json(b"{}", None), Err(TokenizerError::Format(_))));
    let whole = as_gguf(&sentencepiece(&family.join("tokenizer.model")));
    let with = |change: fn(&mut GgufVocabulary)| {
        let mut changed = whole.clone();
        change(&mut changed);
        Tokenizer::from_gguf(changed).map(|_| ()).unwrap_err()
    };
    assert!(matches!(with(|one| one.model = "bert".into()), TokenizerError::Kind { .. }));
    assert!(matches!(
        with(|one| {
            one.scores.pop();
        }),
        TokenizerError::Vocabulary(_)
    ));
    assert!(matches!(
        with(|one| {
            one.token_types.pop();
        }),
        TokenizerError::Vocabulary(_)
    ));
    assert!(matches!(with(|one| one.eos = Some(1 << 20)), TokenizerError::Vocabulary(_)));
    assert!(matches!(with(|one| one.tokens.clear()), TokenizerError::Vocabulary(_)));
    assert!(matches!(
        with(|one| {
            one.model = "gpt2".into();
            one.pre = Some("poro".into());
        }),
        TokenizerError::Kind { .. }
    ));
    assert!(matches!(
        with(|one| {
            one.model = "gpt2".into();
            one.merges = vec!["no such".into()];
        }),
        TokenizerError::Vocabulary(_)
    ));
}

#[test]
fn ids_outside_the_vocabulary_have_no_text() {
    let model = root().join("fixtures/models/tiny-llama/tokenizer.json");
    let tokenizer = tokenizer_json(&model);
    let mut tokens = tokenizer.encode("I hear you.").unwrap().ids;
    tokens.insert(2, u32::MAX);
    assert_eq!(tokenizer.decode_text(&tokens), "I hear you.");
}

proptest! {
    #[test]
    fn damaged_sentencepiece_files_never_panic(at in 0usize..6000, byte in any::<u8>()) {
        let Some(family) = family("gguf") else { return Ok(()) };
        let mut model = std::fs::read(family.join("tokenizer.model")).unwrap();
        let at = at % model.len();
        model[at] = byte;
        let _ = Tokenizer::from_sentencepiece(&model);
        let _ = Tokenizer::from_sentencepiece(&model[..at]);
    }

    #[test]
    fn any_text_comes_back(text in "\\PC{0,40}") {
        let tokenizer = tokenizer_json(&root().join("fixtures/models/tiny-llama/tokenizer.json"));
        let encoding = tokenizer.encode(&text).unwrap();
        prop_assert_eq!(tokenizer.decode_text(&encoding.ids), text);
    }
}
