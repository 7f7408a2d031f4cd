//! Llama-2, Llama-3 and Mistral: one model over a flat batch of rows.
//!
//! A step's rows may belong to any number of sequences at any positions: nothing is padded, every operator but attention
//! works row by row, and attention (see [`Attention`]) knows which rows see which keys. Names follow the Hugging Face
//! checkpoint, so that a weight is found by reading.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::fork::{Fork, ForkedSequences};
use crate::linear::{Embedding, Linear, LinearLoader};
use crate::{Checkpoints, Error, LlamaConfig, ops};

/// Mixes values across the rows of a step; everything else in the model sees one row at a time.
pub trait Attention {
    /// Attends in `layer`. `queries` are `[rows, heads, head_dim]`, `keys` and `values` `[rows, key_value_heads, head_dim]`,
    /// f32, queries and keys rotated to their positions. Gives `[rows, heads · head_dim]`.
    ///
    /// # Errors
    /// The device fails.
    fn attend(
        &mut self,
        layer: usize,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, candle_core::Error>;
}

/// A decoder-only transformer of the Llama family.
pub struct Llama {
    config: LlamaConfig,
    embed_tokens: Embedding,
    layers: Vec<Arc<Layer>>,
    norm: Tensor,
    lm_head: Arc<dyn Linear>,
    rope_frequencies: Vec<f32>,
    device: Device,
}

/// Attention of [`Llama::sequences`].
#[derive(Clone)]
struct WholeSequences {
    lengths: Arc<[usize]>,
    window: Option<usize>,
}

impl Attention for WholeSequences {
    fn attend(
        &mut self,
        _layer: usize,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, candle_core::Error> {
        ops::causal_attention(queries, keys, &values.contiguous()?, &self.lengths, self.window)
    }
}

/// What all layers need to know of a pass's rows.
#[derive(Clone)]
struct Rows {
    /// Cosines and sines of their rotations, `[rows, head_dim / 2]`.
    cos: Tensor,
    sin: Tensor,
    product: Product,
}

/// How a linear layer is applied.
type Product = fn(&dyn Linear, &Tensor) -> Result<Tensor, candle_core::Error>;

impl Rows {
    fn new((cos, sin): (Tensor, Tensor), product: Product) -> Self {
        Self { cos, sin, product }
    }
}

struct Layer {
    input_layernorm: Tensor,
    q_proj: Arc<dyn Linear>,
    k_proj: Arc<dyn Linear>,
    v_proj: Arc<dyn Linear>,
    o_proj: Arc<dyn Linear>,
    post_attention_layernorm: Tensor,
    gate_proj: Arc<dyn Linear>,
    up_proj: Arc<dyn Linear>,
    down_proj: Arc<dyn Linear>,
}

impl Llama {
    /// Builds the model from a loader's parameters.
    ///
    /// # Errors
    /// A parameter is missing, has another shape or can't be read.
    pub fn load(loader: &dyn LinearLoader, config: LlamaConfig, device: &Device) -> Result<Self, Error> {
        let embed_tokens = loader.embedding("model.embed_tokens", config.vocabulary_size, config.hidden_size)?;
        let layers = (0..config.layers)
            .map(|layer| Layer::load(loader, &config, &format!("model.layers.{layer}")).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = loader.tensor("model.norm.weight", &[config.hidden_size])?;
        let lm_head = match config.tied_head {
            true => embed_tokens.tied_head()?,
            false => loader.linear("lm_head", config.hidden_size, config.vocabulary_size)?,
        };
        let rope_frequencies = config.rope_frequencies();
        Ok(Self { config, embed_tokens, layers, norm, lm_head, rope_frequencies, device: device.clone() })
    }

    /// The model's shape and constants.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Runs rows of tokens at their positions and gives the hidden states after the final norm, `[rows, hidden_size]`.
    ///
    /// # Errors
    /// The device fails, or an id is outside the vocabulary.
    pub fn hidden_states(
        &self,
        ids: &[u32],
        positions: &[usize],
        attention: &mut dyn Attention,
    ) -> Result<Tensor, candle_core::Error> {
        self.hidden_states_observed(ids, positions, attention, &mut |_, _| ())
    }

    /// As [`Self::hidden_states`]; `observe` sees the input of layer `i` as number `i`, `[rows, hidden_size]`.
    ///
    /// # Errors
    /// As [`Self::hidden_states`].
    pub fn hidden_states_observed(
        &self,
        ids: &[u32],
        positions: &[usize],
        attention: &mut dyn Attention,
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor, candle_core::Error> {
        let mut x = self.embed_tokens.forward(ids, &self.device)?;
        let rows = Rows::new(self.rotations(positions, x.dtype())?, |layer, x| layer.forward(x));
        for (number, layer) in self.layers.iter().enumerate() {
            observe(number, &x);
            x = layer.forward(number, &x, &self.config, &rows, attention)?;
        }
        ops::rms_norm(&x, &self.norm, self.config.rms_norm_eps)
    }

    /// Hidden states after the final norm of whole sequences that lie one after the other in `ids`, `[rows, hidden_size]`, with a
    /// gradient for every trained parameter. `lengths` are the sequences' numbers of tokens; each begins at position 0 and sees
    /// only itself. Nothing is padded.
    ///
    /// With `checkpoints` only each layer's input is kept for the backward pass.
    ///
    /// # Errors
    /// The lengths do not add up to the ids, an id is outside the vocabulary, or the device fails.
    pub fn sequences(
        &self,
        ids: &[u32],
        lengths: &[usize],
        checkpoints: Option<&Checkpoints>,
    ) -> Result<Tensor, candle_core::Error> {
        if lengths.iter().sum::<usize>() != ids.len() {
            candle_core::bail!("{} tokens are not the sum of the sequences' lengths {lengths:?}", ids.len())
        }
        let positions: Vec<usize> = lengths.iter().flat_map(|length| 0..*length).collect();
        let attention = WholeSequences { lengths: lengths.into(), window: self.config.sliding_window };
        self.train_through(ids, &positions, &attention, checkpoints)
    }

    /// As [`Self::sequences`], for sequences of which several begin alike: each fork's trunk is computed once and its branches go on from there, each seeing the
    /// trunk and itself. `ids` are the trunk of the first fork, its branches one after the other, the next trunk …; so are the rows.
    ///
    /// # Errors
    /// As [`Self::sequences`], or a fork has no branch.
    pub fn forks(
        &self,
        ids: &[u32],
        forks: &[Fork],
        checkpoints: Option<&Checkpoints>,
    ) -> Result<Tensor, candle_core::Error> {
        if forks.iter().map(Fork::rows).sum::<usize>() != ids.len() {
            candle_core::bail!("{} tokens are not the sum of the forks' lengths {forks:?}", ids.len())
        }
        if forks.iter().any(|fork| fork.branches.is_empty()) {
            candle_core::bail!("a fork without a branch: {forks:?}")
        }
        let positions: Vec<usize> = forks.iter().flat_map(Fork::positions).collect();
        let attention = ForkedSequences::new(forks, self.config.sliding_window, &self.device)?;
        self.train_through(ids, &positions, &attention, checkpoints)
    }

    /// Hidden states with gradients; with `checkpoints` only each layer's input is kept.
    fn train_through<A: Attention + Clone + Send + Sync + 'static>(
        &self,
        ids: &[u32],
        positions: &[usize],
        attention: &A,
        checkpoints: Option<&Checkpoints>,
    ) -> Result<Tensor, candle_core::Error> {
        let mut x = self.embed_tokens.forward(ids, &self.device)?;
        let rows = Rows::new(self.rotations(positions, x.dtype())?, |layer, x| layer.forward_dequantised(x));
        for (number, layer) in self.layers.iter().enumerate() {
            let (layer, config, rows) = (layer.clone(), self.config.clone(), rows.clone());
            let mut attention = attention.clone();
            x = match checkpoints {
                None => layer.forward(number, &x, &config, &rows, &mut attention)?,
                Some(checkpoints) => {
                    checkpoints.run(&x, move |x| layer.forward(number, x, &config, &rows, &mut attention.clone()))?
                }
            };
        }
        ops::rms_norm(&x, &self.norm, self.config.rms_norm_eps)
    }

    /// The output head, from hidden states to logits.
    pub fn head(&self) -> &Arc<dyn Linear> {
        &self.lm_head
    }

    /// Logits of hidden states, `[rows, vocabulary_size]` f32.
    ///
    /// # Errors
    /// The device fails.
    pub fn logits(&self, hidden_states: &Tensor) -> Result<Tensor, candle_core::Error> {
        self.lm_head.forward(hidden_states)?.to_dtype(DType::F32)
    }

    /// Cosines and sines of each position's rotation, both `[rows, head_dim / 2]`.
    fn rotations(&self, positions: &[usize], dtype: DType) -> Result<(Tensor, Tensor), candle_core::Error> {
        let shape = (positions.len(), self.rope_frequencies.len());
        let angles = positions.iter().flat_map(|position| {
            let position = *position as f32;
            self.rope_frequencies.iter().map(move |frequency| position * frequency)
        });
        let (sin, cos): (Vec<f32>, Vec<f32>) = angles.map(f32::sin_cos).unzip();
        let tensor = |values| Tensor::from_vec(values, shape, &self.device)?.to_dtype(dtype);
        Ok((tensor(cos)?, tensor(sin)?))
    }
}

impl Layer {
    fn load(loader: &dyn LinearLoader, config: &LlamaConfig, name: &str) -> Result<Self, Error> {
        let hidden = config.hidden_size;
        let (queries, keys) = (config.heads * config.head_dim, config.key_value_heads * config.head_dim);
        let attention = |part: &str, from, to| loader.linear(&format!("{name}.self_attn.{part}"), from, to);
        let mlp = |part: &str, from, to| loader.linear(&format!("{name}.mlp.{part}"), from, to);
        Ok(Self {
            input_layernorm: loader.tensor(&format!("{name}.input_layernorm.weight"), &[hidden])?,
            q_proj: attention("q_proj", hidden, queries)?,
            k_proj: attention("k_proj", hidden, keys)?,
            v_proj: attention("v_proj", hidden, keys)?,
            o_proj: attention("o_proj", queries, hidden)?,
            post_attention_layernorm: loader.tensor(&format!("{name}.post_attention_layernorm.weight"), &[hidden])?,
            gate_proj: mlp("gate_proj", hidden, config.intermediate_size)?,
            up_proj: mlp("up_proj", hidden, config.intermediate_size)?,
            down_proj: mlp("down_proj", config.intermediate_size, hidden)?,
        })
    }

