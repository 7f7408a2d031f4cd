//! Losses of a model's class probabilities against annotators who disagree. They know nothing of networks.
//!
//! Of each response in a batch of `B` there are a prior `p_i` (what its annotations say, [`crate::Votes::prior`]) and the model's posterior
//! `q_i`. The *implicit posterior* brings both together by Bayes' rule, with the marginal of the classes estimated on the batch:
//!
//! `r_i(l) ∝ p_i(l) · q_i(l) / Σ_j q_j(l)`
//!
//! Rolf et al., "Resolving label uncertainty with implicit posterior models" (2022), arXiv 2202.14000; Wang et al., NeurIPS 2023,
//! arXiv 2310.05782, train a preference model with it. The batch is part of the loss: other rows, another loss.
//!
//! All take `log q`, `[B, L]` (a log-softmax), and give one value for each row, `[B]`, with history. Gradients flow through `r`, too.

use candle_core::{D, Result, Tensor};

/// Below this a prior counts as this.
const SMALLEST_PRIOR: f64 = 1e-9;

/// `log_softmax` over a dimension, from operators that have gradients.
pub fn log_softmax(logits: &Tensor, dimension: usize) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(dimension)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(dimension)?.log()?)
}

/// `log r`, `[B, L]`: `log_softmax_l( log_softmax_batch(log q) + log max(p, 1e-9) )`.
///
/// # Errors
/// The shapes differ, or the device fails.
pub fn log_implicit_posterior(log_q: &Tensor, prior: &Tensor) -> Result<Tensor> {
    log_softmax(&(log_softmax(log_q, 0)? + log_prior(prior)?)?, 1)
}

/// `KL(r ‖ q)`, the loss of d-PM: the model follows the implicit posterior.
///
/// It tells which class a response has under the assumption that it has *one*, which annotators see more or less well; it does not
/// learn how often annotators choose each class, as [`soft_label`] does, and ends near 0 and 1 where it is trained for long.
///
/// # Errors
/// As [`log_implicit_posterior`].
pub fn posterior_forward(log_q: &Tensor, prior: &Tensor) -> Result<Tensor> {
    let log_r = log_implicit_posterior(log_q, prior)?;
    divergence(&log_r, log_q)
}

/// `KL(q ‖ r)`, the mirror of [`posterior_forward`].
///
/// # Errors
/// As [`log_implicit_posterior`].
pub fn posterior_reverse(log_q: &Tensor, prior: &Tensor) -> Result<Tensor> {
    let log_r = log_implicit_posterior(log_q, prior)?;
    divergence(log_q, &log_r)
}

/// `−log Σ_l p(l) q(l)`: how probable it is that model and annotations mean the same class.
///
/// # Errors
/// The shapes differ, or the device fails.
pub fn combination(log_q: &Tensor, prior: &Tensor) -> Result<Tensor> {
    let joint = (log_q + log_prior(prior)?)?;
    let largest = joint.max_keepdim(1)?.detach();
    let sum = joint.broadcast_sub(&largest)?.exp()?.sum_keepdim(1)?.log()?;
    (sum + largest)?.squeeze(1)?.neg()
}

/// `KL(p ‖ q)`: the model learns the annotators' distribution.
///
/// # Errors
/// The shapes differ, or the device fails.
pub fn soft_label(log_q: &Tensor, prior: &Tensor) -> Result<Tensor> {
    divergence(&log_prior(prior)?, log_q)
}

/// `−Σ_l p(l) log q(l)`, which is [`soft_label`] but for the entropy of `p`.
///
/// # Errors
/// The shapes differ, or the device fails.
pub fn cross_entropy(log_q: &Tensor, prior: &Tensor) -> Result<Tensor> {
    (prior * log_q)?.sum(D::Minus1)?.neg()
}

/// `−log q(label)` with one class for each row: a vote's, or one annotator's. `labels` are `[B]` u32.
///
/// # Errors
/// A label is no class, or the device fails.
pub fn hard_label(log_q: &Tensor, labels: &Tensor) -> Result<Tensor> {
    log_q.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?.neg()
}

fn log_prior(prior: &Tensor) -> Result<Tensor> {
    prior.maximum(SMALLEST_PRIOR)?.log()
}

