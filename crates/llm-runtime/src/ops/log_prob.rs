//! Log-probabilities of chosen tokens.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::{Values, f32_slice, has_kernel};

/// `log softmax(logits)[target]` of each row, `[rows]`. `logits` is `[rows, vocabulary]`, `targets` `[rows]` u32.
///
/// # Errors
/// A target is outside the vocabulary, there is not one for each row, or the device fails.
pub fn log_probs_of(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if has_kernel(logits) {
        return logits.apply_op2(targets, LogProbs);
    }
    let chosen = logits.gather(&targets.unsqueeze(1)?, D::Minus1)?.squeeze(D::Minus1)?;
    chosen - logits.log_sum_exp(D::Minus1)?
}

struct LogProbs;

/// `ln Σ e^x`, summed in f64.
fn log_sum_exp(row: &[f32]) -> f32 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|x| f64::from((x - max).exp())).sum();
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
        let out: Vec<f32> = rows.map(|(row, target)| row[*target as usize] - log_sum_exp(row)).collect();
        Ok((CpuStorage::F32(out), Shape::from(targets.len())))
    }

    /// `dlogits = g · (onehot − softmax)`.
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
                let log_sum = row[target] - y[number];
                for (out, x) in out.iter_mut().zip(row) {
                    *out = -g * (x - log_sum).exp();
                }
                out[target] += g;
            });
        }
        Ok((Some(Tensor::from_vec(out, shape, logits.device())?), None))
    }
}
