//! What is judged.

use llm_runtime::{Message, Role};
use serde::{Deserialize, Serialize};

/// Two answers to the same conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairItem {
    /// Names the pair; unique among those that are judged together.
    pub id: String,
    /// The conversation; intervals draw whole ones.
    pub conversation: String,
    /// The strategy, which results are also told by.
    pub strategy: String,
    /// What the answers were asked to do.
    pub instruction: String,
    /// The conversation so far.
    pub history: Vec<Message>,
    /// The first system's answer.
    pub first: String,
    /// The second system's answer.
    pub second: String,
}

/// One answer to a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingItem {
    /// Names the answer; unique among those that are judged together.
    pub id: String,
    /// The conversation; intervals draw whole ones.
    pub conversation: String,
    /// The strategy, which results are also told by.
    pub strategy: String,
    /// What the answer was asked to do.
    pub instruction: String,
    /// The conversation so far.
    pub history: Vec<Message>,
    /// The answer.
    pub response: String,
}

/// The conversation as a judge reads it: a line per turn.
pub(crate) fn written_history(history: &[Message]) -> String {
    let line = |message: &Message| {
        let speaker = match message.role {
            Role::User => "seeker",
            Role::Assistant => "supporter",
            Role::System => "system",
        };
        format!("{speaker}: {}", message.content.trim())
    };
    history.iter().map(line).collect::<Vec<_>>().join("\n")
}
