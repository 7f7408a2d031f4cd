//! BART and BlenderBot-small: one post-norm encoder–decoder, trainable, with cached decoding.

mod error;
mod tokenizer;

pub use error::Seq2SeqError;
pub use tokenizer::{
    AddedTokenKind, Segment, Seq2SeqTokenizer, SpecialIds, TokenizerKind, Truncation, TruncationSide, clean_up_english,
};
