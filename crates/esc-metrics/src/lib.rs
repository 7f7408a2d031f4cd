//! Scores of generated responses: every metric a named variant with a signature, equal to the reference tools.
//!
//! "BLEU-4" is a dozen numbers: tokenisation, smoothing and the way items are added up all differ between the tools that papers
//! used. Here each variant has a name of its own, and a report prints it beside the value.

pub mod agreement;
pub mod bertscore;
pub mod bleu;
mod chrf;
mod cider;
pub mod classification;
mod corpus;
pub mod correlation;
mod diversity;
pub mod embedding;
mod error;
pub mod interval;
pub mod judge;
mod lcs;
pub mod meteor;
mod metric;
pub mod ngram;
pub mod perplexity;
pub mod preference_bias;
mod rouge;
mod scorer;
pub mod significance;
mod stem;
pub mod tokenize;
mod unigram_f1;

pub use chrf::Chrf;
pub use cider::{Cider, DocumentFrequencies};
pub use corpus::{Item, TokenId, TokenItem, Vocabulary};
pub use diversity::{Distinct, DistinctPerResponse, Entropy, Length, TooShort, self_bleu};
pub use error::Error;
pub use metric::{ItemView, Metric, Statistics};
pub use rouge::{PrecisionRecall, RougeL, RougeScore};
pub use scorer::{Measured, Scorer};
pub use unigram_f1::UnigramF1;
