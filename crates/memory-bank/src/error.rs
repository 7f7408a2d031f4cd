//! What can go wrong with a strategy memory.

use std::path::{Path, PathBuf};

/// Why a memory can't be written, read, saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, what was expected.
        problem: String,
    },
    /// A setting or an input that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A sample finds no row of its strategy, and that is refused.
    #[error(
        "{sample} finds no row of its strategy, where the published code makes numbers that are none: let it read a learned vector (`--empty learned`), \
         nothing (`--empty zero`), or give larger batches, which remember more before they are read"
    )]
    NoRows {
        /// Which sample.
        sample: String,
    },
    /// The encoder–decoder says no.
    #[error(transparent)]
    Model(#[from] seq2seq::Seq2SeqError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}

impl MemoryError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn file(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), problem: problem.to_string() }
    }
}

impl From<llm_runtime::Error> for MemoryError {
    fn from(error: llm_runtime::Error) -> Self {
        Self::Model(error.into())
    }
}

impl From<MemoryError> for training::TrainingError {
    fn from(error: MemoryError) -> Self {
        Self::Objective(error.into())
    }
}
