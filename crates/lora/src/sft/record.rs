//! One training record, whatever file it came from.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use llm_runtime::{Message, Role};

/// A record's number in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Position {
    /// A line of a JSON Lines file, counted from 1, blank lines included.
    Line(usize),
    /// An item of a JSON array, counted from 1.
    Item(usize),
}

/// Where a record stands: what an error about it names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file, or any name for records made in memory. Shared by all records of a file.
    pub file: Arc<Path>,
    /// The record's number in it.
    pub position: Position,
}

impl Place {
    /// The `number`th item (from 1) of a source that is no file.
    pub fn item(source: &str, number: usize) -> Self {
        Self { file: Arc::from(Path::new(source)), position: Position::Item(number) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Position::Line(number) => write!(f, "{}, line {number}", self.file.display()),
            Position::Item(number) => write!(f, "{}, item {number}", self.file.display()),
        }
    }
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SftContent {
    /// A conversation that ends with the assistant's answer, for a template to render. A user's message may have the parts
    /// [`SftRecord::INSTRUCTION`] and [`SftRecord::INPUT`].
    Chat(Vec<Message>),
    /// Text and its continuation, taken as they are: no template, and no control tokens in either.
    Text {
        /// What the model is given. May be empty where a beginning of sequence stands before it.
        prompt: String,
        /// What it is to write.
        completion: String,
    },
}

/// A training record and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftRecord {
    /// Where it comes from.
    pub place: Place,
    /// What it says.
    pub content: SftContent,
}

impl SftRecord {
    /// Label of the part of a user's message that holds the task itself.
    pub const INSTRUCTION: &'static str = "instruction";
    /// Label of the part of a user's message that holds the material of the task. It is what a length limit cuts first.
    pub const INPUT: &'static str = "input";

    /// A conversation.
    pub fn chat(place: Place, messages: Vec<Message>) -> Self {
        Self { place, content: SftContent::Chat(messages) }
    }

    /// A text and its continuation.
    pub fn text(place: Place, prompt: impl Into<String>, completion: impl Into<String>) -> Self {
        Self { place, content: SftContent::Text { prompt: prompt.into(), completion: completion.into() } }
    }
}

impl SftContent {
    /// The text that is learned in any case: the last message, or the completion.
    pub fn completion(&self) -> &str {
        match self {
            Self::Chat(messages) => messages.last().map_or("", |message| &message.content),
            Self::Text { completion, .. } => completion,
        }
    }

    /// What keeps a record from being learned; `None` if nothing does.
    pub(super) fn problem(&self) -> Option<String> {
        if let Self::Chat(messages) = self {
            let Some(last) = messages.last() else {
                return Some(
                    "there are no messages: expected at least one of the user and one of the assistant".into(),
                );
            };
            if last.role != Role::Assistant {
                let role = last.role.as_str();
                return Some(format!(
                    "the last message is the {role}'s: expected the assistant's answer, which is what is learned; add it or remove the record"
                ));
            }
            if messages.iter().skip(1).any(|message| message.role == Role::System) {
                return Some("a system message stands after the first message: put it first or remove it".into());
            }
        }
        let is_blank = self.completion().trim().is_empty();
        is_blank.then(|| "the answer to be learned is blank: fill it or remove the record".into())
    }
}
