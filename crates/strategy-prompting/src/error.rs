//! The crate's error: what went wrong, where, and what to do about it.

use std::path::PathBuf;

use llm_runtime::{InvalidOption, RequestError};

/// What can go wrong between a dialogue and its recorded continuations.
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
    /// A name is not one of those that exist.
    #[error("unknown {kind} `{name}` (known: {known})")]
    UnknownName {
        /// What was named: `layout`, `instruction template` …
        kind: &'static str,
        /// The name that was given.
        name: String,
        /// All names that would do, separated by commas.
        known: String,
    },
    /// An instruction template can't be used.
    #[error("instruction template `{template}`: {problem}")]
    Instruction {
        /// Its name or file.
        template: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A dialogue can't be prompted.
    #[error("example {example}: {problem}")]
    Dialogue {
        /// The example's id.
        example: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A setting of a sweep makes no sense.
    #[error("{setting}: {problem}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What was given and what is allowed.
        problem: String,
    },
    /// A response has nothing of what is to be measured; others may have.
    #[error("{problem}{}", listed(known))]
    Unmeasured {
        /// What it lacks.
        problem: String,
        /// What it has instead, separated by commas; may be empty.
        known: String,
    },
    /// A generation option is out of range.
    #[error(transparent)]
    Generation(#[from] InvalidOption),
    /// Another process writes into the folder.
    #[error("{folder}: another process is writing into this folder; wait for it, or choose another folder")]
    Locked {
        /// The output folder.
        folder: PathBuf,
    },
    /// The folder already holds a run and resuming was not asked for.
    #[error("{folder}: the folder already holds a run; resume it, or choose another folder")]
    AlreadyStarted {
        /// The output folder.
        folder: PathBuf,
    },
    /// The folder holds a run with other settings.
    #[error(
        "{manifest}: the folder holds a different run, so it can't be resumed with these settings:\n  {differences}"
    )]
    DifferentRun {
        /// The folder's manifest.
        manifest: PathBuf,
        /// One line per difference: field, value in the folder, value now.
        differences: String,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A line of a JSON Lines file is not what it should be.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A finished record could not be kept. Everything that was finished before stays in the journal.
    #[error(
        "{path}: the record could not be written ({source}); the {kept} records before it are safe: free the disk and resume"
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Records in it.
        kept: usize,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A value could not be written as JSON.
    #[error("{what} could not be written as JSON: {source}")]
    Json {
        /// The value.
        what: &'static str,
        /// The serialiser's answer.
        source: serde_json::Error,
    },
    /// One request failed and the run was asked to stop then.
    #[error("example {example}, strategy {strategy}, layout {layout}: {error}")]
    Request {
        /// The example's id.
        example: String,
        /// The strategy's label.
        strategy: String,
        /// The layout's name.
        layout: &'static str,
        /// Why it failed.
        error: RequestError,
    },
    /// The model ended the whole run.
    #[error(transparent)]
    Model(#[from] llm_runtime::Error),
    /// What a run captured could not be kept.
    #[error("{0}")]
    Keep(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The model answered something that was not asked.
    #[error("the model broke its contract: {0}")]
    Contract(String),
}

fn listed(known: &str) -> String {
    if known.is_empty() { String::new() } else { format!(" (it has: {known})") }
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn json(what: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Json { what, source }
    }
}
