//! What the first layer sees: tokens and positions, normed.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{DropoutPass, Embedding, LinearLoader, drop_out};

use crate::config::Architecture;
use crate::norm::Norm;
use crate::{Seq2SeqConfig, Seq2SeqError, TokenTable};

pub(crate) struct Embeddings {
    tokens: Arc<TokenTable>,
    positions: Embedding,
    norm: Norm,
    scale: Option<f64>,
    offset: usize,
    norm_is_first: bool,
    dropout: f32,
    name: String,
    device: Device,
}

impl Embeddings {
    /// `name` is the stack's, e.g. `model.encoder`.
    pub(crate) fn load(
        loader: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        name: &str,
        tokens: Arc<TokenTable>,
        is_decoder: bool,
        device: &Device,
    ) -> Result<Self, Seq2SeqError> {
        let positions = format!("{name}.embed_positions");
        Ok(Self {
            tokens,
            positions: loader.embedding(&positions, config.position_rows(), config.width)?,
            norm: Norm::load(loader, &format!("{name}.layernorm_embedding"), config.width)?,
            scale: config.scale_embedding.then(|| (config.width as f64).sqrt()),
            offset: config.architecture.position_offset(),
            norm_is_first: is_decoder && config.architecture == Architecture::BlenderbotSmall,
            dropout: config.dropout,
            name: format!("{name}.embeddings"),
            device: device.clone(),
        })
    }

    pub(crate) fn tokens(&self) -> &Arc<TokenTable> {
        &self.tokens
    }

    /// `[rows, width]` of tokens at these positions, which count from 0.
    pub(crate) fn forward(
        &self,
        ids: &[u32],
        positions: impl Iterator<Item = usize>,
        dropout: Option<DropoutPass>,
    ) -> Result<Tensor, Seq2SeqError> {
        let mut tokens = self.tokens.forward(ids)?;
        if let Some(scale) = self.scale {
            tokens = (tokens * scale)?;
        }
        let rows: Vec<u32> = positions.map(|position| (position + self.offset) as u32).collect();
        let positions = self.positions.forward(&rows, &self.device)?;
        let sum = match self.norm_is_first {
            true => (self.norm.forward(&tokens)? + positions)?,
            false => self.norm.forward(&(tokens + positions)?)?,
        };
        Ok(drop_out(dropout, &sum, self.dropout, &self.name, "output")?)
    }
}
