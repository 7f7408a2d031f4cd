//! The network of every model here: a frozen encoder, trained prefixes in its upper half, the mean over the response's tokens, and a head of
//! two layers.
//!
//! `o = W₂ tanh(W₁ m + b₁) + b₂`, with `m` the mean of the last hidden states over tokens of type 1. The prefixes come from a small network, too:
//! an embedding of each place, then `W₂' tanh(W₁' e + b₁') + b₂'`, whose output is laid out as (layer, key or value, head, width of a head).

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::{Embedding, Linear, LinearLoader, drop_out};
use serde::{Deserialize, Serialize};
use text_encoder::{EncoderBatch, EncoderConfig, LayerPrefix, Prefixes, TextEncoder};
use training::{Mode, Pass};

use crate::{EncodedExchange, HelpfulnessError};

/// The shape of what is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkOptions {
    /// Keys and values in front of each sequence, in each layer of the upper half.
    pub prefix_length: usize,
    /// Width inside the network of the prefixes and inside the head.
    pub hidden: usize,
    /// Dropout of the places' embeddings and of the prefixes, in training.
    pub prefix_dropout: f32,
    /// Who looks at whom.
    pub mask: Mask,
}

/// Which tokens attention looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mask {
    /// All tokens of the own sequence.
    #[default]
    Own,
    /// The published code's: padding instead of tokens, and the tokens only where a sequence has no padding and a layer no prefix. A score depends
    /// on the rest of the batch then. Only to reproduce models that were trained so.
    Inverted,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self { prefix_length: 10, hidden: 512, prefix_dropout: 0.2, mask: Mask::Own }
    }
}

/// The frozen encoder with everything that is trained around it.
pub struct ResponseNetwork {
    encoder: Arc<TextEncoder>,
    places: Embedding,
    prefix: [Arc<dyn Linear>; 2],
    head: [Arc<dyn Linear>; 2],
    options: NetworkOptions,
    name: String,
}

impl ResponseNetwork {
    /// Takes what is trained from `loader`, under names that begin with `name` (`multi_prefix.posterior`): `wte_enc`, `control_trans_enc.0` and `.2`,
    /// `mlp.0` and `.2`. Built through [`training::VariableLoader`], these are trained; `encoder` stays as it is.
    ///
    /// # Errors
    /// A tensor is missing or has another shape, or an option makes no sense.
    pub fn load(
        encoder: Arc<TextEncoder>,
        loader: &dyn LinearLoader,
        options: &NetworkOptions,
        name: &str,
        outputs: usize,
    ) -> Result<Self, HelpfulnessError> {
        check(options, encoder.config())?;
        let (width, hidden) = (encoder.config().hidden_size, options.hidden);
        let prefixes = 2 * layers_with_prefix(encoder.config()) * width;
        let linear = |part: &str, from, to| loader.linear(&format!("{name}.{part}"), from, to);
        Ok(Self {
            places: loader.embedding(&format!("{name}.wte_enc"), options.prefix_length, width)?,
            prefix: [linear("control_trans_enc.0", width, hidden)?, linear("control_trans_enc.2", hidden, prefixes)?],
            head: [linear("mlp.0", width, hidden)?, linear("mlp.2", hidden, outputs)?],
            options: options.clone(),
            name: name.to_owned(),
            encoder,
        })
    }

    /// The encoder.
    pub fn encoder(&self) -> &Arc<TextEncoder> {
        &self.encoder
    }

    /// Shape and mask.
    pub fn options(&self) -> &NetworkOptions {
        &self.options
    }

    /// What the head says of each input, `[inputs, outputs]` f32.
    ///
    /// # Errors
    /// There is no input, one is longer than the encoder takes, a token is outside its vocabulary, or the device fails.
    pub fn forward(&self, inputs: &[&EncodedExchange], pass: &Pass) -> Result<Tensor, HelpfulnessError> {
        let pooled = self.pooled(inputs, pass)?;
        Ok(self.head[1].forward(&self.head[0].forward(&pooled)?.tanh()?)?)
    }

