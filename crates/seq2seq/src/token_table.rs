//! The vectors of tokens.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{DenseLinear, Embedding, Linear, LinearLoader};

use crate::{Seq2SeqConfig, Seq2SeqError};

/// One vector for each token; encoder, decoder and head may share one table.
pub struct TokenTable {
    table: Embedding,
    vocabulary: usize,
    pad_id: u32,
    device: Device,
}

impl TokenTable {
    /// Takes the table `name` (`model.shared`, `encoder.embed_tokens`) from `loader`.
    ///
    /// # Errors
    /// It is missing or has another shape than `config` says.
    pub fn load(
        loader: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        name: &str,
        device: &Device,
    ) -> Result<Arc<Self>, Seq2SeqError> {
        config.check()?;
        let table = loader.embedding(name, config.vocabulary_size, config.width)?;
        Ok(Arc::new(Self { table, vocabulary: config.vocabulary_size, pad_id: config.pad_id, device: device.clone() }))
    }

    /// Its rows: one for each token.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The vectors of tokens, `[ids.len(), width]`. The padding token's row gets no gradient from here, as torch's padding index has it.
    ///
    /// # Errors
    /// A token is outside the table, or the device fails.
    pub fn forward(&self, ids: &[u32]) -> Result<Tensor, Seq2SeqError> {
        crate::batch::check_ids(ids, self.vocabulary)?;
        let rows = self.table.forward(ids, &self.device)?;
        if !rows.track_op() || !ids.contains(&self.pad_id) {
            return Ok(rows);
        }
        let learns: Vec<f32> = ids.iter().map(|id| if *id == self.pad_id { 0.0 } else { 1.0 }).collect();
        let learns = Tensor::from_vec(learns, (ids.len(), 1), &self.device)?.to_dtype(rows.dtype())?;
        let constant = rows.detach().broadcast_mul(&learns.affine(-1.0, 1.0)?)?;
        Ok((rows.broadcast_mul(&learns)? + constant)?)
    }

    /// The output layer that shares the table: `h Eᵀ + bias`.
    ///
    /// # Errors
    /// The table is not a matrix.
    pub fn head(&self, bias: Option<Tensor>) -> Result<Arc<dyn Linear>, Seq2SeqError> {
        Ok(match (&self.table, bias) {
            (Embedding::Dense(table), bias) => Arc::new(DenseLinear::new(table.clone(), bias)?),
            (quantised, None) => quantised.tied_head()?,
            (Embedding::Quantised(table), bias) => Arc::new(llm_runtime::QuantLinear::new(table.clone(), bias)?),
        })
    }
}
