//! Resampling tests of two systems on the same items: paired bootstrap, approximate randomisation, all swaps.

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::item_sums::{ItemSums, add, mean_of_sums};
use super::per_item::PerItemTests;
use crate::Error;
use crate::interval::{Estimate, Resampling};

/// Below so many items every swap of the systems' outputs is tried instead of a sample of them.
pub const EXACT_BELOW: usize = 20;

/// How two systems differ on the same items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Items (or groups of them) that both systems answered.
    pub items: usize,
    /// Score of the first system.
    pub first: f64,
    /// Score of the second.
    pub second: f64,
    /// First minus second, with its bootstrap interval.
    pub bootstrap: BootstrapTest,
    /// Swapping the systems' outputs.
    pub randomisation: Randomisation,
    /// Tests on the items' own scores, where the metric is their mean.
    pub per_item: Option<PerItemTests>,
}

/// What the paired bootstrap finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BootstrapTest {
    /// First minus second, with its percentile interval.
    pub difference: Estimate,
    /// Share of resamples in which the sign flips: the difference is zero, undefined or of the other sign. One-sided; 1
    /// where the systems are equal.
    pub p: f64,
}

/// What swapping the systems' outputs finds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Randomisation {
    /// Two-sided: how often a difference as large comes about when each item's outputs are swapped by chance.
    pub p: f64,
    /// Swaps that were tried.
    pub trials: usize,
    /// Whether these were all there are; p is then their share, else (1 + hits) / (1 + trials).
    pub exact: bool,
}

/// Compares two systems by their scores of the same items, the metric being the scores' mean.
///
/// # Errors
/// Lengths differ, there are no items, or a score is not finite.
pub fn compare(first: &[f64], second: &[f64], resampling: &Resampling) -> Result<Comparison, Error> {
    if first.len() != second.len() {
        return Err(Error::Lengths { what: "scores of two systems", left: first.len(), right: second.len() });
    }
    let (sums, other_sums) = (ItemSums::of_values(first)?, ItemSums::of_values(second)?);
    let differences: Vec<f64> = first.iter().zip(second).map(|(first, second)| first - second).collect();
    let comparison = Paired::new(&sums, &other_sums, mean_of_sums)?.compare(resampling);
    Ok(Comparison { per_item: Some(PerItemTests::new(&differences)), ..comparison })
}

/// Two systems' statistics of the same items, and the metric that turns their sums into a score.
pub struct Paired<F> {
    /// Statistics of either system.
    width: usize,
    /// Both systems' statistics of an item beside each other, so that a draw reads one place.
    rows: ItemSums,
    score: F,
    scores: [f64; 2],
}

impl<F: Fn(&[f64]) -> f64 + Sync> Paired<F> {
    /// `score` turns sums of either system's statistics into its score.
    ///
    /// # Errors
    /// The systems differ in items or in the width of their rows, or a system's score of all items is not finite.
    pub fn new(first: &ItemSums, second: &ItemSums, score: F) -> Result<Self, Error> {
        let same = [("items of two systems", first.items(), second.items())];
        let same = same.into_iter().chain([("statistics of two systems", first.width(), second.width())]);
        for (what, left, right) in same {
            if left != right {
                return Err(Error::Lengths { what, left, right });
            }
        }
        let scores = [score(&first.total()), score(&second.total())];
        if scores.iter().any(|score| !score.is_finite()) {
            let problem = format!("the systems score {} and {}, which can't be compared", scores[0], scores[1]);
            return Err(Error::Undefined { metric: "significance", problem });
        }
        Ok(Self { width: first.width(), rows: first.beside(second), score, scores })
    }

    /// Both tests.
    pub fn compare(&self, resampling: &Resampling) -> Comparison {
        let [first, second] = self.scores;
        let (bootstrap, randomisation) = (self.bootstrap(resampling), self.randomisation(resampling));
        Comparison { items: self.items(), first, second, bootstrap, randomisation, per_item: None }
    }

    /// Paired bootstrap: items are drawn with replacement, both systems are scored on the same draw.
    pub fn bootstrap(&self, resampling: &Resampling) -> BootstrapTest {
        let observed = self.observed();
        let resampled = resampling.map_resamples(self.items(), |drawn| self.difference(&self.rows.total_of(drawn)));
        let (slack, is_different) = (self.slack(), observed.abs() > self.slack());
        let keeps_sign = |difference: &&f64| is_different && **difference * observed.signum() > slack;
        let kept = resampled.iter().filter(keeps_sign).count();
        let p = (resampled.len() - kept) as f64 / resampled.len() as f64;
        let finite = resampled.into_iter().filter(|difference| difference.is_finite()).collect();
        BootstrapTest { difference: resampling.summed_up(observed, finite), p }
    }

    /// All swaps below [`EXACT_BELOW`] items, a sample of them from there on.
    pub fn randomisation(&self, resampling: &Resampling) -> Randomisation {
        if self.items() < EXACT_BELOW { self.all_swaps() } else { self.approximate_randomisation(resampling) }
    }

    /// Approximate randomisation: each item's outputs change sides with probability 1/2, as many times as the settings
    /// have resamples.
    pub fn approximate_randomisation(&self, resampling: &Resampling) -> Randomisation {
        let is_hit = |trial: &usize| {
            let mut rng = resampling.stream(*trial);
            let mut bits = 0;
            self.is_as_large(|item| {
                bits = if item % 64 == 0 { rng.next_u64() } else { bits >> 1 };
                bits & 1 == 1
            })
        };
        let trials = resampling.resamples();
        let hits = (0..trials).into_par_iter().filter(is_hit).count();
        Randomisation { p: (1 + hits) as f64 / (1 + trials) as f64, trials, exact: false }
    }

    fn all_swaps(&self) -> Randomisation {
        // Swapping the other items instead changes the difference's sign only, so the last item may stay.
        let swaps = 1_usize << self.items().saturating_sub(1);
        let hits = (0..swaps).into_par_iter().filter(|swap| self.is_as_large(|item| swap >> item & 1 == 1)).count();
        Randomisation { p: hits as f64 / swaps as f64, trials: 2 * swaps, exact: true }
    }

    fn items(&self) -> usize {
        self.rows.items()
    }

    fn observed(&self) -> f64 {
        self.scores[0] - self.scores[1]
    }

    /// Of sums of the two systems, one behind the other.
    fn difference(&self, sums: &[f64]) -> f64 {
        let (first, second) = sums.split_at(self.width);
        (self.score)(first) - (self.score)(second)
    }

    /// Whether swapping these items' outputs gives a difference at least as large as the observed one. An undefined
    /// difference counts as large.
    fn is_as_large(&self, mut is_swapped: impl FnMut(usize) -> bool) -> bool {
        let mut sums = vec![0.0; 2 * self.width];
        for (item, row) in self.rows.rows().enumerate() {
            if is_swapped(item) {
                let (first, second) = row.split_at(self.width);
                add(&mut sums, second);
                add(&mut sums[self.width..], first);
            } else {
                add(&mut sums, row);
            }
        }
        let difference = self.difference(&sums).abs();
        difference.is_nan() || difference >= self.observed().abs() - self.slack()
    }

    /// By how much equal scores may differ: sums of the same numbers in another order differ in their last digits.
    fn slack(&self) -> f64 {
        1e-12 * (self.scores[0].abs() + self.scores[1].abs())
    }
}
