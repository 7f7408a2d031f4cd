//! The encoder: token ids to hidden states.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::ops::AttentionLayout;
use llm_runtime::{DropoutPass, LinearLoader};
use training::{Mode, Pass};

use crate::batch::starts_of;
use crate::embeddings::Embeddings;
use crate::layer::EncoderLayer;
use crate::{EncoderBatch, EncoderConfig, EncoderError};

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
        self.run(&mut last, batch, pass, |_| ())?;
        Ok(EncoderOutput { states: last, lengths: batch.lengths().to_vec() })
    }

    /// All hidden states, each `[rows, width]`: what [`Self::embed`] gives, then what each layer gives.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn hidden_states(&self, batch: &EncoderBatch, pass: &Pass) -> Result<Vec<Tensor>, EncoderError> {
        let mut last = self.embed(batch, pass)?;
        let mut all = vec![last.clone()];
        self.run(&mut last, batch, pass, |states| all.push(states.clone()))?;
        Ok(all)
    }

    /// The normed embeddings, `[rows, width]`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn embed(&self, batch: &EncoderBatch, pass: &Pass) -> Result<Tensor, EncoderError> {
        self.embeddings.forward(batch, dropout(pass))
    }

    /// Puts the states through all layers.
    fn run(
        &self,
        states: &mut Tensor,
        batch: &EncoderBatch,
        pass: &Pass,
        mut see: impl FnMut(&Tensor),
    ) -> Result<(), EncoderError> {
        let layout = AttentionLayout::of_itself(batch.lengths(), batch.attended(), false)?;
        let dropout = dropout(pass);
        for layer in &self.layers {
            *states = match &pass.checkpoints {
                None => layer.forward(states, &layout, dropout)?,
                Some(checkpoints) => {
                    let (layer, layout) = (layer.clone(), layout.clone());
                    checkpoints.run(states, move |states| layer.forward(states, &layout, dropout))?
                }
            };
            see(states);
        }
        Ok(())
    }
}

/// The dropout masks of a pass.
pub(crate) fn dropout(pass: &Pass) -> Option<DropoutPass> {
    match pass.mode {
        Mode::Train(dropout) => Some(dropout),
        Mode::Evaluate => None,
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
}
