//! The crate's error.

use std::path::PathBuf;

/// What can go wrong between a model's files and its tokens.
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
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// The architecture is not one of those this crate runs.
    #[error("{path}: the architecture `{architecture}` is not supported (supported: llama, mistral)")]
    Architecture {
        /// The configuration file.
        path: PathBuf,
        /// The architecture's own name.
        architecture: String,
    },
    /// The model or its cache does not fit into memory.
    #[error("{what} needs {needed} of memory, but {available} is available: {advice}")]
    Memory {
        /// What was to be held.
        what: String,
        /// Estimate, with its unit.
        needed: String,
        /// What the machine has, with its unit.
        available: String,
        /// What to do.
        advice: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The chat template can't be used.
    #[error("chat template: {0}")]
    Template(#[from] crate::TemplateError),
    /// The tokenizer can't be used.
    #[cfg(feature = "engine")]
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] crate::TokenizerError),
    /// A model hub did not give what was asked for.
    #[cfg(feature = "engine")]
    #[error("{0}")]
    Hub(#[from] crate::HubError),
    /// A server can't be used: it does not know the key, the model or the address.
    #[error("{0}")]
    Remote(String),
    /// A tensor operation failed.
    #[cfg(feature = "engine")]
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
}
