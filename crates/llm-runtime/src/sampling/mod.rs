//! From logits to a token: processors, the chain that applies them, the sampler, log-probabilities.
//!
//! The processors follow the Hugging Face `transformers` library (`LogitsProcessor` and `LogitsWarper`) exactly: a removed
//! token has the score `-inf`, and a chain applies its members in that library's order. They work on plain slices of one row
//! of scores `[vocabulary]`, so that the engine, beam search and the encoder–decoder models share them.
//!
//! - warpers: temperature, top-k, top-p, min-p, typical, epsilon, eta; they reshape a distribution.
//! - penalties: repetition and length; they move scores.
//! - constraints: n-grams, lengths, words; they forbid or force tokens.

mod chain;
mod constraints;
mod logprobs;
mod penalties;
mod sampler;
mod warpers;

pub use chain::{LogitsProcessor, ProcessorChain, Scratch};
pub use constraints::{
    EncoderNoRepeatNgram, ForcedBos, ForcedEos, MinLength, MinNewTokens, NoBadWords, NoRepeatNgram, SuppressTokens,
};
pub(crate) use logprobs::log_softmax_in_place;
pub use logprobs::{LogNormalization, log_softmax, logprob_of, most_likely, top_logprobs};
pub use penalties::{EncoderRepetitionPenalty, ExponentialDecayLengthPenalty, RepetitionPenalty};
pub use sampler::Sampler;
pub use warpers::{Epsilon, Eta, MinP, Temperature, TopK, TopP, Typical};

/// Why no token could be chosen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SamplingError {
    /// A row without any logit.
    #[error("the model gave an empty row of logits: its vocabulary size is 0 or its output head is missing")]
    EmptyRow,
    /// A logit is NaN or `+inf`, before or after the processors. (`-inf` is allowed: it excludes a token.)
    #[error(
        "the score of token {token} is {value}, which is not a number to choose by: \
         the weights are damaged or the model overflows in its number format (try f32 or bf16)"
    )]
    NotFinite {
        /// The first such token.
        token: u32,
        /// Its score.
        value: f32,
    },
    /// The processors, or the model itself, exclude every token.
    #[error(
        "no token is left to choose from: the options exclude the whole vocabulary \
         (loosen no_repeat_ngram_size, min_new_tokens, min_length or the word lists)"
    )]
    NothingLeft,
    /// Beam search was given another number of rows than it has live beams.
    #[error("beam search has {expected} live beams, but was given {got} rows of logits")]
    RowCount {
        /// Live beams.
        expected: usize,
        /// Rows given.
        got: usize,
    },
}

/// Refuses rows that no distribution can be made of.
///
/// # Errors
/// An empty row, or the first token whose score is NaN or `+inf`.
pub(crate) fn check_row(scores: &[f32]) -> Result<(), SamplingError> {
    if scores.is_empty() {
        return Err(SamplingError::EmptyRow);
    }
    match scores.iter().position(|score| score.is_nan() || *score == f32::INFINITY) {
        Some(token) => Err(SamplingError::NotFinite { token: token as u32, value: scores[token] }),
        None => Ok(()),
    }
}
