//! What a token asks of the machine: by this the limits become tokens a second.

use llm_runtime::LlamaConfig;
use serde::{Deserialize, Serialize};

use crate::limits::Limits;

/// The work of one token, attention's products aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelWork {
    /// Multiply-adds of all layers' matrices.
    pub layer_multiply_adds: f64,
    /// Multiply-adds of the output head.
    pub head_multiply_adds: f64,
    /// Bytes of these matrices.
    pub weight_bytes: f64,
    /// Whether products are of integers, not of floats.
    pub is_quantised: bool,
}

impl ModelWork {
    /// Of a model whose matrices take `bits_per_weight` on average.
    #[must_use]
    pub fn of(config: &LlamaConfig, bits_per_weight: f64) -> Self {
        let (width, inner) = (config.hidden_size as f64, config.intermediate_size as f64);
        let heads = 2 * config.heads + 2 * config.key_value_heads;
        let attention = width * (heads * config.head_dim) as f64;
        let layer_multiply_adds = config.layers as f64 * (attention + 3.0 * width * inner);
        let head_multiply_adds = config.vocabulary_size as f64 * width;
        let weight_bytes = (layer_multiply_adds + head_multiply_adds) * bits_per_weight / 8.0;
        Self { layer_multiply_adds, head_multiply_adds, weight_bytes, is_quantised: bits_per_weight < 16.0 }
    }

    fn rate(&self, limits: &Limits) -> Option<f64> {
        if self.is_quantised { limits.integer_multiply_adds_per_second } else { limits.float_multiply_adds_per_second }
    }

    /// Prompt tokens that could be computed each second, only the last with the head.
    #[must_use]
    pub fn prefill_limit(&self, limits: &Limits) -> Option<f64> {
        Some(self.rate(limits)? / self.layer_multiply_adds)
    }

    /// Tokens that `batch` sequences together could gain each second: each step reads all weights once, and multiplies for all sequences.
    #[must_use]
    pub fn decode_limit(&self, batch: usize, limits: &Limits) -> f64 {
        let reading = self.weight_bytes / limits.bytes_per_second;
        let products = batch as f64 * (self.layer_multiply_adds + self.head_multiply_adds);
        let computing = self.rate(limits).map_or(0.0, |rate| products / rate);
        batch as f64 / reading.max(computing)
    }
}
