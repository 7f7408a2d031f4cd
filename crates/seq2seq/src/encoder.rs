//! The encoder: tokens to hidden states, every token looking at all of its sequence.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::ops::AttentionLayout;
use llm_runtime::{DropoutPass, LinearLoader};
use training::Pass;

use crate::attention::Watch;
use crate::embeddings::Embeddings;
use crate::layer::{AttentionBlock, FeedForward};
use crate::{HiddenStates, Seq2SeqConfig, Seq2SeqError, TokenBatch, TokenTable};

/// The encoder of BART or BlenderBot-small, with a token table of its own or a shared one.
pub struct Encoder {
    embeddings: Embeddings,
    layers: Vec<Arc<EncoderLayer>>,
    max_positions: usize,
    device: Device,
}

/// What a pass through an encoder shows.
pub struct EncoderTrace {
    /// The normed embeddings, then what each layer gives; each `[rows, width]`.
    pub hidden_states: Vec<Tensor>,
    /// Attention weights of each layer, `[sequences, heads, longest, longest]`: by query, then by key.
    pub attention: Vec<Tensor>,
}

impl Encoder {
    /// Takes a whole encoder from `loader`, its token table `{name}.embed_tokens` included; `name` is e.g. `encoder`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says, or the configuration makes no sense.
    pub fn load(
        loader: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        name: &str,
        device: &Device,
    ) -> Result<Self, Seq2SeqError> {
        let tokens = TokenTable::load(loader, config, &format!("{name}.embed_tokens"), device)?;
        Self::with_tokens(loader, config, name, tokens, device)
    }

    /// As [`Self::load`], with a token table that others use too.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn with_tokens(
        loader: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        name: &str,
        tokens: Arc<TokenTable>,
        device: &Device,
    ) -> Result<Self, Seq2SeqError> {
        config.check()?;
        let layer = |number| Ok(Arc::new(EncoderLayer::load(loader, config, &format!("{name}.layers.{number}"))?));
        Ok(Self {
            embeddings: Embeddings::load(loader, config, name, tokens, false, device)?,
            layers: (0..config.encoder.layers).map(layer).collect::<Result<_, Seq2SeqError>>()?,
            max_positions: config.max_positions,
            device: device.clone(),
        })
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The last hidden states of a batch.
    ///
    /// # Errors
    /// A sequence is empty or too long, a token is outside the vocabulary, or the device fails.
    pub fn forward(&self, batch: &TokenBatch, pass: &Pass) -> Result<HiddenStates, Seq2SeqError> {
        let states = self.run(batch, pass, None, |_| ())?;
        Ok(HiddenStates::of_batch(states, batch))
    }

    /// All that a pass without dropout computes, for whoever wants to look inside.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn trace(&self, batch: &TokenBatch) -> Result<EncoderTrace, Seq2SeqError> {
        let (mut hidden_states, attention) = (Vec::new(), Watch::default());
        self.run(batch, &Pass::evaluation(), Some(&attention), |states| hidden_states.push(states.clone()))?;
        Ok(EncoderTrace { hidden_states, attention: attention.into_inner() })
    }

    fn run(
        &self,
        batch: &TokenBatch,
        pass: &Pass,
        watch: Option<&Watch>,
        mut see: impl FnMut(&Tensor),
    ) -> Result<Tensor, Seq2SeqError> {
        batch.check(self.max_positions, self.embeddings.tokens().vocabulary())?;
        let dropout = pass.mode.dropout();
        let positions = batch.lengths().iter().flat_map(|length| 0..*length);
        let mut states = self.embeddings.forward(batch.ids(), positions, dropout)?;
        let layout = AttentionLayout::of_itself(batch.lengths(), batch.attended(), false)?;
        see(&states);
        for layer in &self.layers {
            states = match &pass.checkpoints {
                None => layer.forward(&states, &layout, dropout, watch)?,
                Some(checkpoints) => {
                    let (layer, layout) = (layer.clone(), layout.clone());
                    checkpoints.run(&states, move |states| layer.forward(states, &layout, dropout, None))?
                }
            };
            see(&states);
        }
        Ok(states)
    }
}

struct EncoderLayer {
    attention: AttentionBlock,
    feed_forward: FeedForward,
}

impl EncoderLayer {
    fn load(loader: &dyn LinearLoader, config: &Seq2SeqConfig, name: &str) -> Result<Self, Seq2SeqError> {
        Ok(Self {
            attention: AttentionBlock::load(loader, config, config.encoder.heads, name, "self_attn")?,
            feed_forward: FeedForward::load(loader, config, config.encoder, name)?,
        })
    }

    /// `[rows, width]` to `[rows, width]`.
    fn forward(
        &self,
        x: &Tensor,
        layout: &Arc<AttentionLayout>,
        dropout: Option<DropoutPass>,
        watch: Option<&Watch>,
    ) -> candle_core::Result<Tensor> {
        let seen = self.attention.attention.key_values(x, dropout)?;
        self.feed_forward.forward(&self.attention.forward(x, &seen, layout, dropout, watch)?, dropout)
    }
}
