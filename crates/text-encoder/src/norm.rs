//! A layer norm with its weights.

use candle_core::Tensor;
use llm_runtime::{LinearLoader, ops};

use crate::{EncoderConfig, EncoderError};

pub(crate) struct Norm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl Norm {
    pub(crate) fn load(loader: &dyn LinearLoader, config: &EncoderConfig, name: &str) -> Result<Self, EncoderError> {
        let shape = [config.hidden_size];
        Ok(Self {
            weight: loader.tensor(&format!("{name}.weight"), &shape)?,
            bias: loader.tensor(&format!("{name}.bias"), &shape)?,
            eps: config.layer_norm_eps,
        })
    }

    /// `[rows, width]`.
    pub(crate) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        ops::layer_norm(x, &self.weight, &self.bias, self.eps)
    }
}
