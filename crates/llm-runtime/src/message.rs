//! Chat messages whose text remembers its parts.
//!
//! A prompt builder knows, while it writes, which bytes are the strategy's description and which are turn 3. Searching
//! for them in the rendered prompt afterwards is ambiguous (a strategy's label may occur in the dialogue), so a
//! [`Message`] carries [`Part`]s: labelled byte ranges of its own content. [`crate::ChatTemplate::render`] moves them to
//! ranges of the rendered text, and the tokenizer's offsets turn those into token ranges.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Who says a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand before the dialogue.
    System,
    /// The person who writes to the model (in ESConv: the seeker).
    User,
    /// The model (in ESConv: the supporter).
    Assistant,
}

impl Role {
    /// The role's name in chat templates: `system`, `user` or `assistant`.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// A labelled byte range of a text. Parts may nest and may touch; they are `char` boundaries of the text they refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What the range holds, e.g. `strategy_name` or `turn:3`. The crate that builds the prompt chooses the labels.
    pub label: String,
    /// Bytes, end exclusive.
    pub range: Range<usize>,
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// The text, as the template will see it.
    pub content: String,
    /// Labelled byte ranges of `content`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl Message {
    /// A message without parts.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), parts: Vec::new() }
    }

    /// A system message.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// A user message.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// An assistant message.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// Labels the whole content.
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        let range = 0..self.content.len();
        self.parts.push(Part { label: label.into(), range });
        self
    }

    /// Appends text that belongs to no part of its own.
    pub fn push(&mut self, text: &str) {
        self.content.push_str(text);
    }

    /// Appends text and labels it.
    pub fn push_part(&mut self, label: impl Into<String>, text: &str) {
        let start = self.content.len();
        self.content.push_str(text);
        self.parts.push(Part { label: label.into(), range: start..self.content.len() });
    }

    /// Appends another text with its parts, shifted to where it now stands.
    pub fn push_labelled(&mut self, text: &str, parts: &[Part]) {
        let start = self.content.len();
        self.content.push_str(text);
        self.parts.extend(
            parts.iter().map(|part| Part {
                label: part.label.clone(),
                range: part.range.start + start..part.range.end + start,
            }),
        );
    }
}
