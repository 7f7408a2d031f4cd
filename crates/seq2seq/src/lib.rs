//! BART and BlenderBot-small: one post-norm encoder–decoder, trainable, with cached decoding.

mod error;
pub mod search;

pub use error::Seq2SeqError;
