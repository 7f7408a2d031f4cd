//! Log-probabilities of tokens from hidden states, without a full matrix of logits.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::linear::Linear;
use crate::token_statistics::TokenStatistics;
use crate::{Checkpoints, ops};

/// Rows whose logits exist at a time: 256 rows of a 32,000 token vocabulary are 33 MB.
const CHUNK_ROWS: usize = 256;

/// `log p(target)` of each row under `softmax(head(hidden))`, `[rows]` f32. `hidden` is `[rows, width]`; there is one target per row.
///
/// With `checkpoints`, rows are projected in chunks whose logits are dropped and computed again in the backward pass, so that
/// memory does not grow with rows × vocabulary.
///
/// # Errors
/// The numbers of rows and targets differ, a target is outside the vocabulary, or the device fails.
pub fn token_log_probs(
    head: &Arc<dyn Linear>,
    hidden: &Tensor,
    targets: &[u32],
    checkpoints: Option<&Checkpoints>,
) -> Result<Tensor> {
    smoothed_token_log_probs(head, hidden, targets, 0.0, checkpoints)
}

/// As [`token_log_probs`]; what else the head says of the rows goes to `statistics`, if there are any.
///
/// # Errors
/// As [`token_log_probs`].
pub fn observed_token_log_probs(
    head: &Arc<dyn Linear>,
    hidden: &Tensor,
    targets: &[u32],
    checkpoints: Option<&Checkpoints>,
    statistics: Option<&TokenStatistics>,
) -> Result<Tensor> {
    scored(head, hidden, targets, 0.0, checkpoints, statistics)
}

/// As [`token_log_probs`], with `(1 − ε)·log p(target) + ε·mean over the vocabulary of log p`, `ε = smoothing`.
///
/// # Errors
/// As [`token_log_probs`].
pub fn smoothed_token_log_probs(
    head: &Arc<dyn Linear>,
    hidden: &Tensor,
    targets: &[u32],
    smoothing: f64,
    checkpoints: Option<&Checkpoints>,
) -> Result<Tensor> {
    scored(head, hidden, targets, smoothing, checkpoints, None)
}

fn scored(
    head: &Arc<dyn Linear>,
    hidden: &Tensor,
    targets: &[u32],
    smoothing: f64,
    checkpoints: Option<&Checkpoints>,
    statistics: Option<&TokenStatistics>,
) -> Result<Tensor> {
    let rows = hidden.dim(0)?;
    if rows != targets.len() {
        candle_core::bail!("{rows} rows of hidden states, but {} targets", targets.len())
    }
    let chunk_log_probs = |first: usize, targets: &[u32]| {
        let (head, statistics) = (head.clone(), statistics.cloned());
        let targets = Tensor::new(targets, hidden.device())?;
        let log_probs = move |chunk: &Tensor| -> Result<Tensor> {
            let logits = head.forward_dequantised(chunk)?;
            if let Some(statistics) = &statistics {
                statistics.note(first, &logits)?;
            }
            ops::smoothed_log_probs_of(&logits, &targets, smoothing)
        };
        Ok::<_, candle_core::Error>(log_probs)
    };
    let Some(checkpoints) = checkpoints.filter(|_| rows > CHUNK_ROWS) else {
        return chunk_log_probs(0, targets)?(hidden);
    };
    let chunks = (0..rows).step_by(CHUNK_ROWS).map(|first| {
        let count = CHUNK_ROWS.min(rows - first);
        let chunk = hidden.narrow(0, first, count)?.contiguous()?;
        checkpoints.run(&chunk, chunk_log_probs(first, &targets[first..first + count])?)
    });
    Tensor::cat(&chunks.collect::<Result<Vec<_>>>()?, 0)
}
