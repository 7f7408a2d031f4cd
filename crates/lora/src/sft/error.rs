//! What can be wrong with training data: the file, the place in it, what was expected and what to do.

use std::path::PathBuf;

use super::record::Place;

/// What can go wrong between a file and its training examples.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SftError {
    /// A file could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file as a whole is not what it should be.
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// A record is not what it should be.
    #[error("{place}: {problem}")]
    Record {
        /// The file and the record's place in it.
        place: Place,
        /// The field, what was expected there, what to do.
        problem: String,
    },
    /// A record can't be turned into tokens.
    #[error("{place}: {problem}")]
    Encode {
        /// The file and the record's place in it.
        place: Place,
        /// What the template or the tokenizer answered.
        problem: String,
    },
    /// A plain template can't be used.
    #[error("plain template `{name}`: {problem}")]
    Template {
        /// The template's name or file.
        name: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A setting makes no sense.
    #[error("{setting}: {problem}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What was given and what is allowed.
        problem: String,
    },
}
