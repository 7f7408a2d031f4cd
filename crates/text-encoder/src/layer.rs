//! One layer: attention, then a feed-forward network, each with residual connection and a norm behind it (post-norm).

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::ops;
use llm_runtime::{DropoutPass, Linear, LinearLoader, drop_out};

use crate::attention::{SelfAttention, Sight};
use crate::norm::Norm;
use crate::{EncoderConfig, EncoderError};

pub(crate) struct EncoderLayer {
    attention: SelfAttention,
    inner: Arc<dyn Linear>,
    outer: Arc<dyn Linear>,
    norm: Norm,
    hidden_dropout: f32,
    name: String,
}

impl EncoderLayer {
    /// `name` is the layer's, e.g. `bert.encoder.layer.0`.
    pub(crate) fn load(loader: &dyn LinearLoader, config: &EncoderConfig, name: &str) -> Result<Self, EncoderError> {
        let (width, inside) = (config.hidden_size, config.intermediate_size);
        Ok(Self {
            attention: SelfAttention::load(loader, config, name)?,
            inner: loader.linear(&format!("{name}.intermediate.dense"), width, inside)?,
            outer: loader.linear(&format!("{name}.output.dense"), inside, width)?,
            norm: Norm::load(loader, config, &format!("{name}.output.LayerNorm"))?,
            hidden_dropout: config.hidden_dropout,
            name: name.to_owned(),
        })
    }

    /// `[rows, width]` to `[rows, width]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        sight: &Sight<'_>,
        dropout: Option<DropoutPass>,
    ) -> candle_core::Result<Tensor> {
        let attended = self.attention.forward(x, sight, dropout)?;
        let inside = ops::gelu(&self.inner.forward(&attended)?)?;
        let added = drop_out(dropout, &self.outer.forward(&inside)?, self.hidden_dropout, &self.name, "output")?;
        self.norm.forward(&(attended + added)?)
    }
}
