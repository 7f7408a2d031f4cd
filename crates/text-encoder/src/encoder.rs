//! The encoder: token ids to hidden states.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::ops::AttentionLayout;
use llm_runtime::{LinearLoader, starts_of};
use training::Pass;

use crate::attention::Sight;
use crate::embeddings::Embeddings;
use crate::layer::EncoderLayer;
use crate::prefix::PrefixLayout;
use crate::{EncoderBatch, EncoderConfig, EncoderError, LayerPrefix, Prefixes};

/// A BERT or RoBERTa encoder. Built through [`training::VariableLoader`], every weight of it is trained.
pub struct TextEncoder {
    embeddings: Embeddings,
    layers: Vec<Arc<EncoderLayer>>,
    config: EncoderConfig,
    device: Device,
}

impl TextEncoder {
    /// Takes its parameters from `loader`, under their names in a model with a head
    /// (`bert.encoder.layer.0.attention.self.query`).
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says.
    pub fn load(loader: &dyn LinearLoader, config: &EncoderConfig, device: &Device) -> Result<Self, EncoderError> {
        config.check().map_err(EncoderError::Invalid)?;
        let name = |number: usize| format!("{}.encoder.layer.{number}", config.architecture.prefix());
        let layers = (0..config.layers).map(|number| Ok(Arc::new(EncoderLayer::load(loader, config, &name(number))?)));
        Ok(Self {
            embeddings: Embeddings::load(loader, config, device)?,
            layers: layers.collect::<Result<_, EncoderError>>()?,
            config: config.clone(),
            device: device.clone(),
        })
    }

    /// Its shape.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The last hidden states of a batch.
    ///
    /// # Errors
    /// A sequence is empty or too long, a token is outside the vocabulary, or the device fails.
    pub fn forward(&self, batch: &EncoderBatch, pass: &Pass) -> Result<EncoderOutput, EncoderError> {
        let mut last = self.embed(batch, pass)?;
        self.run(&mut last, batch, None, pass, |_| ())?;
        Ok(EncoderOutput { states: last, lengths: batch.lengths().to_vec() })
    }

    /// As [`Self::forward`], with prefixes in the last layers. Gradients reach them also where the encoder is frozen.
    ///
    /// # Errors
    /// As [`Self::forward`], or the prefixes do not fit encoder and batch.
    pub fn forward_with_prefixes(
        &self,
        batch: &EncoderBatch,
        prefixes: &Prefixes,
        pass: &Pass,
    ) -> Result<EncoderOutput, EncoderError> {
        let mut last = self.embed(batch, pass)?;
        self.run(&mut last, batch, Some(prefixes), pass, |_| ())?;
        Ok(EncoderOutput { states: last, lengths: batch.lengths().to_vec() })
    }

