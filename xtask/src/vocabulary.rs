//! Vocabularies of the shipped models: byte-pair pieces learned from their own texts, in the form of a Llama tokenizer.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use tokenizers::Model;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::tokenizer::Trainer;

/// Control tokens and byte tokens stand before the learned pieces.
pub(crate) const FIRST_PIECE: usize = 3 + 256;

/// `<unk> <s> </s>`, the bytes, then characters and merges learned from words (each with a blank before it), most frequent
/// first; `size` pieces in all.
pub(crate) fn learn<'a>(words: impl Iterator<Item = &'a str> + Send, size: usize) -> Result<Vec<String>, String> {
    let trainer = BpeTrainer::builder().vocab_size(size - FIRST_PIECE).show_progress(false).build();
    let mut trainer = TrainerWrapper::from(trainer);
    trainer.feed(words, |word| Ok(vec![format!("▁{word}")])).map_err(|error| error.to_string())?;
    let mut model = tokenizers::ModelWrapper::BPE(BPE::default());
    trainer.train(&mut model).map_err(|error| error.to_string())?;
    let learned: BTreeMap<u32, String> = model.get_vocab().into_iter().map(|(piece, id)| (id, piece)).collect();
    let control = ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter();
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    Ok(control.chain(bytes).chain(learned.into_values()).collect())
}

/// The pieces as a `tokenizer.json`.
pub(crate) fn tokenizer(pieces: &[String]) -> serde_json::Value {
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        pieces.iter().enumerate().map(|(id, piece)| (piece.clone(), id.into())).collect();
    let special = |id: usize| {
        json!({
            "id": id, "content": pieces[id], "special": true,
            "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    json!({
        "version": "1.0",
        "added_tokens": [special(0), special(1), special(2)],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": vocabulary, "merges": merges(pieces)},
    })
}

/// All ways to split a piece into two pieces, in the order in which SentencePiece would merge: by the whole's rank.
fn merges(pieces: &[String]) -> Vec<[&str; 2]> {
    let ids: HashMap<&str, usize> =
        pieces.iter().enumerate().skip(FIRST_PIECE).map(|(id, piece)| (piece.as_str(), id)).collect();
    pieces[FIRST_PIECE..]
        .iter()
        .flat_map(|piece| {
            let mut splits: Vec<(usize, usize, [&str; 2])> = piece
                .char_indices()
                .skip(1)
                .map(|(at, _)| piece.split_at(at))
                .filter_map(|(left, right)| Some((*ids.get(left)?, *ids.get(right)?, [left, right])))
                .collect();
            splits.sort_unstable();
            splits.into_iter().map(|(_, _, pair)| pair)
        })
        .collect()
}

/// `tokenizer_config.json` with a chat template.
pub(crate) fn tokenizer_config(template: &str) -> serde_json::Value {
    json!({
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_bos_token": true, "add_eos_token": false,
        "chat_template": template,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_follow_the_rank_of_the_whole() {
        let control = (0..FIRST_PIECE).map(|id| format!("<{id}>"));
        let pieces: Vec<String> = control.chain(["a", "b", "c", "bc", "ab", "abc"].map(str::to_owned)).collect();
        assert_eq!(merges(&pieces), [["b", "c"], ["a", "b"], ["a", "bc"], ["ab", "c"]]);
    }
}
