//! What logits say of a token beside its probability.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::*;

use crate::kernels;

/// What the logits of one row say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenStatistic {
    /// Their mean.
    pub mean_logit: f32,
    /// Entropy of their softmax, nats.
    pub entropy: f32,
    /// `ln Σ p²`: how concentrated their softmax is, 0 if on one token.
    pub log_sum_squares: f32,
    /// The most probable token.
    pub top: u32,
}

/// Collects a [`TokenStatistic`] for each row that [`crate::observed_token_log_probs`] projects, while the logits exist. Clones are handles to the same
/// collection. Rows that are projected again in a backward pass are not noted twice.
#[derive(Debug, Clone, Default)]
pub struct TokenStatistics {
    /// By the first row of each chunk.
    chunks: Arc<Mutex<BTreeMap<usize, Vec<TokenStatistic>>>>,
}

impl TokenStatistics {
    /// What was noted, in the order of the rows; empty afterwards.
    pub fn take(&self) -> Vec<TokenStatistic> {
        let chunks = std::mem::take(&mut *self.chunks.lock().unwrap_or_else(PoisonError::into_inner));
        chunks.into_values().flatten().collect()
    }

    /// Notes the rows of `logits`, `[rows, vocabulary]`, of which the first is row `first` of all.
    pub(crate) fn note(&self, first: usize, logits: &Tensor) -> Result<()> {
        if self.chunks.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&first) {
            return Ok(());
        }
        let statistics = statistics(&logits.detach())?;
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner).insert(first, statistics);
        Ok(())
    }
}

fn statistics(logits: &Tensor) -> Result<Vec<TokenStatistic>> {
    match logits.device().is_cpu() {
        true => {
            let rows = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            Ok(rows.par_iter().map(|row| of_row(row)).collect())
        }
        false => on_device(&logits.to_dtype(DType::F32)?),
    }
}

/// `entropy = ln Σ e^x − Σ p·x`, summed in f64.
fn of_row(row: &[f32]) -> TokenStatistic {
    let (sum, max) = kernels::sum_of_exponentials(row);
    let log_sum = f64::from(max) + sum.ln();
    let (mut total, mut expected, mut squares, mut top) = (0.0, 0.0, 0.0, 0);
    for (token, logit) in row.iter().enumerate() {
        let probability = f64::from((logit - log_sum as f32).exp());
        total += f64::from(*logit);
        expected += probability * f64::from(*logit);
        squares += probability * probability;
        if *logit > row[top] {
            top = token;
        }
    }
    TokenStatistic {
        mean_logit: (total / row.len() as f64) as f32,
        entropy: (log_sum - expected) as f32,
        log_sum_squares: squares.ln() as f32,
        top: top as u32,
    }
}

fn on_device(logits: &Tensor) -> Result<Vec<TokenStatistic>> {
    let log_probs = logits.broadcast_sub(&logits.log_sum_exp(D::Minus1)?.unsqueeze(1)?)?;
    let entropies = (log_probs.exp()? * &log_probs)?.sum(D::Minus1)?.neg()?.to_vec1::<f32>()?;
    let squares = (&log_probs * 2.0)?.log_sum_exp(D::Minus1)?.to_vec1::<f32>()?;
    let (means, tops) = (logits.mean(D::Minus1)?.to_vec1::<f32>()?, logits.argmax(D::Minus1)?.to_vec1::<u32>()?);
    let rows = means.into_iter().zip(entropies).zip(squares).zip(tops);
    let statistic =
        |(((mean_logit, entropy), log_sum_squares), top)| TokenStatistic { mean_logit, entropy, log_sum_squares, top };
    Ok(rows.map(statistic).collect())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_row_and_the_same_row_by_tensors() {
        let values: Vec<f32> = (0..3 * 40).map(|i| ((i * 37 % 101) as f32 / 13.0).sin() * 4.0).collect();
        let logits = Tensor::from_vec(values, (3, 40), &Device::Cpu).unwrap();
        for (own, other) in statistics(&logits).unwrap().iter().zip(on_device(&logits).unwrap()) {
            assert!((own.mean_logit - other.mean_logit).abs() < 1e-6, "{own:?} {other:?}");
            assert!((own.entropy - other.entropy).abs() < 1e-5, "{own:?} {other:?}");
            assert!((own.log_sum_squares - other.log_sum_squares).abs() < 1e-5, "{own:?} {other:?}");
            assert_eq!(own.top, other.top);
        }
    }

    #[test]
    fn even_logits_have_the_entropy_of_a_die() {
        let row = of_row(&[2.0; 6]);
        assert!((f64::from(row.entropy) - 6f64.ln()).abs() < 1e-6);
        assert_eq!((row.mean_logit, row.top), (2.0, 0));
    }
}
