//! Multi-head attention: of a sequence over itself, and of a decoder over an encoder's states.

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{DropoutPass, Linear, LinearLoader, ops};

use crate::Seq2SeqError;
use crate::batch::starts_of;
use crate::packing::Packing;

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
    pub(crate) fn key_values(&self, rows: &Tensor) -> candle_core::Result<KeyValues> {
        Ok(KeyValues { keys: self.key.forward(rows)?, values: self.value.forward(rows)? })
    }

    /// What rows `[rows, width]` make of keys and values: `[rows, width]`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        seen: &KeyValues,
        layout: &Layout,
        dropout: Option<DropoutPass>,
        watch: Option<&Watch>,
    ) -> candle_core::Result<Tensor> {
        let queries = self.by_head(&self.queries(x)?, &layout.queries)?;
        let keys = self.by_head(&seen.keys, &layout.keys)?;
        let values = self.by_head(&seen.values, &layout.keys)?;
        // [sequences, heads, queries, keys]
        let mut scores = queries.matmul(&keys.t()?)?;
        if let Some(future) = &layout.future {
            scores = scores.broadcast_add(&future.to_dtype(scores.dtype())?)?;
        }
        let probabilities = ops::masked_softmax(&scores, &layout.mask)?;
        if let Some(watch) = watch {
            watch.borrow_mut().push(probabilities.clone());
        }
        let probabilities = drop(dropout, &probabilities, self.dropout, &self.name, "probabilities")?;
        let mixed = probabilities.matmul(&values)?.transpose(1, 2)?.contiguous()?;
        let mixed = mixed.reshape((layout.queries.sequences * layout.queries.longest, ()))?;
        self.output.forward(&layout.queries.cut(&mixed)?)
    }

    /// Queries of rows, scaled: `[rows, width]`.
    pub(crate) fn queries(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let head_width = self.query.out_features() / self.heads;
        self.query.forward(x)? * (1.0 / (head_width as f64).sqrt())
    }

    /// The projection behind the heads.
    pub(crate) fn output(&self, mixed: &Tensor) -> candle_core::Result<Tensor> {
        self.output.forward(mixed)
    }

    /// `[rows, width]` to `[sequences, heads, longest, head width]`.
    pub(crate) fn by_head(&self, rows: &Tensor, packing: &Packing) -> candle_core::Result<Tensor> {
        let padded = packing.pad(rows)?.reshape((packing.sequences, packing.longest, self.heads, ()))?;
        padded.transpose(1, 2)?.contiguous()
    }
}

/// Which rows are queries, which are keys, and who sees whom.
#[derive(Clone)]
pub(crate) struct Layout {
    queries: Packing,
    keys: Packing,
    /// [`key_mask`] of the keys.
    mask: Tensor,
    /// −∞ for keys behind the query, `[longest, longest]`; none where all are seen.
    future: Option<Tensor>,
}

impl Layout {
    /// Of sequences that look at themselves; a causal one does not look ahead.
    pub(crate) fn of_itself(
        lengths: &[usize],
        attended: &[bool],
        causal: bool,
        device: &Device,
    ) -> candle_core::Result<Self> {
        let packing = Packing::new(lengths, device)?;
        let longest = packing.longest;
        let future = || {
            let hidden = |query: usize, key: usize| if key > query { f32::NEG_INFINITY } else { 0.0 };
            let values = (0..longest * longest).map(|place| hidden(place / longest, place % longest)).collect();
            Tensor::from_vec(values, (longest, longest), device)
        };
        let future = causal.then(future).transpose()?;
        Ok(Self { mask: key_mask(lengths, attended, device)?, queries: packing.clone(), keys: packing, future })
    }

    /// Of sequences that look at other ones, each at one.
    pub(crate) fn of_others(
        lengths: &[usize],
        key_lengths: &[usize],
        attended: &[bool],
        device: &Device,
    ) -> candle_core::Result<Self> {
        Ok(Self {
            queries: Packing::new(lengths, device)?,
            keys: Packing::new(key_lengths, device)?,
            mask: key_mask(key_lengths, attended, device)?,
            future: None,
        })
    }
}

/// 0 for keys that are seen, the lowest number for those that are not, so that a query none of whose keys is seen sees them all alike and
/// not a number divided by zero, and −∞ where a sequence has ended; `[sequences, longest]`.
pub(crate) fn key_mask(lengths: &[usize], attended: &[bool], device: &Device) -> candle_core::Result<Tensor> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut mask = vec![f32::NEG_INFINITY; lengths.len() * longest];
    for (sequence, (start, length)) in starts_of(lengths).zip(lengths).enumerate() {
        for place in 0..*length {
            mask[sequence * longest + place] = if attended[start + place] { 0.0 } else { f32::MIN };
        }
    }
    Tensor::from_vec(mask, (lengths.len(), longest), device)
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
