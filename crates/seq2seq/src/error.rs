//! What can go wrong with an encoder–decoder.

use std::path::PathBuf;

use llm_runtime::InvalidOption;
use llm_runtime::sampling::SamplingError;

/// Why an encoder–decoder can't be loaded, fed or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Seq2SeqError {
    /// A file of a model can't be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, what was expected, what to do.
        problem: String,
    },
    /// A configuration or an input that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A setting of decoding that makes no sense.
    #[error(transparent)]
    Option(#[from] InvalidOption),
    /// No id could be chosen for a row.
    #[error("row {row} of the batch: {problem}")]
    Decoding {
        /// Number of the row within the batch.
        row: usize,
        /// What stands in the way.
        problem: SamplingError,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}
