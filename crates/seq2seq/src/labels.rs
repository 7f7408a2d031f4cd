//! Labels: the tokens that a decoder shall say, what it is fed for them, and what they cost.

use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::{Checkpoints, Linear, smoothed_token_log_probs};
use training::Pass;

use crate::{Seq2SeqError, Seq2SeqModel, TokenBatch};

/// What a decoder is fed so that it learns to say `labels`: the same, one place later, behind the first token. Where there is no label
/// stands padding.
pub fn shift_right(labels: &[Option<u32>], decoder_start_id: u32, pad_id: u32) -> Vec<u32> {
    let before = labels.iter().take(labels.len().saturating_sub(1)).map(|label| label.unwrap_or(pad_id));
    let first = labels.first().map(|_| decoder_start_id);
    first.into_iter().chain(before).collect()
}

/// Inputs and the labels of their outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seq2SeqBatch {
    /// What the encoder reads.
    pub inputs: TokenBatch,
    /// What the decoder is fed.
    pub outputs: TokenBatch,
    /// What it shall say at each of its places; at some, nothing is asked for.
    pub labels: Vec<Option<u32>>,
}

impl Seq2SeqBatch {
    /// No examples yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an example. Places behind its last label are left out: nothing depends on them.
    pub fn push(&mut self, inputs: &[u32], labels: &[Option<u32>], decoder_start_id: u32, pad_id: u32) {
        let last = labels.iter().rposition(Option::is_some).unwrap_or(0);
        let labels = &labels[..labels.len().min(last + 1)];
        self.inputs.push(inputs);
        self.outputs.push(&shift_right(labels, decoder_start_id, pad_id));
        self.labels.extend(labels);
    }

    /// Number of labels.
    pub fn label_count(&self) -> usize {
        self.labels.iter().flatten().count()
    }
}

/// `(1 − ε)·log p(label) + ε·mean over the vocabulary of log p` with `ε = smoothing`, in nats, for each row of `states` that has a label:
/// `[labels]` f32. The negative mean is the loss that transformers' label smoothing gives; 0 is the plain cross-entropy.
///
/// `states` are a decoder's `[rows, width]`, and `head` makes logits of them. Rows without labels never meet the head. With `checkpoints`,
/// logits are not kept but computed again in the backward pass.
///
/// # Errors
/// There is not one place for each row, no label at all, a label is outside the vocabulary, the smoothing is not in `[0, 1)`, or the device
/// fails.
pub fn label_log_probs(
    head: &Arc<dyn Linear>,
    states: &Tensor,
    labels: &[Option<u32>],
    smoothing: f64,
    checkpoints: Option<&Checkpoints>,
) -> Result<Tensor, Seq2SeqError> {
    let rows = states.dim(0)?;
    if labels.len() != rows {
        return Err(Seq2SeqError::Invalid(format!("{} places for labels at {rows} rows", labels.len())));
    }
    if !(0.0..1.0).contains(&smoothing) {
        return Err(Seq2SeqError::Invalid(format!("a label smoothing of {smoothing}: expected a number in [0, 1)")));
    }
    let targets: Vec<u32> = labels.iter().copied().flatten().collect();
    if targets.is_empty() {
        return Err(Seq2SeqError::Invalid("a batch without a single label".into()));
    }
    crate::batch::check_ids(&targets, head.out_features())?;
    let labelled = match targets.len() == rows {
        true => states.clone(),
        false => {
            let places = labels.iter().enumerate().filter(|(_, label)| label.is_some()).map(|(place, _)| place as u32);
            states.index_select(&Tensor::new(places.collect::<Vec<u32>>(), states.device())?, 0)?
        }
    };
    Ok(smoothed_token_log_probs(head, &labelled, &targets, smoothing, checkpoints)?)
}

impl Seq2SeqModel {
    /// [`label_log_probs`] of a batch, `[labels]`.
    ///
    /// # Errors
    /// As [`Self::forward`] and [`label_log_probs`].
    pub fn label_log_probs(&self, batch: &Seq2SeqBatch, smoothing: f64, pass: &Pass) -> Result<Tensor, Seq2SeqError> {
        let states = self.forward(&batch.inputs, &batch.outputs, pass)?;
        label_log_probs(self.head(), states.states(), &batch.labels, smoothing, pass.checkpoints.as_ref())
    }

    /// What each label of each output costs: `−log p(label)` in nats, without dropout. The perplexity of many outputs is `exp` of the sum
    /// over all their labels divided by their number.
    ///
    /// # Errors
    /// As [`Self::label_log_probs`].
    pub fn label_losses(&self, batch: &Seq2SeqBatch) -> Result<Vec<Vec<f32>>, Seq2SeqError> {
        let losses = self.label_log_probs(batch, 0.0, &Pass::evaluation())?.neg()?.to_vec1::<f32>()?;
        let (mut losses, mut labels) = (losses.into_iter(), batch.labels.iter());
        let of_output = |length: &usize| {
            let count = labels.by_ref().take(*length).flatten().count();
            losses.by_ref().take(count).collect()
        };
        Ok(batch.outputs.lengths().iter().map(of_output).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoder_is_fed_the_label_before() {
        assert_eq!(shift_right(&[Some(7), None, Some(9)], 2, 1), [2, 7, 1]);
        assert!(shift_right(&[], 2, 1).is_empty());
    }

    #[test]
    fn places_behind_the_last_label_are_left_out() {
        let mut batch = Seq2SeqBatch::new();
        batch.push(&[5], &[None, Some(8), None, None], 2, 1);
        batch.push(&[6], &[None, None], 2, 1);
        assert_eq!((batch.outputs.ids(), batch.outputs.lengths()), (&[2, 1, 2][..], &[2, 1][..]));
        assert_eq!((batch.labels.clone(), batch.label_count()), (vec![None, Some(8), None], 1));
    }
}
