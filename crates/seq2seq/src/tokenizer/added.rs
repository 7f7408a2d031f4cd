//! Tokens that stand beside what byte pairs make: those with a role, and those that were added.

use llm_runtime::tokenizer::ControlToken;
use serde::{Deserialize, Serialize};

/// What an added token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddedTokenKind {
    /// A sign and no text: plain text never becomes it, and decoding can skip it. Strategy tokens are such.
    Special,
    /// A piece of text that is found before all others, wherever it stands.
    Ordinary,
}

/// An added token, as files have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    pub(super) special: bool,
    /// The vocabulary of the file has it not.
    #[serde(skip)]
    pub(super) is_extra: bool,
}

impl AddedToken {
    /// A token that takes no blanks.
    pub(super) fn new(id: u32, content: &str, kind: AddedTokenKind) -> Self {
        Self {
            id,
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: kind == AddedTokenKind::Special,
            is_extra: false,
        }
    }

    pub(super) fn control_token(&self) -> ControlToken {
        ControlToken {
            strips_left: self.lstrip,
            strips_right: self.rstrip,
            single_word: self.single_word,
            ..ControlToken::new(self.id, &self.content)
        }
    }
}
