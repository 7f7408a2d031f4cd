//! Self-attention of an encoder layer: every token looks at all tokens of its sequence.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::ops::{AttentionDropout, AttentionLayout, packed_attention};
use llm_runtime::{DropoutPass, Linear, LinearLoader, drop_out};

use crate::norm::Norm;
use crate::prefix::PrefixLayout;
use crate::{EncoderConfig, EncoderError, LayerPrefix};

/// What a layer's tokens look at.
pub(crate) enum Sight<'a> {
    /// The tokens of their sequence.
    Itself(&'a Arc<AttentionLayout>),
    /// These, with a prefix in front of them.
    Prefix(&'a PrefixLayout, &'a LayerPrefix),
}

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
        sight: &Sight<'_>,
        dropout: Option<DropoutPass>,
    ) -> candle_core::Result<Tensor> {
        let (queries, keys, values) = (self.query.forward(x)?, self.key.forward(x)?, self.value.forward(x)?);
        let (keys, values, layout) = match sight {
            Sight::Itself(layout) => (keys, values, *layout),
            Sight::Prefix(layout, prefix) => {
                (layout.in_front(&prefix.keys, &keys)?, layout.in_front(&prefix.values, &values)?, &layout.attention)
            }
        };
        let place = || format!("{}.probabilities", self.name);
        let of_weights =
            dropout.map(|pass| AttentionDropout { pass, probability: self.attention_dropout, place: place() });
        let mixed = packed_attention(&queries, &keys, &values, self.heads, layout, of_weights)?;
        let added = drop_out(dropout, &self.output.forward(&mixed)?, self.hidden_dropout, &self.name, "output")?;
        self.norm.forward(&(x + added)?)
    }
}
