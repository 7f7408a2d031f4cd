//! Where a remembered response comes from.

use serde::{Deserialize, Serialize};

/// What is known of a row of the memory, beside its vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BankRow {
    /// The response.
    pub text: String,
    /// Where it was said.
    pub place: Place,
    /// The writing that brought it, counted from 1; the memory sets it.
    #[serde(default)]
    pub written_at: u64,
    /// How much it helped, by the seeker's feedback (1 to 5); none where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<f32>,
}

/// A turn of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The dialogue's name.
    pub dialogue: String,
    /// The turn's number in it.
    pub turn: usize,
}

impl Place {
    /// Whether it lies in the future of another place: in the same dialogue, there or later. What lies there would tell the answer.
    pub fn is_ahead_of(&self, other: &Self) -> bool {
        self.dialogue == other.dialogue && self.turn >= other.turn
    }
}
