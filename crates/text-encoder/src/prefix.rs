//! Prefixes: keys and values that belong to no token, in front of those that the upper layers of an encoder look at (prefix tuning,
//! arXiv 2101.00190). They are trained where the encoder is not.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::ops::AttentionLayout;

use crate::{EncoderBatch, EncoderError};

/// What stands in front of the keys and values of one layer.
#[derive(Debug, Clone)]
pub struct LayerPrefix {
    /// `[length, width]` for all sequences alike, or `[sequences · length, width]`, those of the first sequence first.
    pub keys: Tensor,
    /// As the keys.
    pub values: Tensor,
}

/// Prefixes of the last layers of an encoder. Every token looks at the whole prefix.
#[derive(Debug, Clone)]
pub struct Prefixes {
    layers: Vec<LayerPrefix>,
    length: usize,
    attended: Option<Vec<bool>>,
}

impl Prefixes {
    /// A prefix of `length` for each of the encoder's last `layers.len()` layers, the lowest of them first.
    ///
    /// # Errors
    /// There is no layer or no length, or the tensors are not as [`LayerPrefix`] says.
    pub fn new(layers: Vec<LayerPrefix>, length: usize) -> Result<Self, EncoderError> {
        let Some(first) = layers.first() else {
            return Err(EncoderError::Invalid("prefixes of no layer: at least one layer has one".into()));
        };
        let shape = first.keys.dims2()?;
        if length == 0 || shape.0 == 0 || !shape.0.is_multiple_of(length) {
            let problem = format!("prefixes of {} rows are no prefixes of length {length}", shape.0);
            return Err(EncoderError::Invalid(problem));
        }
        for LayerPrefix { keys, values } in &layers {
            if keys.dims2()? != shape || values.dims2()? != shape {
                let problem = format!("prefixes of {:?} and {:?}: expected {shape:?}", keys.dims(), values.dims());
                return Err(EncoderError::Invalid(problem));
            }
        }
        Ok(Self { layers, length, attended: None })
    }

    /// In layers with prefixes, own tokens are looked at as `attended` says (one value for each token of the batch), and not as the batch
    /// has it. It may be that a sequence looks at its prefix only.
    pub fn with_attended(self, attended: Vec<bool>) -> Self {
        Self { attended: Some(attended), ..self }
    }

    /// The layers' prefixes, the lowest layer first.
    pub fn layers(&self) -> &[LayerPrefix] {
        &self.layers
    }

    /// Rows in front of each sequence.
    pub fn length(&self) -> usize {
        self.length
    }

    /// How a batch looks at prefixes and itself.
    pub(crate) fn layout(&self, batch: &EncoderBatch, device: &Device) -> Result<PrefixLayout, EncoderError> {
        let (rows, length) = (self.layers[0].keys.dim(0)?, self.length);
        if rows != length && rows != length * batch.len() {
            let problem = format!("prefixes of {rows} rows, {length} a sequence, for {} sequences", batch.len());
            return Err(EncoderError::Invalid(problem));
        }
        let attended = self.attended.as_deref().unwrap_or(batch.attended());
        if attended.len() != batch.ids().len() {
            let problem = format!("a mask of {} values for {} tokens", attended.len(), batch.ids().len());
            return Err(EncoderError::Invalid(problem));
        }
        let (mut places, mut seen) = (Vec::new(), Vec::new());
        for (sequence, (start, own)) in batch.starts().into_iter().zip(batch.lengths()).enumerate() {
            let first = if rows == length { 0 } else { sequence * length };
            places.extend((first..first + length).chain(rows + start..rows + start + own).map(|place| place as u32));
            seen.extend(std::iter::repeat_n(true, length).chain(attended[start..start + own].iter().copied()));
        }
        let keys: Vec<usize> = batch.lengths().iter().map(|own| own + length).collect();
        let attention = AttentionLayout::of_others(batch.lengths(), &keys, &seen)?;
        Ok(PrefixLayout { attention, places: Tensor::new(places, device)? })
    }
}

/// Where each sequence's prefix and own rows lie behind one another.
#[derive(Clone)]
pub(crate) struct PrefixLayout {
    pub(crate) attention: Arc<AttentionLayout>,
    places: Tensor,
}

impl PrefixLayout {
    /// Prefix rows, then own rows, sequence by sequence.
    pub(crate) fn in_front(&self, prefix: &Tensor, own: &Tensor) -> candle_core::Result<Tensor> {
        Tensor::cat(&[prefix, own], 0)?.index_select(&self.places, 0)
    }
}
