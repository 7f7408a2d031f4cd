//! An encoder with a head that tells classes apart.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{Linear, LinearLoader, drop_out};
use training::Pass;

use crate::config::Architecture;
use crate::{EncoderBatch, EncoderConfig, EncoderError, TextEncoder};

/// An encoder and the head of its architecture, on the hidden state of the first token.
///
/// BERT: `W tanh(P h)` with the pooler `P`; RoBERTa: `W tanh(D h)`, with dropout before `D` too. All layers have biases.
pub struct SequenceClassifier {
    encoder: TextEncoder,
    /// BERT's pooler, RoBERTa's first layer.
    dense: Arc<dyn Linear>,
    projection: Arc<dyn Linear>,
    dropout: f32,
}

impl SequenceClassifier {
    /// Takes encoder and head from `loader`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` and the number of classes say.
    pub fn load(
        loader: &dyn LinearLoader,
        config: &EncoderConfig,
        classes: usize,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        let width = config.hidden_size;
        let (dense, projection) = match config.architecture {
            Architecture::Bert => ("bert.pooler.dense", "classifier"),
            Architecture::Roberta => ("classifier.dense", "classifier.out_proj"),
        };
        Ok(Self {
            encoder: TextEncoder::load(loader, config, device)?,
            dense: loader.linear(dense, width, width)?,
            projection: loader.linear(projection, width, classes)?,
            dropout: config.classifier_dropout.unwrap_or(config.hidden_dropout),
        })
    }

    /// The encoder.
    pub fn encoder(&self) -> &TextEncoder {
        &self.encoder
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.projection.out_features()
    }

    /// `[sequences, classes]`.
    ///
    /// # Errors
    /// As [`TextEncoder::forward`].
    pub fn logits(&self, batch: &EncoderBatch, pass: &Pass) -> Result<Tensor, EncoderError> {
        let mut first = self.encoder.forward(batch, pass)?.first()?;
        let dropout = pass.mode.dropout();
        if self.encoder.config().architecture == Architecture::Roberta {
            first = drop_out(dropout, &first, self.dropout, "classifier", "input")?;
        }
        let inner = self.dense.forward(&first)?.tanh()?;
        Ok(self.projection.forward(&drop_out(dropout, &inner, self.dropout, "classifier", "inner")?)?)
    }

    /// Probabilities of all classes for each sequence, in f32.
    ///
    /// # Errors
    /// As [`TextEncoder::forward`].
    pub fn probabilities(&self, batch: &EncoderBatch) -> Result<Vec<Vec<f32>>, EncoderError> {
        let logits = self.logits(batch, &Pass::evaluation())?;
        Ok(logits.to_vec2::<f32>()?.into_iter().map(softmax).collect())
    }
}

fn softmax(logits: Vec<f32>) -> Vec<f32> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> = logits.iter().map(|logit| f64::from(logit - top).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.into_iter().map(|value| (value / sum) as f32).collect()
}
