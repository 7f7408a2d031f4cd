//! Multi-head attention: of a sequence over itself, and of a decoder over an encoder's states.

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::ops::{
    AttentionDropout, AttentionLayout, KeyRows, gathered_attention, packed_attention, packed_attention_weights,
};
use llm_runtime::{DropoutPass, Linear, LinearLoader};

use crate::Seq2SeqError;

/// The four projections, all with biases.
pub(crate) struct Attention {
    query: Arc<dyn Linear>,
    key: Arc<dyn Linear>,
    value: Arc<dyn Linear>,
    output: Arc<dyn Linear>,
    heads: usize,
    dropout: f32,
    name: String,
}

/// Keys and values, each `[rows, width]`, or by head in a cache.
#[derive(Clone)]
pub(crate) struct KeyValues {
    pub(crate) keys: Tensor,
    pub(crate) values: Tensor,
}

/// Attention weights that somebody wants to see, `[sequences, heads, queries, keys]`.
pub(crate) type Watch = RefCell<Vec<Tensor>>;

impl Attention {
    /// `name` is e.g. `model.encoder.layers.0.self_attn`.
    pub(crate) fn load(
        loader: &dyn LinearLoader,
        name: &str,
        width: usize,
        heads: usize,
        dropout: f32,
    ) -> Result<Self, Seq2SeqError> {
        let linear = |part: &str| loader.linear(&format!("{name}.{part}"), width, width);
        Ok(Self {
            query: linear("q_proj")?,
            key: linear("k_proj")?,
            value: linear("v_proj")?,
            output: linear("out_proj")?,
            heads,
            dropout,
            name: name.to_owned(),
        })
    }

    /// Keys and values of rows `[rows, width]`.
    pub(crate) fn key_values(&self, rows: &Tensor, dropout: Option<DropoutPass>) -> candle_core::Result<KeyValues> {
        Ok(KeyValues { keys: linear(&self.key, rows, dropout)?, values: linear(&self.value, rows, dropout)? })
    }

    /// What rows `[rows, width]` make of keys and values: `[rows, width]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        seen: &KeyValues,
        layout: &Arc<AttentionLayout>,
        dropout: Option<DropoutPass>,
        watch: Option<&Watch>,
    ) -> candle_core::Result<Tensor> {
        let queries = linear(&self.query, x, dropout)?;
        if let Some(watch) = watch {
            watch.borrow_mut().push(packed_attention_weights(&queries, &seen.keys, self.heads, layout)?);
        }
        let place = || format!("{}.probabilities", self.name);
        let of_weights = dropout.map(|pass| AttentionDropout { pass, probability: self.dropout, place: place() });
        let mixed = packed_attention(&queries, &seen.keys, &seen.values, self.heads, layout, of_weights)?;
        linear(&self.output, &mixed, dropout)
    }

    /// Keys and values of rows `[rows, width]` for a cache, each `[heads, rows, head width]`, without history.
    pub(crate) fn cached(&self, rows: &Tensor) -> candle_core::Result<KeyValues> {
        let by_head = |linear: &Arc<dyn Linear>| {
            let all = linear.forward(rows)?.detach();
            all.reshape((rows.dim(0)?, self.heads, ()))?.transpose(0, 1)?.contiguous()
        };
        Ok(KeyValues { keys: by_head(&self.key)?, values: by_head(&self.value)? })
    }

    /// What a step's rows `[rows, width]` make of the keys and values that each of them sees: `[rows, width]`.
    pub(crate) fn step(&self, x: &Tensor, cached: &KeyValues, seen: &Arc<KeyRows>) -> candle_core::Result<Tensor> {
        let queries = self.query.forward(x)?;
        self.output.forward(&gathered_attention(&queries, &cached.keys, &cached.values, seen)?)
    }
}

/// A layer in training or not.
pub(crate) fn linear(layer: &Arc<dyn Linear>, x: &Tensor, dropout: Option<DropoutPass>) -> candle_core::Result<Tensor> {
    match dropout {
        Some(_) => layer.forward_in_training(x),
        None => layer.forward(x),
    }
}
