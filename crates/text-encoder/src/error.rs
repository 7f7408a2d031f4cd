//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong with an encoder, its files and its texts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// The model is of a kind that this crate does not run.
    #[error("{path}: the architecture `{architecture}` is not supported (supported: bert, roberta, xlm-roberta)")]
    Architecture {
        /// The configuration file.
        path: PathBuf,
        /// The architecture's own name.
        architecture: String,
    },
    /// A setting or an input makes no sense, or does not fit the model.
    #[error("{0}")]
    Invalid(String),
    /// A text could not be tokenised.
    #[error("the text could not be tokenised: {0}")]
    Tokenize(String),
    /// Weights could not be read.
    #[error(transparent)]
    Model(#[from] llm_runtime::Error),
    /// Parameters could not be gathered or written.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
    /// Predictions could not be scored.
    #[error(transparent)]
    Scores(#[from] esc_metrics::Error),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl EncoderError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn format(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}

impl From<EncoderError> for training::TrainingError {
    fn from(error: EncoderError) -> Self {
        match error {
            EncoderError::Training(error) => error,
            other => Self::Objective(Box::new(other)),
        }
    }
}
