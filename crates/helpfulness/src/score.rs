//! What a model says of a response, and what every model can be asked.

use serde::{Deserialize, Serialize};

use crate::{EncodedExchange, HelpfulnessError};

/// How helpful a response is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Probabilities of the model's classes: [`crate::PreferenceModel`]'s from helpful to unhelpful, [`crate::OrdinalModel`]'s from the lowest rating to the
    /// highest.
    pub distribution: Vec<f32>,
    /// From 0 to 1; higher is better.
    pub helpfulness: f32,
    /// `1 − helpfulness`, but computed on its own, so that small values keep their digits. The published code ranks by it: lower is better.
    pub unhelpfulness: f32,
    /// The rating on the scale from 1 to 5 that is to be expected.
    pub rating: f32,
}

/// A model that scores responses. What a response gets does not depend on those beside it.
pub trait ResponseScorer: Send + Sync {
    /// The scores of inputs, in their order.
    ///
    /// # Errors
    /// An input is longer than the encoder takes, or the device fails.
    fn scores(&self, inputs: &[&EncodedExchange]) -> Result<Vec<Score>, HelpfulnessError>;
}
