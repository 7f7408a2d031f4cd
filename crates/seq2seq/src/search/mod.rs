//! Decoding, apart from the model: which ids follow, given the logits.
//!
//! Greedy decoding, beam search, diverse beam search in groups (arXiv:1610.02424) and sampling as transformers 4.38.1 has them, for whole batches.
//! [`decode`] asks a [`StepModel`] for logits, hands each row its own, and tells the model which sequences go on. The rules and the
//! bookkeeping of beams are those of [`llm_runtime::sampling`] and [`llm_runtime::beam`]. [`Seq2SeqModel::generate`](crate::Seq2SeqModel::generate)
//! does it with a whole model, and a [`CachedDecoder`] is any decoder over any states:
//!
//! ```
//! use candle_core::Device;
//! use seq2seq::search::{DecodingOptions, DecodingRow};
//! use seq2seq::{Architecture, Seq2SeqConfig, TrainableSeq2Seq};
//!
//! # fn main() -> Result<(), seq2seq::Seq2SeqError> {
//! let model = TrainableSeq2Seq::fresh(&Seq2SeqConfig::tiny(Architecture::Bart, 10), 1, &Device::Cpu)?.model;
//! let rows: Vec<DecodingRow> = [[4, 5, 6], [6, 5, 4]].iter().map(|ids| model.decoding_row(ids)).collect();
//! let options = DecodingOptions { max_new_tokens: 8, beam_width: 4, num_return_sequences: 2, ..DecodingOptions::default() };
//! let answers = model.generate(&rows, &options)?;
//! assert_eq!((answers.len(), answers[0].len()), (2, 2));
//! assert!(answers[0][0].score >= answers[0][1].score);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A row's ids do not depend on the rows beside it, as far as its logits do not: it has a search of its own, and a stream of its own to draw from.
//! - Rows end by themselves; what has ended is computed no further.
//! - Beams that could only go on with forbidden ids are dropped, where the library carries them on with worthless scores. So a row can
//!   have fewer hypotheses than were asked for, where the rules or the vocabulary leave no more.

mod beams;
mod decode;
mod generate;
mod independent;
mod options;
mod rules;

pub use decode::{decode, go_on_decoding};
pub use generate::CachedDecoder;
pub use options::{DecodingOptions, VarietyRanking};

use llm_runtime::beam::BeamStep;
use llm_runtime::sampling::SamplingError;

use crate::Seq2SeqError;

/// What decoding needs of a model: a set of sequences, each of which grows by an id per step. At first there is one empty sequence per row.
pub trait StepModel: Send {
    /// Number of logits of a sequence.
    fn vocabulary_size(&self) -> usize;

    /// Adds an id to each sequence and gives the logits of what follows: `[sequences, vocabulary]` in row-major order.
    ///
    /// # Errors
    /// The model can't be run.
    fn step(&mut self, last_ids: &[u32]) -> Result<Vec<f32>, Seq2SeqError>;

    /// Makes a new set of sequences: number `i` of it is a copy of number `from[i]`, with the row it belongs to. Sequences may be named
    /// several times or not at all.
    ///
    /// # Errors
    /// The device fails.
    fn reorder(&mut self, from: &[usize]) -> Result<(), Seq2SeqError>;
}

/// A row to be decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodingRow {
    /// What the decoder has said before: its start id, and a prefix where there is one. Of one length in all rows of a batch.
    pub prompt: Vec<u32>,
    /// What the encoder reads, without padding; `encoder_no_repeat_ngram_size` looks at it too. The library's rule takes the padding of
    /// a batch for text, so that a row depends on those beside it there; to have it so, decode padded ids with
    /// [`Seq2SeqModel::generate_over`](crate::Seq2SeqModel::generate_over).
    pub encoder_ids: Vec<u32>,
    /// Which stream of random numbers the row draws from: the number of an example in its file, say, so that the same seed
    /// gives it the same ids in any batch.
    pub stream: u64,
}

/// Ids with a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodingIds {
    /// Ends a sequence.
    pub eos: u32,
    /// What a beam of a finished group counts as having chosen.
    pub pad: u32,
}

/// A sequence that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The new ids, the end-of-sequence id included where there is one.
    pub ids: Vec<u32>,
    /// The log-probability of each id as the rules left it. Of greedy decoding and sampling: of the scores that were chosen from,
    /// normalised. Of beam search: what the id added to the sum, penalties included.
    pub token_logprobs: Vec<f32>,
    /// Their sum divided by length, or what else hypotheses are ordered by: see [`DecodingOptions::length_penalty`] and
    /// [`DecodingOptions::variety_ranking`].
    pub score: f32,
}

/// The search of one row, which begins with one sequence.
trait RowSearch: Send {
    /// How many sequences go on, and how many rows [`Self::advance`] wants. 0: it is over.
    fn live(&self) -> usize;

    /// Takes the logits of each live sequence, and says which sequences there are now: their ids, and which ones of those before they continue.
    fn advance(&mut self, logits: &[&[f32]]) -> Result<Vec<BeamStep>, SamplingError>;

    /// What was found.
    fn finish(self: Box<Self>) -> Vec<Decoded>;
}
