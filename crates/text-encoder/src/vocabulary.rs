//! WordPiece vocabularies learned from texts, and the older forms of tokenizer files in the form of `tokenizer.json`.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::tokenizer::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

use crate::EncoderError;

/// What stands before all pieces.
const CONTROL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Pieces for a WordPiece tokenizer: the control tokens, every character that occurs (alone and inside words), and, as long as
/// there are fewer than `size`, the most frequent whole words. Words that are left out are spelt by their characters, so that nothing that occurs is unknown.
///
/// # Errors
/// A text can't be split into words.
pub fn learn_pieces(texts: &[&str], size: usize) -> Result<Vec<String>, EncoderError> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for text in texts {
        for word in words(text)? {
            *counts.entry(word).or_default() += 1;
        }
    }
    let characters: BTreeSet<char> = counts.keys().flat_map(|word| word.chars()).collect();
    let mut pieces: Vec<String> = CONTROL.map(str::to_owned).to_vec();
    pieces.extend(characters.iter().map(char::to_string));
    pieces.extend(characters.iter().map(|character| format!("##{character}")));
    let mut frequent: Vec<(String, usize)> =
        counts.into_iter().filter(|(word, _)| word.chars().nth(1).is_some()).collect();
    frequent.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    let room = size.saturating_sub(pieces.len());
    pieces.extend(frequent.into_iter().take(room).map(|(word, _)| word));
    Ok(pieces)
}

/// A text's words, lower-cased, as BERT's tokenizer splits them.
fn words(text: &str) -> Result<Vec<String>, EncoderError> {
    let failed = |error: tokenizers::Error| EncoderError::Tokenize(error.to_string());
    let mut normalized = NormalizedString::from(text);
    BertNormalizer::default().normalize(&mut normalized).map_err(failed)?;
    let mut split = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut split).map_err(failed)?;
    let pieces = split.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    Ok(pieces.into_iter().map(|(word, _, _)| word.to_owned()).collect())
}

/// `tokenizer.json` of a WordPiece vocabulary, one piece a line.
pub(crate) fn word_piece_json<'a>(pieces: impl Iterator<Item = &'a str>, lower_case: bool) -> Value {
    let pieces: Vec<&str> = pieces.map(str::trim_end).collect();
    let vocabulary: Map<String, Value> =
        pieces.iter().enumerate().map(|(id, piece)| ((*piece).to_owned(), json!(id))).collect();
    let id = |token: &str| pieces.iter().position(|piece| *piece == token);
    let control: Vec<Value> = CONTROL.iter().filter_map(|token| Some(control_token(token, id(token)?))).collect();
    let special = |token: &str| json!({"id": token, "ids": [id(token)], "tokens": [token]});
    let single = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = |name: &str, kind: u8| json!({"Sequence": {"id": name, "type_id": kind}});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": control,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": lower_case,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [single("[CLS]"), text("A", 0), single("[SEP]")],
            "pair": [
                single("[CLS]"), text("A", 0), single("[SEP]"), text("B", 1),
                {"SpecialToken": {"id": "[SEP]", "type_id": 1}},
            ],
            "special_tokens": {"[CLS]": special("[CLS]"), "[SEP]": special("[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    })
}

/// `tokenizer_config.json` beside it.
pub(crate) fn word_piece_config() -> Map<String, Value> {
    let entries = [
        ("tokenizer_class", json!("BertTokenizer")),
        ("do_lower_case", json!(true)),
        ("pad_token", json!("[PAD]")),
        ("unk_token", json!("[UNK]")),
        ("cls_token", json!("[CLS]")),
        ("sep_token", json!("[SEP]")),
        ("mask_token", json!("[MASK]")),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn control_token(token: &str, id: usize) -> Value {
    json!({
        "id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_words_are_whole_and_others_are_spelt() {
        let pieces = learn_pieces(&["Hope is near.", "hope helps"], 5 + 2 * 11 + 1).unwrap();
        assert_eq!(&pieces[..5], CONTROL);
        assert_eq!(pieces.last().map(String::as_str), Some("hope"), "{pieces:?}");
        assert!(pieces.contains(&"##l".to_owned()) && !pieces.contains(&"helps".to_owned()));
    }
}
