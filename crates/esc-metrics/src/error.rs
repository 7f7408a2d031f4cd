//! What can be wrong with what is to be scored, and with the resources that scoring reads.

use std::path::PathBuf;

/// What can be wrong with what is to be scored, and with the resources that scoring reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two lists that belong together differ in length.
    #[error("{what}: {left} and {right}, but there must be as many of the one as of the other")]
    Lengths {
        /// What was to be paired, e.g. `hypotheses and references`.
        what: &'static str,
        /// Length of the first.
        left: usize,
        /// Length of the second.
        right: usize,
    },
    /// There is nothing to score.
    #[error("there is nothing to score: {0}")]
    Empty(&'static str),
    /// An item has no reference.
    #[error("item {0} has no reference")]
    NoReference(usize),
    /// A metric is not defined for what it was given.
    #[error("{metric}: {problem}")]
    Undefined {
        /// The metric's name.
        metric: &'static str,
        /// Why it has no value here.
        problem: String,
    },
    /// A setting is out of range or unknown.
    #[error("{0}")]
    Setting(String),
    /// A model that scores failed.
    #[error("the model that scores: {0}")]
    Model(String),
    /// A resource (tables of NLTK, METEOR or WordNet, word vectors) can't be read.
    #[error("{path}: {problem}")]
    Resource {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
}

impl Error {
    /// A failure of a model.
    pub fn model(error: impl std::fmt::Display) -> Self {
        Self::Model(error.to_string())
    }
}
