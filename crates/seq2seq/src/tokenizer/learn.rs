//! Byte pairs learned from texts, for models that begin from nothing.

use llm_runtime::tokenizer::{Merge, Vocabulary, byte_level_json};
use serde_json::{Map, Value};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel as ByteLevelWords;
use tokenizers::tokenizer::{
    AddedToken as TrainerToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer,
};

use super::{ByteLevel, Configuration, Core, Seq2SeqTokenizer, TokenizerKind, invalid};
use crate::Seq2SeqError;

/// What stands before all pieces, in BART's order.
const FIRST: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
/// What stands behind them.
const LAST: &str = "<mask>";
const BYTES: usize = 256;

/// A pair that occurs once says nothing about the language.
const LEAST_FREQUENCY: u64 = 2;

/// Learns a vocabulary of at most `size` tokens.
pub(super) fn byte_pairs(texts: &[&str], size: usize) -> Result<Seq2SeqTokenizer, Seq2SeqError> {
    let least = FIRST.len() + BYTES + 1;
    if size < least {
        return Err(Seq2SeqError::Invalid(format!(
            "a vocabulary of {size} tokens: at least {least} are needed, for the bytes and the special tokens"
        )));
    }
    let model = train(texts, size - 1).map_err(invalid)?;
    let model = serde_json::to_value(&model).map_err(invalid)?;
    let mut vocabulary = Vocabulary::default();
    for (piece, id) in model["vocab"].as_object().into_iter().flatten() {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        vocabulary.insert(id.ok_or_else(|| invalid("a learned piece has no id"))?, piece);
    }
    let behind = u32::try_from(vocabulary.size()).map_err(invalid)?;
    vocabulary.insert(behind, LAST);
    let pairs = model["merges"].as_array().into_iter().flatten().enumerate();
    let merges: Vec<Merge<'_>> = pairs
        .filter_map(|(number, pair)| {
            Some(Merge { line: number + 1, left: pair[0].as_str()?, right: pair[1].as_str()? })
        })
        .collect();
    let json = byte_level_json(&vocabulary, &merges).map_err(invalid)?;
    let configuration = Configuration::default();
    let roles = configuration.roles(TokenizerKind::Bart, &vocabulary, &[]);
    let own = serde_json::from_value(json["added_tokens"].clone()).map_err(invalid)?;
    let added = configuration.added_tokens(own, &roles, &vocabulary)?;
    let core = ByteLevel::new(json, &added).map_err(invalid)?;
    Seq2SeqTokenizer::assemble(Core::Bart(Box::new(core)), roles, added, Map::<String, Value>::new())
}

fn train(texts: &[&str], size: usize) -> tokenizers::Result<BPE> {
    let mut trainer = BpeTrainer::builder()
        .vocab_size(size)
        .min_frequency(LEAST_FREQUENCY)
        .show_progress(false)
        .special_tokens(FIRST.map(|token| TrainerToken::from(token, true)).to_vec())
        .initial_alphabet(ByteLevelWords::alphabet().into_iter().collect())
        .build();
    trainer.feed(texts.iter(), words)?;
    let mut model = BPE::default();
    trainer.train(&mut model)?;
    Ok(model)
}

/// A text's words, spelt in bytes.
fn words(text: &str) -> tokenizers::Result<Vec<String>> {
    let mut split = PreTokenizedString::from(text);
    ByteLevelWords::new(false, true, true).pre_tokenize(&mut split)?;
    let words = split.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    Ok(words.into_iter().map(|(word, ..)| word.to_owned()).collect())
}
