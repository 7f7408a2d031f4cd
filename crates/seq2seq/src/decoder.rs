//! The decoder: each token looks at those before it and at the states of an encoder, or at any others.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::ops::AttentionLayout;
use llm_runtime::{DropoutPass, LinearLoader};
use training::Pass;

use crate::attention::Watch;
use crate::cache::{DecoderCache, LayerCache, Step};
use crate::embeddings::Embeddings;
use crate::layer::{AttentionBlock, FeedForward};
use crate::{HiddenStates, Seq2SeqConfig, Seq2SeqError, TokenBatch, TokenTable};

/// The decoder of BART or BlenderBot-small, without a head, with a token table of its own or a shared one.
pub struct Decoder {
    embeddings: Embeddings,
    layers: Vec<Arc<DecoderLayer>>,
    max_positions: usize,
    device: Device,
}

/// What a pass through a decoder shows.
pub struct DecoderTrace {
    /// The normed embeddings, then what each layer gives; each `[rows, width]`.
    pub hidden_states: Vec<Tensor>,
    /// Attention weights of each layer over the tokens before, `[sequences, heads, longest, longest]`: by query, then by key.
    pub self_attention: Vec<Tensor>,
    /// Attention weights of each layer over the memory, `[sequences, heads, longest, longest of the memory]`.
    pub cross_attention: Vec<Tensor>,
}

impl Decoder {
    /// Takes a whole decoder from `loader`, its token table `{name}.embed_tokens` included; `name` is e.g. `decoder`.
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
        let layer = |number| Ok(Arc::new(DecoderLayer::load(loader, config, &format!("{name}.layers.{number}"))?));
        Ok(Self {
            embeddings: Embeddings::load(loader, config, name, tokens, true, device)?,
            layers: (0..config.decoder.layers).map(layer).collect::<Result<_, Seq2SeqError>>()?,
            max_positions: config.max_positions,
            device: device.clone(),
        })
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The longest output, its first token included.
    pub fn max_positions(&self) -> usize {
        self.max_positions
    }

    /// The last hidden states of whole outputs, each over its sequence of `memory`.
    ///
    /// # Errors
    /// There are not as many outputs as sequences of the memory, one is empty or too long, a token is outside the vocabulary, or the
    /// device fails.
    pub fn forward(
        &self,
        batch: &TokenBatch,
        memory: &HiddenStates,
        pass: &Pass,
    ) -> Result<HiddenStates, Seq2SeqError> {
        let one_each = vec![1; memory.sequences()];
        self.forward_several(batch, &one_each, memory, pass)
    }

    /// As [`Self::forward`], with several outputs over each sequence of `memory`: `outputs[i]` of them over the i-th, those of the first one
    /// first. The memory's keys and values are computed once for all of them.
    ///
    /// # Errors
    /// As [`Self::forward`], or a sequence of the memory has no output.
    pub fn forward_several(
        &self,
        batch: &TokenBatch,
        outputs: &[usize],
        memory: &HiddenStates,
        pass: &Pass,
    ) -> Result<HiddenStates, Seq2SeqError> {
        let states = self.run(batch, outputs, memory, pass, None, |_| ())?;
        Ok(HiddenStates::of_batch(states, batch))
    }

