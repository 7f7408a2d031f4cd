//! What layers of encoder and decoder are made of: each part adds to its input, and a norm follows (post-norm).

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::ops::{self, AttentionLayout};
use llm_runtime::{DropoutPass, Linear, LinearLoader, drop_out};

use crate::attention::{Attention, KeyValues, Watch, linear};
use crate::config::{Activation, StackConfig};
use crate::norm::Norm;
use crate::{Seq2SeqConfig, Seq2SeqError};

/// Attention, residual connection and norm.
pub(crate) struct AttentionBlock {
    pub(crate) attention: Attention,
    norm: Norm,
    dropout: f32,
    name: String,
}

impl AttentionBlock {
    /// `layer` is e.g. `model.encoder.layers.0`, `part` is `self_attn` or `encoder_attn`.
    pub(crate) fn load(
        loader: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        heads: usize,
        layer: &str,
        part: &str,
    ) -> Result<Self, Seq2SeqError> {
        let name = format!("{layer}.{part}");
        Ok(Self {
            attention: Attention::load(loader, &name, config.width, heads, config.attention_dropout)?,
            norm: Norm::load(loader, &format!("{name}_layer_norm"), config.width)?,
            dropout: config.dropout,
            name,
        })
    }

    /// `[rows, width]` to `[rows, width]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        seen: &KeyValues,
        layout: &Arc<AttentionLayout>,
        dropout: Option<DropoutPass>,
        watch: Option<&Watch>,
    ) -> candle_core::Result<Tensor> {
        let attended = self.attention.forward(x, seen, layout, dropout, watch)?;
        self.add(x, &attended, dropout)
    }

    /// Adds what attention gave.
    pub(crate) fn add(
        &self,
        x: &Tensor,
        attended: &Tensor,
        dropout: Option<DropoutPass>,
    ) -> candle_core::Result<Tensor> {
        let added = drop_out(dropout, attended, self.dropout, &self.name, "output")?;
        self.norm.forward(&(x + added)?)
    }
}

/// Two linear layers, residual connection and norm.
pub(crate) struct FeedForward {
    inner: Arc<dyn Linear>,
    outer: Arc<dyn Linear>,
    norm: Norm,
    activation: Activation,
    dropout: f32,
    activation_dropout: f32,
    name: String,
}

impl FeedForward {
    /// `layer` is e.g. `model.encoder.layers.0`.
    pub(crate) fn load(
        loader: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        stack: StackConfig,
        layer: &str,
    ) -> Result<Self, Seq2SeqError> {
        let (width, inside) = (config.width, stack.inner_width);
        Ok(Self {
            inner: loader.linear(&format!("{layer}.fc1"), width, inside)?,
            outer: loader.linear(&format!("{layer}.fc2"), inside, width)?,
            norm: Norm::load(loader, &format!("{layer}.final_layer_norm"), width)?,
            activation: config.activation,
            dropout: config.dropout,
            activation_dropout: config.activation_dropout,
            name: layer.to_owned(),
        })
    }

    /// `[rows, width]` to `[rows, width]`.
    pub(crate) fn forward(&self, x: &Tensor, dropout: Option<DropoutPass>) -> candle_core::Result<Tensor> {
        let inside = linear(&self.inner, x, dropout)?;
        let inside = match self.activation {
            Activation::Gelu => ops::gelu(&inside)?,
            Activation::Relu => inside.relu()?,
        };
        let inside = drop_out(dropout, &inside, self.activation_dropout, &self.name, "activation")?;
        let added = drop_out(dropout, &linear(&self.outer, &inside, dropout)?, self.dropout, &self.name, "output")?;
        self.norm.forward(&(x + added)?)
    }
}
