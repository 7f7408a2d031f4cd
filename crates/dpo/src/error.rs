//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong with pairs, their files and objectives.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DpoError {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}{}: {problem}", line.map_or(String::new(), |line| format!(", line {line}")))]
    Format {
        /// The file.
        path: PathBuf,
        /// The line where the faulty record begins, from 1, where it is known.
        line: Option<u64>,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// A setting or an input makes no sense, or does not fit the others.
    #[error("{0}")]
    Invalid(String),
    /// A model could not be read or run.
    #[error(transparent)]
    Model(#[from] llm_runtime::Error),
    /// Training failed.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl DpoError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn invalid(problem: impl std::fmt::Display) -> Self {
        Self::Invalid(problem.to_string())
    }
}

impl From<DpoError> for training::TrainingError {
    fn from(error: DpoError) -> Self {
        match error {
            DpoError::Training(error) => error,
            other => Self::Objective(Box::new(other)),
        }
    }
}
