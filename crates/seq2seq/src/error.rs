//! What can go wrong with an encoder–decoder.

use std::path::{Path, PathBuf};

use llm_runtime::InvalidOption;
use llm_runtime::sampling::SamplingError;

/// Why an encoder–decoder can't be loaded, fed, trained or saved.
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
    /// Weights could not be read.
    #[error(transparent)]
    Weights(#[from] llm_runtime::Error),
    /// Parameters could not be gathered, or training failed.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
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

impl Seq2SeqError {
    pub(crate) fn file(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::File { path: path.into(), problem: problem.to_string() }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::file(path, error)
    }
}

impl From<Seq2SeqError> for training::TrainingError {
    fn from(error: Seq2SeqError) -> Self {
        match error {
            Seq2SeqError::Training(error) => error,
            other => Self::Objective(Box::new(other)),
        }
    }
}
