//! Log-probabilities of a row of logits: values in f32, sums in f64.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::chain::{LogitsProcessor, Scratch};
use crate::kernels;

/// `logits - ln(sum(exp(logits)))` over one row `[vocabulary]`. `-inf` stays `-inf`; NaN or `+inf` anywhere makes the row NaN,
/// and a row of `-inf` only stays as it is.
pub fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let mut logprobs = logits.to_vec();
    log_softmax_in_place(&mut logprobs);
    logprobs
}

/// [`log_softmax`] without an allocation.
pub(crate) fn log_softmax_in_place(logits: &mut [f32]) {
    let normaliser = Normaliser::of(logits);
    for logit in logits {
        *logit = normaliser.logprob(*logit);
    }
}

/// Log-probability of one token; `-inf` for an id outside the vocabulary. See [`log_softmax`].
pub fn logprob_of(logits: &[f32], token: u32) -> f32 {
    match logits.get(token as usize) {
        Some(&logit) => Normaliser::of(logits).logprob(logit),
        None => f32::NEG_INFINITY,
    }
}

/// The `n` most likely tokens and their log-probabilities, best first; among equals the smaller id comes first. Tokens that
/// are excluded (`-inf`) are left out, so that there may be fewer.
pub fn top_logprobs(logits: &[f32], n: usize) -> Vec<(u32, f32)> {
    let normaliser = Normaliser::of(logits);
    most_likely(logits, n).into_iter().map(|(token, logit)| (token, normaliser.logprob(logit))).collect()
}

/// The `n` tokens with the greatest scores and those scores, best first; among equals the smaller id comes first. Tokens
/// that are excluded (`-inf`) or not a number are left out.
pub fn most_likely(scores: &[f32], n: usize) -> Vec<(u32, f32)> {
    let mut best: BinaryHeap<Reverse<Ranked>> = BinaryHeap::with_capacity(n.min(scores.len()) + 1);
    let mut bar = f32::NEG_INFINITY;
    for (token, &score) in scores.iter().enumerate() {
        // A later token with the score of the worst one kept has a greater id and would lose.
        if score > bar && n > 0 {
            best.push(Reverse(Ranked { score, token: token as u32 }));
            if best.len() > n {
                best.pop();
            }
            if best.len() == n {
                bar = best.peek().map_or(bar, |worst| worst.0.score);
            }
        }
    }
    best.into_sorted_vec().into_iter().map(|Reverse(ranked)| (ranked.token, ranked.score)).collect()
}

/// Makes scores log-probabilities, so that removed tokens no longer count (`renormalize_logits` in the reference).
#[derive(Debug, Clone, PartialEq)]
pub struct LogNormalization;

impl LogitsProcessor for LogNormalization {
    fn apply(&self, _tokens: &[u32], scores: &mut [f32], _scratch: &mut Scratch) {
        log_softmax_in_place(scores);
    }
}

/// `ln(sum(exp))` of a row, split so that the subtraction of the maximum stays exact.
struct Normaliser {
    max: f32,
    log_sum: f64,
}

impl Normaliser {
    fn of(logits: &[f32]) -> Self {
        let (sum, max) = kernels::sum_of_exponentials(logits);
        if max == f32::NEG_INFINITY {
            // A normaliser of 1 keeps -inf as it is; a NaN among them still spreads.
            return Self { max: 0.0, log_sum: logits.iter().map(|logit| f64::from(*logit).exp()).sum() };
        }
        Self { max, log_sum: sum.ln() }
    }

    fn logprob(&self, logit: f32) -> f32 {
        (f64::from(logit) - f64::from(self.max) - self.log_sum) as f32
    }
}

/// A token by its score; the greater one is the better one.
#[derive(Clone, Copy)]
struct Ranked {
    score: f32,
    token: u32,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.token.cmp(&self.token))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}
