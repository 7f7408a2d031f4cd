//! Scores of generated responses: every metric a named variant with a signature, equal to the reference tools.
//!
//! "BLEU-4" is a dozen numbers: tokenisation, smoothing and the way items are added up all differ between the tools that papers
//! used. Here each variant has a name of its own, and a report prints it beside the value.

pub mod agreement;
pub mod bertscore;
pub mod classification;
pub mod correlation;
pub mod embedding;
mod error;
pub mod interval;
pub mod judge;
pub mod meteor;
pub mod perplexity;
pub mod preference_bias;
pub mod significance;
mod stem;
pub mod tokenize;

pub use error::Error;
