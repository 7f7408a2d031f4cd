//! Encoder, decoder and head together.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{Linear, LinearLoader};
use training::Pass;

use crate::{Decoder, DecoderCache, Encoder, HiddenStates, Seq2SeqConfig, Seq2SeqError, TokenBatch, TokenTable};

/// BART or BlenderBot-small for generation: encoder, decoder and head share one token table; the head adds `final_logits_bias`, which is
/// part of the model but never trained.
pub struct Seq2SeqModel {
    encoder: Encoder,
    decoder: Decoder,
    head: Arc<dyn Linear>,
    final_logits_bias: Tensor,
    config: Seq2SeqConfig,
}

impl Seq2SeqModel {
    /// Takes its parameters from `loader` under their names in a Hugging Face folder (`model.shared`,
    /// `model.encoder.layers.0.self_attn.q_proj`). Built through [`training::VariableLoader`], every weight of it is trained.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says, or the configuration makes no sense.
    pub fn load(loader: &dyn LinearLoader, config: &Seq2SeqConfig, device: &Device) -> Result<Self, Seq2SeqError> {
        let tokens = TokenTable::load(loader, config, "model.shared", device)?;
        let encoder = Encoder::with_tokens(loader, config, "model.encoder", tokens.clone(), device)?;
        let decoder = Decoder::with_tokens(loader, config, "model.decoder", tokens.clone(), device)?;
        let bias = loader.buffer(BIAS_NAME, &[1, config.vocabulary_size])?.detach();
        // Known models have zeros there: then nothing is to be added to so many logits.
        let is_zero = bias.abs()?.sum_all()?.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>()? == 0.0;
        let head = tokens.head(if is_zero { None } else { Some(bias.flatten_all()?) })?;
        Ok(Self { encoder, decoder, head, final_logits_bias: bias, config: config.clone() })
    }

    /// Its shape.
    pub fn config(&self) -> &Seq2SeqConfig {
        &self.config
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The output layer: width to logits.
    pub fn head(&self) -> &Arc<dyn Linear> {
        &self.head
    }

    /// What is added to the logits, `[1, vocabulary]`.
    pub fn final_logits_bias(&self) -> &Tensor {
        &self.final_logits_bias
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        self.encoder.device()
    }

    /// The decoder's last hidden states of whole outputs over their inputs, `[rows of the outputs, width]`.
    ///
    /// # Errors
    /// As [`Encoder::forward`] and [`Decoder::forward`].
    pub fn forward(
        &self,
        inputs: &TokenBatch,
        outputs: &TokenBatch,
        pass: &Pass,
    ) -> Result<HiddenStates, Seq2SeqError> {
        self.decoder.forward(outputs, &self.encoder.forward(inputs, pass)?, pass)
    }

    /// Logits of hidden states `[rows, width]`: `[rows, vocabulary]` f32.
    ///
    /// # Errors
    /// The width is another, or the device fails.
    pub fn logits(&self, states: &Tensor) -> Result<Tensor, Seq2SeqError> {
        Ok(self.head.forward(states)?)
    }

    /// Begins an output for each input, to be continued by [`Self::step`].
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn start(&self, inputs: &TokenBatch) -> Result<DecoderCache, Seq2SeqError> {
        self.decoder.start(&self.encoder.forward(inputs, &Pass::evaluation())?)
    }

    /// Appends one token to each output and gives the logits of the next one, `[rows, vocabulary]` f32. The first token is
    /// [`crate::GenerationDefaults::decoder_start_id`].
    ///
    /// # Errors
    /// As [`Decoder::step`].
    pub fn step(&self, ids: &[u32], cache: &mut DecoderCache) -> Result<Tensor, Seq2SeqError> {
        Ok(self.logits(&self.decoder.step(ids, cache)?)?.detach())
    }
}

/// The buffer's name in a folder.
pub(crate) const BIAS_NAME: &str = "final_logits_bias";
