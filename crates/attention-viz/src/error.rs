//! What can go wrong with attention files, and what to do about it.

use std::path::{Path, PathBuf};

/// What can go wrong with attention files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Bytes are no attention file.
    #[error("not an attention file: {0}")]
    Format(String),
    /// A file is no attention file.
    #[error("{path}: not an attention file: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file holds a record that can't be shown.
    #[error("{path}: {problem}")]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// The file was written by a newer version of the format.
    #[error("the file has version {found} of the format, this program reads version {known}: use a newer program")]
    Version {
        /// The file's version.
        found: u64,
        /// What this program reads.
        known: u64,
    },
    /// A picture could not be drawn.
    #[error(transparent)]
    Picture(#[from] charts::Error),
    /// The record does not hold what was asked for.
    #[error("{0}")]
    Missing(String),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Whether this file is at fault, rather than what was asked for or where it is written.
    pub fn is_about(&self, file: &Path) -> bool {
        match self {
            Self::Io { path, .. } | Self::File { path, .. } | Self::Record { path, .. } => path == file,
            _ => false,
        }
    }

    /// Names the file that a problem is about.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Format(problem) => Self::File { path: path.to_owned(), problem },
            version @ Self::Version { .. } => Self::File { path: path.to_owned(), problem: version.to_string() },
            other => other,
        }
    }
}
