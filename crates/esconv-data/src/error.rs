//! The crate's error: it names the file, the place in it, what was expected and what to do.

use std::path::{Path, PathBuf};

use llm_runtime::input_file;

/// What can be wrong with data.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {place}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in the file: a line, a conversation, a field.
        place: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A strategy or strategy set of an unknown name.
    #[error("{0}")]
    Strategy(String),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), place: place.into(), problem: problem.into() }
    }
}

/// Reads a whole text file.
///
/// # Errors
/// It can't be read, or is not UTF-8: the line is named.
pub fn read_text(path: &Path) -> Result<String, Error> {
    input_file::read_text(path).map_err(Error::io(path))
}
