//! What objectives take from a whole batch, and from earlier ones.

use serde::{Deserialize, Serialize};

use super::batch::{Pair, PairLosses};
use super::dual::Dual;
use crate::{Loss, Preference, Rules};

/// The running mean of the batches' mean rewards, which `bco` compares rewards with; every batch weighs the same.
///
/// It belongs to a run: keep it in checkpoints, and evaluate held-out pairs with a copy.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RunningMean {
    mean: f64,
    batches: u64,
}

impl RunningMean {
    /// The mean so far; 0 before the first batch.
    pub const fn mean(&self) -> f64 {
        self.mean
    }

    fn update(&mut self, value: f64) {
        self.batches += 1;
        self.mean += (value - self.mean) / self.batches as f64;
    }
}

/// What all pairs of a batch have in common. Only the cross-entropy is derived.
pub(crate) struct Shared {
    /// NLL of all chosen tokens; its derivative is that of the sum over B pairs.
    pub(crate) cross_entropy: Dual,
    /// δ of `bco`.
    pub(crate) mean_reward: f64,
    /// KL_w of `kto-pair`.
    pub(crate) chosen_kl: f64,
    /// KL_l of `kto-pair`.
    pub(crate) rejected_kl: f64,
}

impl Preference {
    pub(crate) fn shared(&self, pairs: &[Pair], memory: &mut RunningMean) -> Shared {
        let mean_chosen = mean(pairs, |pair| pair.chosen_ratio().value);
        let mean_rejected = mean(pairs, |pair| pair.rejected_ratio().value);
        let has_bco = self.losses.parts().iter().any(|part| part.loss == Loss::Bco);
        let mean_reward = if has_bco && self.rules != Rules::Trl1 {
            memory.update(self.beta * (mean_chosen + mean_rejected) / 2.0);
            memory.mean()
        } else {
            0.0
        };
        Shared {
            cross_entropy: cross_entropy(pairs),
            mean_reward,
            chosen_kl: mean_chosen.max(0.0),
            rejected_kl: mean_rejected.max(0.0),
        }
    }

    /// Adds an objective of the batch, `weight`-fold.
    pub(crate) fn add_objective(&self, loss: Loss, weight: f64, pairs: &[Pair], shared: &Shared, sum: &mut PairLosses) {
        match loss {
            Loss::Aot => {
                for (pair, place) in with_sorted_reference(pairs) {
                    sum.add(place, place, self.loss_of(loss, &pair, shared) * weight);
                }
            }
            Loss::AotUnpaired => {
                for (pair, chosen, rejected) in of_equal_rank(pairs) {
                    sum.add(chosen, rejected, self.loss_of(loss, &pair, shared) * weight);
                }
            }
            _ => {
                for (place, pair) in pairs.iter().enumerate() {
                    sum.add(place, place, self.loss_of(loss, pair, shared) * weight);
                }
            }
        }
        if loss == Loss::KtoPair && self.rules == Rules::Trl07 {
            self.add_kl_gradients(weight, pairs, shared, sum);
        }
    }

    /// KL_w and KL_l are means of r over the batch, and enter with the other completion's r and the opposite sign.
    fn add_kl_gradients(&self, weight: f64, pairs: &[Pair], shared: &Shared, sum: &mut PairLosses) {
        let slopes = pairs.iter().map(|pair| self.loss_of(Loss::KtoPair, pair, shared) * weight);
        let (by_chosen, by_rejected) =
            slopes.fold((0.0, 0.0), |sum, slope| (sum.0 + slope.by_chosen, sum.1 + slope.by_rejected));
        let share = 1.0 / pairs.len() as f64;
        for (chosen, rejected) in sum.chosen_gradients.iter_mut().zip(&mut sum.rejected_gradients) {
            if shared.chosen_kl > 0.0 {
                *chosen -= by_rejected * share;
            }
            if shared.rejected_kl > 0.0 {
                *rejected -= by_chosen * share;
            }
        }
    }
}

fn cross_entropy(pairs: &[Pair]) -> Dual {
    let tokens: f64 = pairs.iter().map(|pair| pair.chosen_tokens).sum();
    let sum: f64 = pairs.iter().map(|pair| pair.policy_chosen.value).sum();
    Dual { value: -sum / tokens, by_chosen: -(pairs.len() as f64) / tokens, by_rejected: 0.0 }
}

fn mean(pairs: &[Pair], value: impl Fn(&Pair) -> f64) -> f64 {
    pairs.iter().map(value).sum::<f64>() / pairs.len() as f64
}

/// Pairs whose margin π_w − π_l has rank k among the policy's with the reference of the pair that has rank k among the reference's.
fn with_sorted_reference(pairs: &[Pair]) -> Vec<(Pair, usize)> {
    let of_policy = ranked(pairs, |pair| pair.policy_chosen.value - pair.policy_rejected.value);
    let of_reference = ranked(pairs, |pair| pair.reference_chosen - pair.reference_rejected);
    let together = |(place, other): (usize, usize)| {
        let Pair { reference_chosen, reference_rejected, .. } = pairs[other];
        (Pair { reference_chosen, reference_rejected, ..pairs[place] }, place)
    };
    of_policy.into_iter().zip(of_reference).map(together).collect()
}

/// The chosen completion with rank k of r_w together with the rejected one that has rank k of r_l, and their places.
fn of_equal_rank(pairs: &[Pair]) -> Vec<(Pair, usize, usize)> {
    let of_chosen = ranked(pairs, |pair| pair.chosen_ratio().value);
    let of_rejected = ranked(pairs, |pair| pair.rejected_ratio().value);
    let together = |(chosen, rejected): (usize, usize)| {
        let Pair { policy_rejected, reference_rejected, rejected_tokens, .. } = pairs[rejected];
        (Pair { policy_rejected, reference_rejected, rejected_tokens, ..pairs[chosen] }, chosen, rejected)
    };
    of_chosen.into_iter().zip(of_rejected).map(together).collect()
}

/// The places in the order of their values.
fn ranked(pairs: &[Pair], value: impl Fn(&Pair) -> f64) -> Vec<usize> {
    let mut places: Vec<usize> = (0..pairs.len()).collect();
    places.sort_by(|left, right| value(&pairs[*left]).total_cmp(&value(&pairs[*right])));
    places
}
