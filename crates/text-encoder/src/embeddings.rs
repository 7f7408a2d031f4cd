//! What the first layer sees: the sum of a word's, a position's and a token type's vector, normed.

use candle_core::{Device, Tensor};
use llm_runtime::{DropoutPass, Embedding, LinearLoader, drop_out};

use crate::config::Architecture;
use crate::norm::Norm;
use crate::{EncoderBatch, EncoderConfig, EncoderError};

pub(crate) struct Embeddings {
    words: Embedding,
    positions: Embedding,
    token_types: Embedding,
    norm: Norm,
    config: EncoderConfig,
    name: String,
    device: Device,
}

impl Embeddings {
    pub(crate) fn load(
        loader: &dyn LinearLoader,
        config: &EncoderConfig,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        let name = format!("{}.embeddings", config.architecture.prefix());
        let table = |part: &str, rows| loader.embedding(&format!("{name}.{part}"), rows, config.hidden_size);
        Ok(Self {
            words: table("word_embeddings", config.vocabulary_size)?,
            positions: table("position_embeddings", config.max_positions)?,
            token_types: table("token_type_embeddings", config.type_vocabulary_size)?,
            norm: Norm::load(loader, config, &format!("{name}.LayerNorm"))?,
            config: config.clone(),
            name,
            device: device.clone(),
        })
    }

    /// `[rows, width]`.
    pub(crate) fn forward(&self, batch: &EncoderBatch, dropout: Option<DropoutPass>) -> Result<Tensor, EncoderError> {
        self.check(batch)?;
        let words = self.words.forward(batch.ids(), &self.device)?;
        let positions = self.positions.forward(&self.positions_of(batch), &self.device)?;
        let token_types = self.token_types.forward(batch.token_types(), &self.device)?;
        let sum = ((words + token_types)? + positions)?;
        Ok(drop_out(dropout, &self.norm.forward(&sum)?, self.config.hidden_dropout, &self.name, "output")?)
    }

    fn check(&self, batch: &EncoderBatch) -> Result<(), EncoderError> {
        let longest = self.config.longest();
        if batch.is_empty() || batch.lengths().contains(&0) {
            return Err(EncoderError::Invalid("a batch needs sequences of at least one token".into()));
        }
        if let Some(length) = batch.lengths().iter().find(|length| **length > longest) {
            return Err(EncoderError::Invalid(format!("a sequence of {length} tokens: the encoder takes {longest}")));
        }
        let outside = |values: &[u32], size: usize| values.iter().copied().find(|value| *value as usize >= size);
        if let Some(id) = outside(batch.ids(), self.config.vocabulary_size) {
            let size = self.config.vocabulary_size;
            return Err(EncoderError::Invalid(format!("the token {id} is outside the vocabulary of {size}")));
        }
        match outside(batch.token_types(), self.config.type_vocabulary_size) {
            Some(kind) => Err(EncoderError::Invalid(format!("the encoder has no token type {kind}"))),
            None => Ok(()),
        }
    }

    /// BERT counts from 0. RoBERTa gives padding the position of its own id, and counts the others from there.
    fn positions_of(&self, batch: &EncoderBatch) -> Vec<u32> {
        let mut rest = batch.ids();
        let mut positions = Vec::with_capacity(rest.len());
        for length in batch.lengths() {
            let (ids, later) = rest.split_at(*length);
            rest = later;
            match self.config.architecture {
                Architecture::Bert => positions.extend(0..*length as u32),
                Architecture::Roberta => {
                    let pad = self.config.pad_id;
                    let mut last = pad;
                    positions.extend(ids.iter().map(|id| {
                        last += u32::from(*id != pad);
                        if *id == pad { pad } else { last }
                    }));
                }
            }
        }
        positions
    }
}
