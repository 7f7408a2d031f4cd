//! Self-attention of an encoder layer: every token looks at all tokens of its sequence.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::{DropoutPass, Linear, LinearLoader, ops};

use crate::batch::Padding;
use crate::norm::Norm;
use crate::{EncoderConfig, EncoderError};

/// Attention with its output projection, dropout, residual connection and norm.
pub(crate) struct SelfAttention {
    query: Arc<dyn Linear>,
    key: Arc<dyn Linear>,
    value: Arc<dyn Linear>,
    output: Arc<dyn Linear>,
    norm: Norm,
    heads: usize,
    attention_dropout: f32,
    hidden_dropout: f32,
    name: String,
}

impl SelfAttention {
    /// `name` is the layer's, e.g. `bert.encoder.layer.0`.
    pub(crate) fn load(loader: &dyn LinearLoader, config: &EncoderConfig, name: &str) -> Result<Self, EncoderError> {
        let name = format!("{name}.attention");
        let width = config.hidden_size;
        let linear = |part: &str| loader.linear(&format!("{name}.{part}"), width, width);
        Ok(Self {
            query: linear("self.query")?,
            key: linear("self.key")?,
            value: linear("self.value")?,
            output: linear("output.dense")?,
            norm: Norm::load(loader, config, &format!("{name}.output.LayerNorm"))?,
            heads: config.heads,
            attention_dropout: config.attention_dropout,
            hidden_dropout: config.hidden_dropout,
            name,
        })
    }

    /// `[rows, width]` to `[rows, width]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        padding: &Padding,
        dropout: Option<DropoutPass>,
    ) -> candle_core::Result<Tensor> {
        let head_width = self.query.out_features() / self.heads;
        let queries = (self.query.forward(x)? * (1.0 / (head_width as f64).sqrt()))?;
        let queries = self.by_head(&queries, padding)?;
        let keys = self.by_head(&self.key.forward(x)?, padding)?;
        let values = self.by_head(&self.value.forward(x)?, padding)?;
        // [sequences, heads, queries, keys]
        let scores = queries.matmul(&keys.t()?)?;
        let probabilities = ops::masked_softmax(&scores, &padding.mask)?;
        let probabilities = drop(dropout, &probabilities, self.attention_dropout, &self.name, "probabilities")?;
        let mixed = probabilities.matmul(&values)?.transpose(1, 2)?.contiguous()?;
        let mixed = padding.cut(&mixed.reshape((padding.sequences * padding.longest, ()))?)?;
        let added = drop(dropout, &self.output.forward(&mixed)?, self.hidden_dropout, &self.name, "output")?;
        self.norm.forward(&(x + added)?)
    }

    /// `[rows, width]` to `[sequences, heads, longest, head width]`.
    fn by_head(&self, rows: &Tensor, padding: &Padding) -> candle_core::Result<Tensor> {
        let padded = padding.pad(rows)?.reshape((padding.sequences, padding.longest, self.heads, ()))?;
        padded.transpose(1, 2)?.contiguous()
    }
}

/// Dropout in training, nothing otherwise.
pub(crate) fn drop(
    dropout: Option<DropoutPass>,
    x: &Tensor,
    probability: f32,
    name: &str,
    part: &str,
) -> candle_core::Result<Tensor> {
    match dropout {
        Some(pass) if probability > 0.0 => pass.apply(x, probability, &format!("{name}.{part}")),
        _ => Ok(x.clone()),
    }
}
