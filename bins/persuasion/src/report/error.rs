//! Why a report can't be made: the file, the place in it, what was expected and what to do.

use std::path::{Path, PathBuf};

/// What can be wrong with the files of a run or study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line of a file is not what it should be.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A file or folder is not what it should be.
    #[error("{path}: {problem}")]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// The record of events is damaged.
    #[error(transparent)]
    Events(#[from] training::tracking::TrackingError),
    /// Numbers of runs can't be compared.
    #[error(transparent)]
    Comparison(#[from] esc_metrics::Error),
    /// Something was asked for in a way that makes no sense.
    #[error("{0}")]
    Setting(String),
}

impl ReportError {
    pub(super) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(super) fn line(path: &Path, line: usize, problem: impl ToString) -> Self {
        Self::Line { path: path.to_owned(), line, problem: problem.to_string() }
    }

    pub(super) fn format(path: &Path, problem: impl ToString) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.to_string() }
    }
}
