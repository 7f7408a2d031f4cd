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
mod embedding_metric;
mod error;
#[cfg(feature = "front")]
pub mod front;
pub mod interval;
pub mod judge;
mod lcs;
pub mod meteor;
mod meteor_metrics;
mod metric;
mod named;
pub mod ngram;
pub mod perplexity;
pub mod preference_bias;
mod rouge;
mod scorer;
pub mod significance;
mod stem;
mod suite;
pub mod tokenize;
mod unigram_f1;

pub use chrf::Chrf;
pub use cider::{Cider, DocumentFrequencies};
pub use corpus::{Item, TokenId, TokenItem, Vocabulary};
pub use diversity::{Distinct, DistinctPerResponse, Entropy, Length, TooShort, self_bleu};
pub use embedding_metric::MeanEmbedding;
pub use error::Error;
pub use meteor_metrics::{CorpusMeteor, MeanNltkMeteor};
pub use metric::{ItemView, Metric, Statistics};
pub use named::{METRICS, NamedMetric, Resources};
pub use rouge::{PrecisionRecall, RougeL, RougeScore};
pub use scorer::{Measured, Scorer};
pub use suite::{ComparedRow, Preset, ScoreRow, Scored, Suite};
pub use unigram_f1::UnigramF1;
