//! What sides are asked and answer.

use serde::{Deserialize, Serialize};

/// What is asked of a side.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Request {
    /// Outputs of exactly `new` tokens, by beam search.
    Decode {
        /// What the encoder reads.
        inputs: Vec<Vec<u32>>,
        /// Beam width.
        beams: usize,
        /// New tokens.
        new: usize,
    },
    /// All candidates, by diverse beam search with one beam in a group.
    Candidates {
        /// What the encoder reads, of several lengths.
        inputs: Vec<Vec<u32>>,
        /// What each decoder has said before.
        prompts: Vec<Vec<u32>>,
        /// Beams, groups, and hypotheses that are given.
        candidates: usize,
        /// Taken off for each earlier group that chose an id.
        penalty: f32,
        /// New tokens at most; the last possible one ends the output.
        new: usize,
        /// Tokens before the end at least, those of the prompt included.
        least: usize,
        /// What is never said.
        banned: Vec<u32>,
    },
    /// The batch of all training steps; nothing is answered.
    Lesson {
        /// What the encoder reads.
        inputs: Vec<Vec<u32>>,
        /// What the decoder shall say.
        labels: Vec<Vec<u32>>,
    },
    /// A training step.
    Step {},
}

/// What a side answers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    /// That the work took.
    pub(crate) seconds: f64,
    /// The best outputs' new tokens, or those of all candidates.
    pub(crate) ids: Vec<Vec<u32>>,
    /// Before the step.
    pub(crate) loss: Option<f64>,
    /// Before clipping.
    pub(crate) gradient_norm: Option<f64>,
    /// Of its resident memory so far.
    pub(crate) peak_bytes: u64,
}
