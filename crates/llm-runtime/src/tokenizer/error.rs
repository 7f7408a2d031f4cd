//! What can be wrong with a tokenizer or with what it is given.

/// Why a tokenizer can't be built or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// The bytes are not a tokenizer of the expected format.
    #[error("not a readable {format}: {problem}; is the file whole, and of this kind?")]
    Unreadable {
        /// `tokenizer.json`, `tokenizer_config.json` or `tokenizer.model (SentencePiece)`.
        format: &'static str,
        /// What is wrong and where.
        problem: String,
    },
    /// The tokenizer uses something that this crate does not implement.
    #[error("the {what} `{found}` is not supported (supported: {supported}): give another tokenizer")]
    Unsupported {
        /// Which part of the tokenizer.
        what: &'static str,
        /// What it asks for.
        found: String,
        /// What would work.
        supported: &'static str,
    },
    /// A field holds something impossible.
    #[error("`{field}`: {problem}")]
    Field {
        /// The field, in the notation of its format.
        field: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// An id that no token has.
    #[error("token id {id} is outside the vocabulary of {size} tokens")]
    UnknownId {
        /// The id.
        id: u32,
        /// The vocabulary's size.
        size: usize,
    },
    /// The text could not be tokenised.
    #[error("the text could not be tokenised: {0}")]
    Encode(String),
}

impl TokenizerError {
    pub(super) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }
}
