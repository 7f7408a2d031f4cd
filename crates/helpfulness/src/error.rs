//! What can go wrong with a helpfulness model, its records and its rankings.

use std::path::{Path, PathBuf};

/// Why records can't be read, or a helpfulness model can't be built, trained, asked or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelpfulnessError {
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
        /// What is wrong with it, what was expected, what to do.
        problem: String,
    },
    /// A line of a file is not what it should be.
    #[error("{}, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong, what was expected.
        problem: String,
    },
    /// A setting or an input makes no sense, or does not fit the model.
    #[error("{0}")]
    Invalid(String),
    /// A file of data could not be read or written.
    #[error(transparent)]
    Data(#[from] esconv_data::Error),
    /// The encoder says no.
    #[error(transparent)]
    Encoder(#[from] text_encoder::EncoderError),
    /// The encoder–decoder says no.
    #[error(transparent)]
    Seq2Seq(#[from] seq2seq::Seq2SeqError),
    /// Weights could not be read.
    #[error(transparent)]
    Weights(#[from] llm_runtime::Error),
    /// Parameters could not be gathered or written, or training failed.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
    /// Agreement or another statistic has no value.
    #[error(transparent)]
    Statistics(#[from] esc_metrics::Error),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}

impl HelpfulnessError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn file(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), problem: problem.to_string() }
    }
}

impl From<HelpfulnessError> for training::TrainingError {
    fn from(error: HelpfulnessError) -> Self {
        match error {
            HelpfulnessError::Training(error) => error,
            other => Self::Objective(Box::new(other)),
        }
    }
}
