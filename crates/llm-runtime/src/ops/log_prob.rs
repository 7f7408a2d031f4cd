//! Log-probabilities of chosen tokens.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{Values, f32_slice, has_kernel};
use crate::kernels;

/// `log softmax(logits)[target]` of each row, `[rows]`. `logits` is `[rows, vocabulary]`, `targets` `[rows]` u32.
///
/// # Errors
/// A target is outside the vocabulary, there is not one for each row, or the device fails.
pub fn log_probs_of(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    smoothed_log_probs_of(logits, targets, 0.0)
}

/// `(1 − ε)·log p(target) + ε·mean over the vocabulary of log p` of each row with `p = softmax(logits)` and `ε = smoothing`: its negative is
/// the cross-entropy with smoothed labels (arXiv 1512.00567). Shapes as in [`log_probs_of`].
///
/// # Errors
/// As [`log_probs_of`].
pub fn smoothed_log_probs_of(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    if has_kernel(logits) {
        return logits.apply_op2(targets, LogProbs { smoothing });
    }
    let mut chosen = logits.gather(&targets.unsqueeze(1)?, D::Minus1)?.squeeze(D::Minus1)?;
    if smoothing > 0.0 {
        chosen = ((chosen * (1.0 - smoothing))? + (logits.mean(D::Minus1)? * smoothing)?)?;
    }
    chosen - logits.log_sum_exp(D::Minus1)?
}

struct LogProbs {
    smoothing: f64,
}

impl LogProbs {
    /// `(1 − ε)·logit of the target + ε·mean logit`.
    fn wanted(&self, row: &[f32], target: usize) -> f32 {
        if self.smoothing == 0.0 {
            return row[target];
        }
        let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / row.len() as f64;
        ((1.0 - self.smoothing) * f64::from(row[target]) + self.smoothing * mean) as f32
    }
}

/// `ln Σ e^x`, summed in f64.
fn log_sum_exp(row: &[f32]) -> f32 {
    let (sum, max) = kernels::sum_of_exponentials(row);
    max + sum.ln() as f32
}

fn targets_of<'a>(storage: &'a CpuStorage, layout: &Layout, vocabulary: usize) -> Result<&'a [u32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("targets must be contiguous") };
    let targets = &storage.as_slice::<u32>()?[start..end];
    match targets.iter().find(|target| **target as usize >= vocabulary) {
        Some(outside) => bail!("the target {outside} is outside the vocabulary of {vocabulary}"),
        None => Ok(targets),
    }
}

impl CustomOp2 for LogProbs {
    fn name(&self) -> &'static str {
        "log-probs-of"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, vocabulary) = l1.shape().dims2()?;
        let (logits, targets) = (f32_slice(s1, l1)?, targets_of(s2, l2, vocabulary)?);
        if targets.len() != rows {
            bail!("{rows} rows of logits, but {} targets", targets.len())
        }
        let rows = logits.par_chunks_exact(vocabulary).zip(targets);
        let out: Vec<f32> = rows.map(|(row, target)| self.wanted(row, *target as usize) - log_sum_exp(row)).collect();
        Ok((CpuStorage::F32(out), Shape::from(targets.len())))
    }

    /// `dlogits = g · ((1 − ε)·onehot + ε / vocabulary − softmax)`.
    fn bwd(
        &self,
        logits: &Tensor,
        targets: &Tensor,
        y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (shape, vocabulary, targets) = (logits.shape(), logits.dim(1)?, targets.to_vec1::<u32>()?);
        let (g, y) = (g.to_vec1::<f32>()?, y.to_vec1::<f32>()?);
        let mut out = vec![0f32; shape.elem_count()];
        {
            let logits = Values::of(logits)?;
            let rows = out.par_chunks_exact_mut(vocabulary).zip(logits.slice()?.par_chunks_exact(vocabulary));
            rows.enumerate().for_each(|(number, (out, row))| {
                let (g, target) = (g[number], targets[number] as usize);
                let log_sum = self.wanted(row, target) - y[number];
                let share = (self.smoothing / vocabulary as f64) as f32;
                for (out, x) in out.iter_mut().zip(row) {
                    *out = g * (share - (x - log_sum).exp());
                }
                out[target] += g * (1.0 - self.smoothing) as f32;
            });
        }
        Ok((Some(Tensor::from_vec(out, shape, logits.device())?), None))
    }
}
