//! The crate's error: it names the file and the place in it, what was expected and what to do.

use std::path::{Path, PathBuf};

use llm_runtime::input_file;

/// What can be wrong with ThTra's data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A corpus could not be read.
    #[error(transparent)]
    Corpus(#[from] esconv_data::Error),
    /// A turn of a dialogue can't be used.
    #[error("{path}: dialogue {dialogue}, turn {turn} (both counted from 0): {problem}")]
    Turn {
        /// The file.
        path: PathBuf,
        /// The dialogue's number.
        dialogue: usize,
        /// The turn's number within the dialogue.
        turn: usize,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file or folder is not what it should be.
    #[error("{path}: {problem}")]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        problem: String,
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
    /// Records come from conversations that they must not come from.
    #[error(
        "{path}: LEAK: {records} records come from {conversations} conversations that are not among those for {purpose}, the first \
         from conversation {first}{held_by}: a model that has seen them can't be judged. Make the records anew with `thtra process`"
    )]
    Leak {
        /// The file of the records.
        path: PathBuf,
        /// What its records are for.
        purpose: &'static str,
        /// How many are wrong.
        records: usize,
        /// From how many conversations they come.
        conversations: usize,
        /// The first of these, by its number in the corpus.
        first: usize,
        /// Whose conversation that is.
        held_by: String,
    },
    /// A folder was prepared from something else, or in another way.
    #[error("{folder}: {problem}; run `thtra prepare` again")]
    Stale {
        /// The prepared folder.
        folder: PathBuf,
        /// What differs.
        problem: String,
    },
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
    /// Records could not be read or written, or a helpfulness model can't be built or asked.
    #[error(transparent)]
    Helpfulness(Box<helpfulness::HelpfulnessError>),
    /// The tokenizer could not be read or used.
    #[error(transparent)]
    Tokenizer(#[from] seq2seq::Seq2SeqError),
    /// A file could not be written whole, or its rows could not be read.
    #[error(transparent)]
    Rows(Box<strategy_prompting::Error>),
    /// A score could not be computed.
    #[error(transparent)]
    Metrics(#[from] esc_metrics::Error),
    /// A file could not be hashed.
    #[error(transparent)]
    Hash(#[from] llm_runtime::Error),
}

// The largest ones are boxed, so that a result without an error stays small.

impl From<strategy_prompting::Error> for Error {
    fn from(error: strategy_prompting::Error) -> Self {
        Self::Rows(Box::new(error))
    }
}

impl From<helpfulness::HelpfulnessError> for Error {
    fn from(error: helpfulness::HelpfulnessError) -> Self {
        Self::Helpfulness(Box::new(error))
    }
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn line(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self::Line { path: path.to_owned(), line, problem: problem.into() }
    }
}

/// Reads a whole text file.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    input_file::read_text(path).map_err(Error::io(path))
}