    /// All that a pass without dropout computes, for whoever wants to look inside.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn trace(&self, batch: &TokenBatch, memory: &HiddenStates) -> Result<DecoderTrace, Seq2SeqError> {
        let (mut hidden_states, watches) = (Vec::new(), Watches::default());
        let one_each = vec![1; memory.sequences()];
        let see = |states: &Tensor| hidden_states.push(states.clone());
        self.run(batch, &one_each, memory, &Pass::evaluation(), Some(&watches), see)?;
        let (self_attention, cross_attention) = (watches.itself.into_inner(), watches.memory.into_inner());
        Ok(DecoderTrace { hidden_states, self_attention, cross_attention })
    }

    fn run(
        &self,
        batch: &TokenBatch,
        outputs: &[usize],
        memory: &HiddenStates,
        pass: &Pass,
        watch: Option<&Watches>,
        mut see: impl FnMut(&Tensor),
    ) -> Result<Tensor, Seq2SeqError> {
        batch.check(self.max_positions, self.embeddings.tokens().vocabulary())?;
        let dropout = pass.mode.dropout();
        let positions = batch.lengths().iter().flat_map(|length| 0..*length);
        let mut states = self.embeddings.forward(batch.ids(), positions, dropout)?;
        let layouts = self.layouts(batch, outputs, memory)?;
        see(&states);
        for layer in &self.layers {
            states = match &pass.checkpoints {
                None => layer.forward(&states, memory.states(), &layouts, dropout, watch)?,
                Some(checkpoints) => {
                    // One input, so that the memory gets its gradient too.
                    let rows = states.dim(0)?;
                    let (layer, layouts) = (layer.clone(), layouts.clone());
                    checkpoints.run(&Tensor::cat(&[&states, memory.states()], 0)?, move |both| {
                        let (states, memory) = (both.narrow(0, 0, rows)?, both.narrow(0, rows, both.dim(0)? - rows)?);
                        layer.forward(&states, &memory, &layouts, dropout, None)
                    })?
                }
            };
            see(&states);
        }
        Ok(states)
    }

    fn layouts(&self, batch: &TokenBatch, outputs: &[usize], memory: &HiddenStates) -> Result<Layouts, Seq2SeqError> {
        let of_memory = outputs.iter().sum::<usize>();
        if memory.sequences() != outputs.len() || of_memory != batch.len() || outputs.contains(&0) {
            let problem = format!("{} outputs over {} encoded sequences", batch.len(), memory.sequences());
            return Err(Seq2SeqError::Invalid(problem));
        }
        // The memory does not mind an order: outputs over one sequence look at it as one long output would.
        let mut lengths = batch.lengths().iter();
        let together: Vec<usize> = outputs.iter().map(|count| lengths.by_ref().take(*count).sum()).collect();
        Ok(Layouts {
            itself: AttentionLayout::of_itself(batch.lengths(), batch.attended(), true)?,
            memory: AttentionLayout::of_others(&together, memory.lengths(), memory.attended())?,
        })
    }

    /// Begins outputs that grow token by token, one row for each sequence of `memory`, whose keys and values are computed here once.
    ///
    /// # Errors
    /// A sequence of the memory has no states, or there is none, or the device fails.
    pub fn start(&self, memory: &HiddenStates) -> Result<DecoderCache, Seq2SeqError> {
        if let Some(sequence) = memory.lengths().iter().position(|length| *length == 0) {
            return Err(Seq2SeqError::Invalid(format!("sequence {sequence} of the memory has no states to look at")));
        }
        let states = memory.states().detach();
        let layer = |layer: &Arc<DecoderLayer>| Ok(LayerCache::new(layer.memory.attention.cached(&states)?));
        let layers = self.layers.iter().map(layer).collect::<Result<_, Seq2SeqError>>()?;
        Ok(DecoderCache::new(layers, memory)?)
    }

    /// Appends one token to each row of the cache and gives its last hidden state, `[rows, width]` f32 without history. The states are
    /// those that [`Self::forward`] gives for the whole output.
    ///
    /// # Errors
    /// There is not one token for each row, the outputs are as long as the model takes, a token is outside the vocabulary, or the device
    /// fails.
    pub fn step(&self, ids: &[u32], cache: &mut DecoderCache) -> Result<Tensor, Seq2SeqError> {
        let (rows, length) = (cache.rows(), cache.length());
        if ids.len() != rows {
            return Err(Seq2SeqError::Invalid(format!("{} tokens for {rows} rows", ids.len())));
        }
        if length >= self.max_positions {
            return Err(Seq2SeqError::Invalid(format!("outputs of {length} tokens: the model takes no more")));
        }
        let mut states = self.embeddings.forward(ids, ids.iter().map(|_| length), None)?.detach();
        let step = cache.next_step()?;
        for (number, layer) in self.layers.iter().enumerate() {
            states = layer.step(&states, cache.layer(number), &step)?.detach();
        }
        cache.grow();
        Ok(states)
    }
}

/// Attention weights that somebody wants to see.
#[derive(Default)]
struct Watches {
    itself: Watch,
    memory: Watch,
}

#[derive(Clone)]
struct Layouts {
    itself: Arc<AttentionLayout>,
    memory: Arc<AttentionLayout>,
}

struct DecoderLayer {
    itself: AttentionBlock,
    memory: AttentionBlock,
    feed_forward: FeedForward,
}

impl DecoderLayer {
    fn load(loader: &dyn LinearLoader, config: &Seq2SeqConfig, name: &str) -> Result<Self, Seq2SeqError> {
        let heads = config.decoder.heads;
        Ok(Self {
            itself: AttentionBlock::load(loader, config, heads, name, "self_attn")?,
            memory: AttentionBlock::load(loader, config, heads, name, "encoder_attn")?,
            feed_forward: FeedForward::load(loader, config, config.decoder, name)?,
        })
    }

    /// `[rows, width]` to `[rows, width]`.
    fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        layouts: &Layouts,
        dropout: Option<DropoutPass>,
        watch: Option<&Watches>,
    ) -> candle_core::Result<Tensor> {
        let seen = self.itself.attention.key_values(x, dropout)?;
        let x = self.itself.forward(x, &seen, &layouts.itself, dropout, watch.map(|watch| &watch.itself))?;
        let seen = self.memory.attention.key_values(memory, dropout)?;
        let x = self.memory.forward(&x, &seen, &layouts.memory, dropout, watch.map(|watch| &watch.memory))?;
        self.feed_forward.forward(&x, dropout)
    }

    /// One token for each row, `[rows, width]`.
    fn step(&self, x: &Tensor, cache: &mut LayerCache, step: &Step) -> candle_core::Result<Tensor> {
        let attention = &self.itself.attention;
        let seen = cache.append(&attention.cached(x)?, step)?;
        let x = self.itself.add(x, &attention.step(x, seen, &step.own)?, None)?;
        let attended = self.memory.attention.step(&x, &cache.memory, &step.memory)?;
        self.feed_forward.forward(&self.memory.add(&x, &attended, None)?, None)
    }
}
