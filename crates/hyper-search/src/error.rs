//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong with a study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line of a journal is not what it should be.
    #[error("{path}, line {line}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// A parameter's distribution makes no sense, or is not the one it had before.
    #[error("the parameter `{name}`: {problem}")]
    Distribution {
        /// The parameter.
        name: String,
        /// What is wrong, what was expected.
        problem: String,
    },
    /// A setting makes no sense.
    #[error("the setting `{setting}`: {problem}")]
    Setting {
        /// The setting.
        setting: String,
        /// What is wrong, what was expected.
        problem: String,
    },
    /// A study can't go on in this way.
    #[error("{0}")]
    Search(String),
    /// A trial is no longer this process' own.
    #[error(
        "trial {trial} is no longer this process' own: it was not heard of for too long, or ended; what it does now does not count"
    )]
    Lost {
        /// Its number.
        trial: u64,
    },
    /// A figure could not be written.
    #[error(transparent)]
    Chart(#[from] charts::Error),
}

impl SearchError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn format(path: &Path, line: u64, problem: impl std::fmt::Display) -> Self {
        Self::Format { path: path.into(), line, problem: problem.to_string() }
    }

    pub(crate) fn distribution(name: &str, problem: impl std::fmt::Display) -> Self {
        Self::Distribution { name: name.into(), problem: problem.to_string() }
    }

    pub(crate) fn setting(setting: &str, problem: impl std::fmt::Display) -> Self {
        Self::Setting { setting: setting.into(), problem: problem.to_string() }
    }
}
