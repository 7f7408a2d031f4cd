//! What can be wrong with a corpus: the file, the line, what was expected and what to do.

use std::path::{Path, PathBuf};

/// Why no pairs could be made of a corpus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line or record is not what it should be.
    #[error("{path}: {place}: {problem}")]
    Record {
        /// The file.
        path: PathBuf,
        /// The place in it: `line 7`, `conversation "abc"`.
        place: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A file or folder as a whole is not what it should be.
    #[error("{path}: {problem}")]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// Options that make no sense, or not for this corpus.
    #[error("{0}")]
    Setting(String),
    /// Nothing, or too little, is left.
    #[error("{0}")]
    TooFew(String),
    /// Something stands in two parts.
    #[error("LEAK: {0}")]
    Leak(String),
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] strategy_prompting::Error),
    /// Something has no form in JSON, or a text can't be made tokens of.
    #[error("{0}")]
    Text(String),
}

impl CorpusError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn record(path: &Path, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Record { path: path.to_owned(), place: place.into(), problem: problem.into() }
    }

    /// Whether one record alone is to blame, so that it can be left out.
    pub(crate) fn is_of_one_record(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}
