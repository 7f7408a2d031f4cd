//! The crate's error: it names the file and the place in it, what was expected and what to do.

use std::path::{Path, PathBuf};

use crate::strategy::Strategy;

/// What can be wrong with MAGIC's data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A raw file could not be read or holds no conversations.
    #[error(transparent)]
    Corpus(#[from] esconv_data::Error),
    /// A supporter's turn has no strategy, or one that nobody knows.
    #[error(
        "{path}: dialogue {dialogue}, turn {turn}, sample {sample} (all counted from 0): {}; known are: {}",
        label_problem(label),
        Strategy::names()
    )]
    Label {
        /// The raw file.
        path: PathBuf,
        /// The dialogue's number.
        dialogue: usize,
        /// The turn's number within the dialogue.
        turn: usize,
        /// The number of the first sample that tells this label, where every supporter turn gives a sample.
        sample: usize,
        /// What the file says, if it says anything.
        label: Option<String>,
    },
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
        /// What is wrong and what was expected.
        problem: String,
    },
    /// Two lists that belong together by position differ in length.
    #[error("{path}: holds {found} {what}, but there are {expected} {of}: both have to come from the same data")]
    Length {
        /// The file.
        path: PathBuf,
        /// How many it holds.
        found: usize,
        /// What it holds.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// What each belongs to.
        of: String,
    },
    /// A prompt is too long even with one turn.
    #[error(
        "with only the last turn of the dialogue, prompt and answer have {shortest} tokens, but {limit} are allowed: \
         shorten the template or raise the limit"
    )]
    TooLong {
        /// Tokens with only the last turn.
        shortest: usize,
        /// Tokens that are allowed.
        limit: usize,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Setting(String),
    /// The generator or its memory could not be read, written or run.
    #[error(transparent)]
    Generator(#[from] memory_bank::MemoryError),
    /// The generator's encoder–decoder or its tokenizer could not be read, written or run.
    #[error(transparent)]
    Seq2Seq(#[from] seq2seq::Seq2SeqError),
    /// A prompt is too long, and there is nothing in it that may be dropped.
    #[error(
        "the prompt has {tokens} tokens, but {limit} are allowed beside the answer, and it holds no numbered turns to be dropped: shorten it"
    )]
    NoClip {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that are allowed.
        limit: usize,
    },
    /// A prompt can't be laid before a model.
    #[error(transparent)]
    Layout(#[from] lora::sft::SftError),
    /// A file of rows could not be read or written.
    #[error(transparent)]
    Rows(#[from] strategy_prompting::Error),
    /// A model ended the whole run.
    #[error("{0}")]
    Model(#[from] llm_runtime::Error),
}

fn label_problem(label: &Option<String>) -> String {
    match label {
        Some(label) => format!("the strategy `{label}` is unknown"),
        None => "the supporter's turn has no strategy".into(),
    }
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn format(path: &Path, problem: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), problem: problem.into() }
    }
}
