//! What sides are asked and answer.

use benches::limits::Limits;
use benches::model_work::ModelWork;
use serde::{Deserialize, Serialize};

/// A request to a side.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Request {
    /// What model it is.
    Describe {},
    /// Exactly `new_tokens` behind each prompt, greedily.
    Generate {
        /// Token ids.
        prompts: Vec<Vec<u32>>,
        /// New tokens of each.
        new_tokens: usize,
        /// Nothing computed before may be used. Prompts of two requests never begin alike unless this is false.
        fresh: bool,
    },
    /// Log-probabilities of continuations.
    Score {
        /// Token ids.
        prompts: Vec<Vec<u32>>,
        /// What stands behind each of them.
        continuations: Vec<Vec<u32>>,
    },
    /// What all training steps learn; nothing is answered.
    Lesson {
        /// Token ids.
        sequences: Vec<Vec<u32>>,
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
    /// Of its resident memory so far.
    pub(crate) peak_bytes: u64,
    /// Until the first new token of the first prompt; 0 where it is not told.
    pub(crate) first_token_seconds: f64,
    /// To [`Request::Describe`].
    pub(crate) model: Option<Description>,
    /// To the same: the shape, as Hugging Face writes it.
    pub(crate) config: Option<serde_json::Value>,
}

/// What our side tells of its model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Description {
    /// Types of its matrices.
    pub(crate) dtype: String,
    /// Where it computes.
    pub(crate) device: String,
    /// Ids that can be in a prompt.
    pub(crate) vocabulary: u32,
    /// Work of a token, where the files' size is known.
    pub(crate) work: Option<ModelWork>,
    /// Of the device, where it is not the processor.
    pub(crate) limits: Option<Limits>,
}