/// `Σ_l e^a (a − b)` of two rows of log-probabilities.
fn divergence(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    (a.exp()? * (a - b)?)?.sum(D::Minus1)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::{SMOOTHING, Votes};

    fn rows(values: &[&[f64]]) -> Tensor {
        Tensor::new(values.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), &Device::Cpu).unwrap()
    }

    /// Feedback scores 5, 3 and 1: so many annotators choose class 0, the others class 3.
    fn priors() -> Tensor {
        let prior = |score: usize| {
            let votes: Vec<Option<usize>> = (0..5).map(|rater| Some(if rater < score { 0 } else { 3 })).collect();
            Votes::of(&votes, 4).unwrap().prior(SMOOTHING)
        };
        Tensor::new([5, 3, 1].map(prior).to_vec(), &Device::Cpu).unwrap()
    }

    fn logits() -> Tensor {
        rows(&[&[1.0, 0.0, -1.0, 0.5], &[-0.5, 0.2, 0.3, 1.2], &[0.1, 0.1, 0.1, 0.1]])
    }

    fn assert_close(found: &Tensor, expected: &[f64], tolerance: f64) {
        let found: Vec<f64> = found.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
        }
    }

    const POSTERIOR: [f64; 12] = [
        0.97746430, 0.00941115, 0.00406224, 0.00906230, 0.24450427, 0.02120008, 0.02749063, 0.70680503, 0.23984347,
        0.02910327, 0.03414755, 0.69690572,
    ];
    const GRADIENT: [f64; 12] = [
        -0.14809140,
        0.06250405,
        0.02331734,
        0.06227001,
        -0.00423183,
        0.05552959,
        0.06133353,
        -0.11263129,
        -0.05956512,
        0.06465314,
        0.06417898,
        -0.06926700,
    ];

    /// In f64, and in f32 as models compute.
    #[test]
    fn loss_and_gradient_of_the_implicit_posterior_are_the_printed_ones() {
        for (dtype, tolerance) in [(DType::F64, 6e-9), (DType::F32, 3e-7)] {
            let logits = Var::from_tensor(&logits().to_dtype(dtype).unwrap()).unwrap();
            let (log_q, prior) = (log_softmax(&logits, 1).unwrap(), priors().to_dtype(dtype).unwrap());
            assert_close(&log_implicit_posterior(&log_q, &prior).unwrap().exp().unwrap(), &POSTERIOR, tolerance);
            let loss = posterior_forward(&log_q, &prior).unwrap().mean_all().unwrap();
            assert_close(&loss, &[0.524_774_344_403_113_3], tolerance);
            assert_close(loss.backward().unwrap().get(&logits).unwrap(), &GRADIENT, tolerance);
        }
    }

    #[test]
    fn the_soft_loss_is_the_printed_one() {
        let loss = soft_label(&log_softmax(&logits(), 1).unwrap(), &priors()).unwrap().mean_all().unwrap();
        assert_close(&loss, &[0.696_691_615_019_150_1], 1e-12);
    }

    #[test]
    fn where_all_rows_are_alike_the_implicit_posterior_is_the_prior() {
        let row: &[f64] = &[0.3, -1.0, 2.0, 0.0];
        let log_q = log_softmax(&rows(&[row; 3]), 1).unwrap();
        let posterior = log_implicit_posterior(&log_q, &priors()).unwrap().exp().unwrap();
        let prior: Vec<f64> = priors().flatten_all().unwrap().to_vec1().unwrap();
        assert_close(&posterior, &prior, 1e-12);
    }

    #[test]
    fn alone_in_its_batch_a_row_costs_its_distance_from_the_prior() {
        let (log_q, prior) =
            (log_softmax(&logits(), 1).unwrap().narrow(0, 0, 1).unwrap(), priors().narrow(0, 0, 1).unwrap());
        let soft = soft_label(&log_q, &prior).unwrap().to_vec1::<f64>().unwrap();
        assert_close(&posterior_forward(&log_q, &prior).unwrap(), &soft, 1e-12);
    }

    #[test]
    fn divergences_are_never_negative() {
        let (log_q, prior) = (log_softmax(&logits(), 1).unwrap(), priors());
        for loss in [posterior_forward, posterior_reverse, combination, soft_label, cross_entropy] {
            let rows = loss(&log_q, &prior).unwrap().to_vec1::<f64>().unwrap();
            assert!(rows.iter().all(|row| *row >= 0.0), "{rows:?}");
        }
    }

    #[test]
    fn a_class_that_the_prior_rules_out_does_no_harm() {
        let prior = rows(&[&[1.0, 0.0, 0.0, 0.0], &[0.0, 1.0, 0.0, 0.0], &[0.0, 0.0, 0.5, 0.5]]);
        let log_q = log_softmax(&logits(), 1).unwrap();
        for loss in [posterior_forward, posterior_reverse, combination, soft_label, cross_entropy] {
            let rows = loss(&log_q, &prior).unwrap().to_vec1::<f64>().unwrap();
            assert!(rows.iter().all(|row| row.is_finite()), "{rows:?}");
        }
    }

    #[test]
    fn a_hard_label_costs_the_logarithm_of_its_probability() {
        let log_q = log_softmax(&rows(&[&[0.0, 0.0], &[0.0, 3f64.ln()]]), 1).unwrap();
        let labels = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
        assert_close(&hard_label(&log_q, &labels).unwrap(), &[2f64.ln(), (4.0f64 / 3.0).ln()], 1e-12);
    }
}