    /// The mean over the last hidden states of each response, `[inputs, width]`.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn pooled(&self, inputs: &[&EncodedExchange], pass: &Pass) -> Result<Tensor, HelpfulnessError> {
        let prefixes = self.prefixes(inputs.len(), pass)?;
        let (batch, prefixes) = match self.options.mask {
            Mask::Own => (batch_of(inputs), prefixes),
            Mask::Inverted => inverted(inputs, self.encoder.config().pad_id, prefixes),
        };
        let counted: Vec<bool> = batch.token_types().iter().map(|kind| *kind == 1).collect();
        Ok(self.encoder.forward_with_prefixes(&batch, &prefixes, pass)?.mean_over(&counted)?)
    }

    /// The prefixes of the upper layers. Without dropout all sequences share one.
    ///
    /// # Errors
    /// The device fails.
    pub fn prefixes(&self, sequences: usize, pass: &Pass) -> Result<Prefixes, HelpfulnessError> {
        let length = self.options.prefix_length;
        let copies = if matches!(pass.mode, Mode::Train(_)) { sequences } else { 1 };
        let places: Vec<u32> = (0..copies).flat_map(|_| 0..length as u32).collect();
        let places = self.drop(self.places.forward(&places, self.encoder.device())?, "places", pass)?;
        let inner = self.prefix[0].forward(&places)?.tanh()?;
        let all = self.drop(self.prefix[1].forward(&inner)?, "prefixes", pass)?;
        let width = self.encoder.config().hidden_size;
        let part = |number: usize| all.narrow(1, number * width, width)?.contiguous();
        let layers = (0..layers_with_prefix(self.encoder.config()))
            .map(|layer| Ok(LayerPrefix { keys: part(2 * layer)?, values: part(2 * layer + 1)? }));
        Ok(Prefixes::new(layers.collect::<Result<_, candle_core::Error>>()?, length)?)
    }

    fn drop(&self, x: Tensor, place: &str, pass: &Pass) -> Result<Tensor, candle_core::Error> {
        drop_out(pass.mode.dropout(), &x, self.options.prefix_dropout, &self.name, place)
    }
}

/// The upper half; of an odd number the larger half.
fn layers_with_prefix(config: &EncoderConfig) -> usize {
    config.layers - config.layers / 2
}

fn check(options: &NetworkOptions, config: &EncoderConfig) -> Result<(), HelpfulnessError> {
    let problem = if options.prefix_length == 0 || options.hidden == 0 {
        "prefixes and the network inside need a length and a width of at least 1".to_owned()
    } else if !(0.0..1.0).contains(&options.prefix_dropout) {
        format!("a prefix dropout of {}: expected a number in [0, 1)", options.prefix_dropout)
    } else if config.type_vocabulary_size < 2 {
        "the encoder has no second token type to tell the response by: take a BERT".to_owned()
    } else {
        return Ok(());
    };
    Err(HelpfulnessError::Invalid(problem))
}

fn batch_of(inputs: &[&EncodedExchange]) -> EncoderBatch {
    let mut batch = EncoderBatch::new();
    inputs.iter().for_each(|input| batch.push_segments(input.ids(), &input.token_types()));
    batch
}

/// The published mask hides tokens by adding −10,000 to their scores: a sequence of hidden tokens only looks at them as if nothing were hidden,
/// and at a prefix alone where there is one.
fn inverted(inputs: &[&EncodedExchange], pad: u32, prefixes: Prefixes) -> (EncoderBatch, Prefixes) {
    let longest = inputs.iter().map(|input| input.token_count()).max().unwrap_or(0);
    let (mut batch, mut padding) = (EncoderBatch::new(), Vec::new());
    for input in inputs {
        let count = input.token_count();
        let ids: Vec<u32> = input.ids().iter().copied().chain(std::iter::repeat_n(pad, longest - count)).collect();
        let is_padding: Vec<bool> = (0..longest).map(|place| place >= count).collect();
        let attended = if count < longest { is_padding.clone() } else { Vec::new() };
        batch.push_masked(&ids, &input.token_types(), &attended);
        padding.extend(is_padding);
    }
    (batch, prefixes.with_attended(padding))
}
