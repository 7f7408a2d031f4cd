//! Byte pairs learned from texts, for models that begin from nothing.

use std::collections::BTreeSet;

use llm_runtime::tokenizer::{Merge, Vocabulary, byte_level_json};
use serde_json::{Map, Value};
use tokenizers::models::bpe::{BPE, BpeTrainer, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel as ByteLevelWords;
use tokenizers::tokenizer::{
    AddedToken as TrainerToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer,
};

use super::blenderbot_small::{CONTINUED, NEWLINE, pieces};
use super::pair_merges::{END_OF_WORD, PairMerges};
use super::{BlenderbotSmall, ByteLevel, Configuration, Core, Seq2SeqTokenizer, TokenizerKind, invalid};
use crate::Seq2SeqError;

/// What stands before all pieces, in BlenderBot-small's order.
const FIRST_OF_BLENDERBOT: [&str; 5] = ["__null__", "__start__", "__end__", "__unk__", NEWLINE];

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
    let alphabet = ByteLevelWords::alphabet().into_iter().collect();
    let trainer = BpeTrainer::builder().vocab_size(size - 1).special_tokens(special(&FIRST)).initial_alphabet(alphabet);
    let model = train(trainer, texts, words)?;
    let mut vocabulary = Vocabulary::default();
    for (id, piece) in learned_pieces(&model)? {
        vocabulary.insert(id, piece);
    }
    let behind = u32::try_from(vocabulary.size()).map_err(invalid)?;
    vocabulary.insert(behind, LAST);
    let json = byte_level_json(&vocabulary, &learned_merges(&model)).map_err(invalid)?;
    let configuration = Configuration::default();
    let roles = configuration.roles(TokenizerKind::Bart, &vocabulary, &[]);
    let own = serde_json::from_value(json["added_tokens"].clone()).map_err(invalid)?;
    let added = configuration.added_tokens(own, &roles, &vocabulary)?;
    let core = ByteLevel::new(json, &added).map_err(invalid)?;
    Seq2SeqTokenizer::assemble(Core::Bart(Box::new(core)), roles, added, Map::<String, Value>::new())
}

/// Learns BlenderBot-small's kind of vocabulary of about `size` tokens: all letters there are, within words and at their ends, have their place in any case.
pub(super) fn blenderbot_small(texts: &[&str], size: usize) -> Result<Seq2SeqTokenizer, Seq2SeqError> {
    // The trainer numbers last letters as it meets them, in no order: it is told of them before.
    let last_letters = last_letters(texts);
    let first: Vec<&str> = FIRST_OF_BLENDERBOT.into_iter().chain(last_letters.iter().map(String::as_str)).collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(size)
        .special_tokens(special(&first))
        .end_of_word_suffix(END_OF_WORD.to_owned());
    let model = train(trainer, texts, |text| Ok(lower_pieces(text).collect()))?;
    let mut vocabulary = Vocabulary::default();
    for (id, piece) in learned_pieces(&model)? {
        match (piece.strip_suffix(END_OF_WORD), FIRST_OF_BLENDERBOT.contains(&piece)) {
            (Some(whole), _) => vocabulary.insert(id, whole),
            (None, true) => vocabulary.insert(id, piece),
            (None, false) => vocabulary.insert(id, &format!("{piece}{CONTINUED}")),
        }
    }
    let merges = PairMerges::new(&learned_merges(&model));
    let configuration = Configuration::default();
    let roles = configuration.roles(TokenizerKind::BlenderbotSmall, &vocabulary, &[]);
    let added = configuration.added_tokens(Vec::new(), &roles, &vocabulary)?;
    let unknown =
        vocabulary.id(FIRST_OF_BLENDERBOT[3]).ok_or_else(|| invalid("a learned vocabulary has no `__unk__`"))?;
    let core = BlenderbotSmall::new(vocabulary, merges, unknown, &added);
    Seq2SeqTokenizer::assemble(Core::BlenderbotSmall(Box::new(core)), roles, added, Map::new())
}

fn lower_pieces(text: &str) -> impl Iterator<Item = String> {
    pieces(text).filter(|piece| *piece != NEWLINE).map(str::to_lowercase)
}

/// The letters at the ends of words, as the trainer spells them.
fn last_letters(texts: &[&str]) -> BTreeSet<String> {
    let pieces = texts.iter().flat_map(|text| lower_pieces(text));
    pieces.filter_map(|piece| Some(format!("{}{END_OF_WORD}", piece.chars().next_back()?))).collect()
}

fn special(tokens: &[&str]) -> Vec<TrainerToken> {
    tokens.iter().map(|token| TrainerToken::from(*token, true)).collect()
}

/// The learned model, as its JSON.
fn train(
    trainer: BpeTrainerBuilder,
    texts: &[&str],
    words: impl Fn(&str) -> tokenizers::Result<Vec<String>> + Sync,
) -> Result<Value, Seq2SeqError> {
    let mut trainer = trainer.min_frequency(LEAST_FREQUENCY).show_progress(false).build();
    let mut model = BPE::default();
    trainer.feed(texts.iter(), words).and_then(|()| trainer.train(&mut model)).map_err(invalid)?;
    serde_json::to_value(&model).map_err(invalid)
}

fn learned_pieces(model: &Value) -> Result<Vec<(u32, &str)>, Seq2SeqError> {
    let pieces = model["vocab"].as_object().into_iter().flatten().map(|(piece, id)| {
        let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
        Ok((id.ok_or_else(|| invalid("a learned piece has no id"))?, piece.as_str()))
    });
    pieces.collect()
}

fn learned_merges(model: &Value) -> Vec<Merge<'_>> {
    let pairs = model["merges"].as_array().into_iter().flatten().enumerate();
    pairs
        .filter_map(|(number, pair)| {
            Some(Merge { line: number + 1, left: pair[0].as_str()?, right: pair[1].as_str()? })
        })
        .collect()
}

/// A text's words, spelt in bytes.
fn words(text: &str) -> tokenizers::Result<Vec<String>> {
    let mut split = PreTokenizedString::from(text);
    ByteLevelWords::new(false, true, true).pre_tokenize(&mut split)?;
    let words = split.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    Ok(words.into_iter().map(|(word, ..)| word.to_owned()).collect())
}