    /// All hidden states, each `[rows, width]`: what [`Self::embed`] gives, then what each layer gives.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn hidden_states(&self, batch: &EncoderBatch, pass: &Pass) -> Result<Vec<Tensor>, EncoderError> {
        let mut last = self.embed(batch, pass)?;
        let mut all = vec![last.clone()];
        self.run(&mut last, batch, None, pass, |states| all.push(states.clone()))?;
        Ok(all)
    }

    /// The normed embeddings, `[rows, width]`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn embed(&self, batch: &EncoderBatch, pass: &Pass) -> Result<Tensor, EncoderError> {
        self.embeddings.forward(batch, pass.mode.dropout())
    }

    /// Puts the states through all layers.
    fn run(
        &self,
        states: &mut Tensor,
        batch: &EncoderBatch,
        prefixes: Option<&Prefixes>,
        pass: &Pass,
        mut see: impl FnMut(&Tensor),
    ) -> Result<(), EncoderError> {
        let layout = AttentionLayout::of_itself(batch.lengths(), batch.attended(), false)?;
        let upper = prefixes.map(|prefixes| self.upper(prefixes, batch)).transpose()?;
        let dropout = pass.mode.dropout();
        for (number, layer) in self.layers.iter().enumerate() {
            let prefix = upper.as_ref().and_then(|upper| upper.at(number));
            *states = match (&pass.checkpoints, prefix) {
                (None, None) => layer.forward(states, &Sight::Itself(&layout), dropout)?,
                (None, Some((layout, prefix))) => layer.forward(states, &Sight::Prefix(layout, prefix), dropout)?,
                (Some(checkpoints), None) => {
                    let (layer, layout) = (layer.clone(), layout.clone());
                    checkpoints.run(states, move |states| layer.forward(states, &Sight::Itself(&layout), dropout))?
                }
                (Some(checkpoints), Some((layout, prefix))) => {
                    // One input, so that the prefix gets its gradient too.
                    let (tokens, rows) = (states.dim(0)?, prefix.keys.dim(0)?);
                    let (layer, layout) = (layer.clone(), layout.clone());
                    checkpoints.run(&Tensor::cat(&[states, &prefix.keys, &prefix.values], 0)?, move |all| {
                        let keys = all.narrow(0, tokens, rows)?;
                        let prefix = LayerPrefix { keys, values: all.narrow(0, tokens + rows, rows)? };
                        layer.forward(&all.narrow(0, 0, tokens)?, &Sight::Prefix(&layout, &prefix), dropout)
                    })?
                }
            };
            see(states);
        }
        Ok(())
    }

    fn upper<'a>(&self, prefixes: &'a Prefixes, batch: &EncoderBatch) -> Result<Upper<'a>, EncoderError> {
        let (wanted, layers) = (prefixes.layers().len(), self.layers.len());
        let first = layers
            .checked_sub(wanted)
            .ok_or_else(|| EncoderError::Invalid(format!("prefixes for {wanted} layers: the encoder has {layers}")))?;
        let width = prefixes.layers()[0].keys.dim(1)?;
        if width != self.config.hidden_size {
            let own = self.config.hidden_size;
            return Err(EncoderError::Invalid(format!("prefixes of width {width} for an encoder of width {own}")));
        }
        Ok(Upper { first, layout: prefixes.layout(batch, &self.device)?, prefixes })
    }
}

/// The layers from `first` on, which have prefixes.
struct Upper<'a> {
    first: usize,
    layout: PrefixLayout,
    prefixes: &'a Prefixes,
}

impl Upper<'_> {
    fn at(&self, layer: usize) -> Option<(&PrefixLayout, &LayerPrefix)> {
        let number = layer.checked_sub(self.first)?;
        self.prefixes.layers().get(number).map(|prefix| (&self.layout, prefix))
    }
}

/// The last hidden states of a batch.
pub struct EncoderOutput {
    states: Tensor,
    lengths: Vec<usize>,
}

impl EncoderOutput {
    /// Of all tokens of all sequences, one after the other: `[rows, width]`.
    pub fn states(&self) -> &Tensor {
        &self.states
    }

    /// Of each sequence's first token: `[sequences, width]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn first(&self) -> Result<Tensor, EncoderError> {
        let starts: Vec<u32> = starts_of(&self.lengths).map(|start| start as u32).collect();
        Ok(self.states.index_select(&Tensor::new(starts, self.states.device())?, 0)?)
    }

    /// The mean over each sequence's tokens: `[sequences, width]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn mean(&self) -> Result<Tensor, EncoderError> {
        let mean = |(start, length): (usize, &usize)| self.states.narrow(0, start, *length)?.mean_keepdim(0);
        let means = starts_of(&self.lengths).zip(&self.lengths).map(mean).collect::<Result<Vec<Tensor>, _>>()?;
        Ok(Tensor::cat(&means, 0)?)
    }

    /// The mean over those of each sequence's tokens that are `counted` (one value for each token of the batch): `[sequences, width]`.
    ///
    /// # Errors
    /// There is not one value for each token, a sequence has no counted token, or the device fails.
    pub fn mean_over(&self, counted: &[bool]) -> Result<Tensor, EncoderError> {
        let rows = self.lengths.iter().sum::<usize>();
        if counted.len() != rows {
            return Err(EncoderError::Invalid(format!("a mask of {} values for {rows} tokens", counted.len())));
        }
        let means = starts_of(&self.lengths).zip(&self.lengths).enumerate().map(|(number, (start, length))| {
            let places = (start..start + length).filter(|place| counted[*place]).map(|place| place as u32);
            let places: Vec<u32> = places.collect();
            if places.is_empty() {
                return Err(EncoderError::Invalid(format!(
                    "sequence {number} of the batch has no token to be counted"
                )));
            }
            let places = Tensor::new(places, self.states.device())?;
            Ok(self.states.index_select(&places, 0)?.mean_keepdim(0)?)
        });
        Ok(Tensor::cat(&means.collect::<Result<Vec<Tensor>, EncoderError>>()?, 0)?)
    }
}