    fn forward(
        &self,
        number: usize,
        x: &Tensor,
        config: &LlamaConfig,
        rows: &Rows,
        attention: &mut dyn Attention,
    ) -> Result<Tensor, candle_core::Error> {
        let Rows { cos, sin, product } = rows;
        let count = x.dim(0)?;
        let heads = |x: Tensor, heads| x.reshape((count, heads, config.head_dim));

        let normed = ops::rms_norm(x, &self.input_layernorm, config.rms_norm_eps)?;
        let queries = ops::rope(&heads(product(&*self.q_proj, &normed)?, config.heads)?, cos, sin)?;
        let keys = ops::rope(&heads(product(&*self.k_proj, &normed)?, config.key_value_heads)?, cos, sin)?;
        let values = heads(product(&*self.v_proj, &normed)?, config.key_value_heads)?;
        let mixed = attention.attend(number, &queries, &keys, &values)?;
        let x = (x + product(&*self.o_proj, &mixed)?)?;

        let normed = ops::rms_norm(&x, &self.post_attention_layernorm, config.rms_norm_eps)?;
        let gated = ops::silu_mul(&product(&*self.gate_proj, &normed)?, &product(&*self.up_proj, &normed)?)?;
        x + product(&*self.down_proj, &gated)?
    }
}
