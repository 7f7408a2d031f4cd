//! The crate's error.

use std::path::PathBuf;

/// What can go wrong between answers and verdicts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A judge's template can't be used.
    #[error("judge template `{template}`: {problem}")]
    Template {
        /// Its name or file.
        template: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A name is not one of those that exist.
    #[error("unknown judge template `{name}` (known: {known}; or name a file)")]
    UnknownTemplate {
        /// The name that was given.
        name: String,
        /// Names that would do.
        known: String,
    },
    /// A file is not what it should be.
    #[error("{path}{}: {problem}", .row.map(|row| format!(", row {row}")).unwrap_or_default())]
    Format {
        /// The file.
        path: PathBuf,
        /// The row or task, counted from 1, where one is to blame.
        row: Option<usize>,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The judge's model ended the run.
    #[error(transparent)]
    Model(#[from] llm_runtime::Error),
    /// A statistic has no value.
    #[error(transparent)]
    Metrics(#[from] esc_metrics::Error),
    /// What was found could not be kept.
    #[error("{0}")]
    Keep(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
