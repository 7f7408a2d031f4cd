//! Tokenisers against SentencePiece and transformers.

use std::path::Path;

use golden_files::{data, family, root};
use llm_runtime::{ControlTokenText, GgufVocabulary, Tokenizer, TokenizerError};
use proptest::prelude::*;
use serde_json::{Value, json as value};

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
    let tokens: Vec<String> = (0..size as u32).map(|id| tokenizer.piece(id).unwrap().to_owned()).collect();
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

/// The scores of a `tokenizer.model`: field 2 of each piece, which is field 1 of the file.
fn scores(model: &[u8]) -> Vec<f32> {
    let (mut scores, mut at) = (Vec::new(), 0);
    while model.get(at) == Some(&0x0A) {
        let (length, begin) = match model[at + 1] {
            long if long >= 0x80 => (usize::from(long & 0x7F) | usize::from(model[at + 2]) << 7, at + 3),
            short => (usize::from(short), at + 2),
        };
        let text = usize::from(model[begin + 1]);
        let bits = &model[begin + text + 3..begin + text + 7];
        scores.push(f32::from_le_bytes(bits.try_into().unwrap()));
        at = begin + length;
    }
    scores
}

/// The three forms of Llama-2's tokeniser.
fn llama2(family: &Path) -> Vec<(&'static str, Tokenizer)> {
    let path = family.join("assets/llama2.tokenizer.model");
    let model = sentencepiece(&path);
    let scores = scores(&std::fs::read(path).unwrap());
    assert_eq!(scores.len(), model.vocabulary_size());
    let gguf = Tokenizer::from_gguf(GgufVocabulary { scores, ..as_gguf(&model) }).unwrap();
    let fast = tokenizer_json(&family.join("assets/llama2.tokenizer.fast_legacy.json"));
    vec![("tokenizer.model", model), ("gguf", gguf), ("tokenizer.json", fast)]
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
    for case in json(goldens)["cases"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text).unwrap().ids, ids(&case["gpt2"]), "{text:?}");
    }
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
    assert!(matches!(Tokenizer::from_sentencepiece(&model[..model.len() - 3]), Err(TokenizerError::Unreadable { .. })));
    assert!(matches!(Tokenizer::from_sentencepiece(b""), Err(TokenizerError::Unreadable { .. })));
    assert!(matches!(Tokenizer::from_tokenizer_json(b"{", None), Err(TokenizerError::Unreadable { .. })));
    assert!(matches!(Tokenizer::from_tokenizer_json(b"{}", None), Err(TokenizerError::Field { .. })));
    let whole = as_gguf(&sentencepiece(&family.join("tokenizer.model")));
    let with = |change: fn(&mut GgufVocabulary)| {
        let mut changed = whole.clone();
        change(&mut changed);
        Tokenizer::from_gguf(changed).map(|_| ()).unwrap_err()
    };
    assert!(matches!(with(|one| one.model = "bert".into()), TokenizerError::Unsupported { .. }));
    assert!(matches!(
        with(|one| {
            one.scores.pop();
        }),
        TokenizerError::Field { .. }
    ));
    assert!(matches!(
        with(|one| {
            one.token_types.pop();
        }),
        TokenizerError::Field { .. }
    ));
    assert!(matches!(with(|one| one.eos = Some(1 << 20)), TokenizerError::Field { .. }));
    assert!(matches!(with(|one| one.tokens.clear()), TokenizerError::Field { .. }));
    assert!(matches!(
        with(|one| {
            one.model = "gpt2".into();
            one.pre = Some("poro".into());
        }),
        TokenizerError::Unsupported { .. }
    ));
    assert!(matches!(
        with(|one| {
            one.model = "gpt2".into();
            one.merges = vec!["no such".into()];
        }),
        TokenizerError::Field { .. }
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

#[test]
fn golden_tokenizers_llama2_without_the_legacy_prefix() {
    let Some(family) = family("tokenizers") else { return };
    let mut tokenizer = json(family.join("assets/llama2.tokenizer.fast_legacy.json"));
    let changes = json(family.join("assets/llama2.tokenizer.fast_nonlegacy.diff.json"));
    for part in ["normalizer", "pre_tokenizer"] {
        tokenizer[part] = changes[part].clone();
    }
    let tokenizer = Tokenizer::from_tokenizer_json(tokenizer.to_string().as_bytes(), None).unwrap();
    for row in lines(&family.join("llama2.jsonl")) {
        let text = row["text"].as_str().unwrap();
        let mut found = tokenizer.encode_rendered(text, &[]).unwrap().ids;
        found.insert(0, tokenizer.bos().unwrap());
        assert_eq!(found, ids(&row["ids"]["fast_nonlegacy"]), "{text:?}");
    }
}

/// A byte-level `tokenizer.json`.
fn byte_level(vocabulary: Value, merges: Value, added: &[(u32, &str, bool)]) -> Result<Tokenizer, TokenizerError> {
    let added = added.iter().map(|(id, text, special)| value!({"id": id, "content": text, "special": special}));
    let json = value!({
        "added_tokens": added.collect::<Vec<_>>(),
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    });
    Tokenizer::from_tokenizer_json(json.to_string().as_bytes(), None)
}

#[test]
fn merges_of_unknown_pieces_are_refused() {
    let vocabulary = value!({"a": 0, "b": 1});
    for merges in [value!(["a b"]), value!([["a", "cccc"]]), value!(["ab"]), value!([1]), value!(null)] {
        let error = byte_level(vocabulary.clone(), merges.clone(), &[]).unwrap_err();
        assert!(
            error.to_string().contains("model.merges") || error.to_string().contains("merges["),
            "{merges}: {error}"
        );
    }
}

#[test]
fn merges_never_make_a_control_token() {
    let vocabulary = value!({"<": 0, "s": 1, ">": 2, "<s>": 3, "<s": 4});
    let tokenizer = byte_level(vocabulary, value!(["< s", "<s >"]), &[(3, "<s>", true)]).unwrap();
    assert_eq!(tokenizer.encode("<s>").unwrap().ids, [4, 2]);
    assert_eq!(tokenizer.encode_rendered("<s>", &[]).unwrap().ids, [3]);
}

#[test]
fn words_of_the_vocabulary_are_never_control_tokens() {
    let tokenizer = Tokenizer::from_gguf(GgufVocabulary {
        model: "gpt2".into(),
        pre: Some("llama-bpe".into()),
        tokens: ["<", "|", "<|"].map(String::from).to_vec(),
        token_types: vec![1, 1, 3],
        ..GgufVocabulary::default()
    });
    assert_eq!(tokenizer.unwrap().encode("<|").unwrap().ids, [0, 1]);
}

#[test]
fn ordinary_added_tokens_keep_their_ids() {
    let added = [(2, "<s>", true), (3, "<x>", false)];
    let tokenizer = byte_level(value!({"a": 0, "b": 1}), value!([]), &added).unwrap();
    assert_eq!(tokenizer.encode("a<x>").unwrap().ids, [0, 3]);
}

#[test]
fn other_models_are_refused_by_name() {
    let json = value!({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}});
    let error = Tokenizer::from_tokenizer_json(json.to_string().as_bytes(), None).unwrap_err();
    assert!(error.to_string().contains("`Unigram`"), "{error}");
}

#[test]
fn the_dummy_prefix_has_no_bytes() {
    let Some(family) = family("tokenizers") else { return };
    for (name, tokenizer) in llama2(&family) {
        assert_eq!(tokenizer.encode("日本").unwrap().offsets, [0..0, 0..3, 3..6], "{name}");
        assert_eq!(tokenizer.encode("🙂").unwrap().offsets, [0..0, 0..4, 0..4, 0..4, 0..4], "{name}");
        assert_eq!(tokenizer.encode(" a").unwrap().offsets, [0..0, 0..2], "{name}");
    }
}

#[test]
fn whole_characters_are_streamed_at_once() {
    let Some(family) = family("tokenizers") else { return };
    for (name, tokenizer) in llama2(&family) {
        let encoding = tokenizer.encode("a\n🙂").unwrap();
        let mut stream = tokenizer.decode_stream();
        let texts: Vec<String> = encoding.ids.iter().map(|id| stream.push(*id).unwrap_or_default()).collect();
        assert_eq!(texts, ["a", "\n", "", "", "", "🙂"], "{name}");
    }
}

#[test]
fn dropout_and_truncation_of_a_file_never_apply() {
    let Some(family) = family("tokenizers") else { return };
    let path = family.join("assets/llama2.tokenizer.fast_legacy.json");
    let expected = tokenizer_json(&path).encode("Hello there, friend").unwrap();
    let mut changed = json(path);
    changed["model"]["dropout"] = value!(1.0);
    changed["truncation"] = value!({"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
    let changed = Tokenizer::from_tokenizer_json(changed.to_string().as_bytes(), None).unwrap();
    assert_eq!(changed.encode("Hello there, friend").unwrap(), expected);
}

#[test]
fn strict_decoding_names_an_id_outside_the_vocabulary() {
    let Some(family) = family("gguf") else { return };
    let tokenizer = sentencepiece(&family.join("tokenizer.model"));
    let error = tokenizer.decode(&[5, 1 << 20], ControlTokenText::Skip).unwrap_err();
    assert_eq!(error, TokenizerError::UnknownId { id: 1 << 20, size: tokenizer.vocabulary_size() });
    assert_eq!(tokenizer.decode(&[1, 2], ControlTokenText::Keep).unwrap(), "<s></s>");
}

#[test]
fn scores_and_ends_of_a_gguf_vocabulary_are_checked() {
    let Some(family) = family("gguf") else { return };
    let whole = as_gguf(&sentencepiece(&family.join("tokenizer.model")));
    let mut without_number = whole.clone();
    without_number.scores[300] = f32::NAN;
    assert!(matches!(Tokenizer::from_gguf(without_number), Err(TokenizerError::Field { .. })));
    let outside = GgufVocabulary { extra_eos: vec![1 << 20], ..whole.clone() };
    assert!(matches!(Tokenizer::from_gguf(outside), Err(TokenizerError::Field { .. })));
    let untyped = Tokenizer::from_gguf(GgufVocabulary { token_types: Vec::new(), ..whole }).unwrap();
    assert_eq!(untyped.encode_rendered("<s>", &[]).unwrap().ids, [1]);
}

proptest! {
    #[test]
    fn streams_add_up_to_the_whole_text(tokens in proptest::collection::vec(0u32..416, 0..12)) {
        let Some(family) = family("gguf") else { return Ok(()) };
        let tokenizer = sentencepiece(&family.join("tokenizer.model"));
        let mut stream = tokenizer.decode_stream();
        let mut streamed: String = tokens.iter().filter_map(|id| stream.push(*id)).collect();
        streamed.push_str(&stream.finish());
        prop_assert_eq!(streamed, tokenizer.decode(&tokens, ControlTokenText::Skip).unwrap());
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Tokenizer::from_sentencepiece(&bytes);
        let _ = Tokenizer::from_tokenizer_json(&bytes, None);
    }

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
