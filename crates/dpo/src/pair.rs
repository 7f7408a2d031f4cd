//! A pair of replies to one prompt, of which one is preferred.

use llm_runtime::Message;
use serde_json::{Map, Value};

/// A prompt as text, or as the turns of a chat.
#[derive(Debug, Clone, PartialEq)]
pub enum PairText {
    /// Text.
    Plain(String),
    /// Turns; a chat template makes text of them.
    Chat(Vec<Message>),
}

/// A prompt with a reply that is preferred and one that is not.
#[derive(Debug, Clone, PartialEq)]
pub struct PreferencePair {
    /// Names the pair in tables; unique in a file. Where a file has none, its place (from 0) in the file.
    pub id: String,
    /// What pairs of one prompt have in common (a post's id, a topic): splits and intervals go by it. Where a file has none, the prompt.
    pub group: String,
    /// What is replied to.
    pub prompt: PairText,
    /// The preferred reply.
    pub chosen: String,
    /// The other reply.
    pub rejected: String,
    /// Further fields of the file, as they were.
    pub other: Map<String, Value>,
}
