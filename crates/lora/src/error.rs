//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong with adapters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoraError {
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
    /// A setting makes no sense, or does not fit the model.
    #[error("{0}")]
    Invalid(String),
    /// There is no adapter of this name.
    #[error("there is no adapter `{name}` (there are: {known})")]
    UnknownAdapter {
        /// The name that was given.
        name: String,
        /// Those that exist, separated by commas.
        known: String,
    },
    /// The model could not be read or written.
    #[error(transparent)]
    Model(#[from] llm_runtime::Error),
    /// Parameters could not be gathered or written.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl LoraError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn format(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}
