//! A layer norm with its weights.

use candle_core::Tensor;
use llm_runtime::{LinearLoader, ops};

use crate::Seq2SeqError;

/// Added to variances; no configuration names another.
const EPSILON: f64 = 1e-5;

pub(crate) struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    pub(crate) fn load(loader: &dyn LinearLoader, name: &str, width: usize) -> Result<Self, Seq2SeqError> {
        Ok(Self {
            weight: loader.tensor(&format!("{name}.weight"), &[width])?,
            bias: loader.tensor(&format!("{name}.bias"), &[width])?,
        })
    }

    /// `[rows, width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        ops::layer_norm(x, &self.weight, &self.bias, EPSILON)
    }
}
