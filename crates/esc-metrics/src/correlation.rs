//! Correlations: Pearson, Spearman, Kendall, with bootstrap intervals, and what the published comparison of attention
//! with human preference does before it correlates (standardise, cut the tails).
//!
//! Pairs with a value that is not finite are left out everywhere.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::interval::{Estimate, Resampling, quantile};

/// Pairs below which a correlation means nothing.
const FEWEST_PAIRS: usize = 3;

/// Which correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Correlation {
    /// Of the values.
    Pearson,
    /// Of the ranks; equal values share their mean rank.
    Spearman,
    /// Of the order within pairs of pairs, corrected for ties on either side.
    KendallTauB,
}

impl Correlation {
    /// Its name in reports: `pearson`, `spearman`, `kendall-tau-b`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pearson => "pearson",
            Self::Spearman => "spearman",
            Self::KendallTauB => "kendall-tau-b",
        }
    }

    /// The correlation, -1 to 1; `None` with fewer than three pairs or where one side does not vary.
    pub fn of(self, pairs: &[(f64, f64)]) -> Option<f64> {
        match self {
            Self::Pearson => pearson(pairs),
            Self::Spearman => spearman(pairs),
            Self::KendallTauB => kendall_tau_b(pairs),
        }
    }

    /// The correlation with its bootstrap interval over pairs; `None` where it is undefined.
    pub fn interval(self, pairs: &[(f64, f64)], resampling: &Resampling) -> Option<Estimate> {
        let pairs = finite(pairs);
        resampling.estimate(pairs.len(), |drawn| {
            self.of(&drawn.iter().filter_map(|pair| pairs.get(*pair)).copied().collect::<Vec<_>>())
        })
    }

    /// The correlation with its bootstrap interval over groups (conversations, annotators) that the pairs belong to;
    /// `None` where it is undefined.
    ///
    /// # Errors
    /// There are more or fewer groups than pairs.
    pub fn interval_by_group(
        self,
        pairs: &[(f64, f64)],
        groups: &[&str],
        resampling: &Resampling,
    ) -> Result<Option<Estimate>, Error> {
        if pairs.len() != groups.len() {
            return Err(Error::Lengths { what: "pairs and groups", left: pairs.len(), right: groups.len() });
        }
        let mut grouped: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for (group, pair) in groups.iter().zip(pairs).filter(|(_, pair)| is_finite(pair)) {
            grouped.entry(group).or_default().push(*pair);
        }
        let grouped: Vec<Vec<(f64, f64)>> = grouped.into_values().collect();
        Ok(resampling.estimate(grouped.len(), |drawn| {
            self.of(&drawn.iter().filter_map(|group| grouped.get(*group)).flatten().copied().collect::<Vec<_>>())
        }))
    }
}

/// Pearson's correlation of pairs; `None` with fewer than three pairs or where one side does not vary. Pairs with a
/// value that is not finite are left out.
pub fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let finite = finite(pairs);
    if finite.len() < FEWEST_PAIRS {
        return None;
    }
    let count = finite.len() as f64;
    let (mean_x, mean_y) = finite.iter().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x / count, sum.1 + y / count));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in &finite {
        xx += (x - mean_x) * (x - mean_x);
        yy += (y - mean_y) * (y - mean_y);
        xy += (x - mean_x) * (y - mean_y);
    }
    let product = xx * yy;
    // Tiny or huge values leave the range of f64 when they are multiplied once more.
    let spread = if product.is_normal() { product.sqrt() } else { xx.sqrt() * yy.sqrt() };
    let found = xy / spread;
    (spread > 0.0 && found.is_finite()).then(|| found.clamp(-1.0, 1.0))
}

/// Spearman's correlation: Pearson's of the mean ranks. `None` as [`pearson`].
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = finite(pairs).into_iter().unzip();
    pearson(&mean_ranks(&x).into_iter().zip(mean_ranks(&y)).collect::<Vec<_>>())
}

/// Kendall's tau-b: concordant minus discordant pairs of pairs, divided by the geometric mean of those untied in x and
/// those untied in y. `None` as [`pearson`]. Counted in O(n log n) by Knight's algorithm.
pub fn kendall_tau_b(pairs: &[(f64, f64)]) -> Option<f64> {
    let mut pairs = finite(pairs);
    if pairs.len() < FEWEST_PAIRS {
        return None;
    }
    pairs.sort_by(|left, right| ascending(left.0, right.0).then(ascending(left.1, right.1)));
    let tied_x = tied_pairs(&pairs, |pair| pair.0);
    let tied_both = tied_pairs_of(pairs.chunk_by(|left, right| left == right));
    let mut y: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let discordant = sort_counting_swaps(&mut y);
    let tied_y = tied_pairs(&y, |y| *y);
    let all = pairs_among(pairs.len());
    let untied = (all - tied_x) as f64 * (all - tied_y) as f64;
    // Pairs that are tied in both were taken away twice.
    let ordered = all + tied_both - tied_x - tied_y;
    (untied > 0.0).then(|| (ordered as f64 - 2.0 * discordant as f64) / untied.sqrt())
}

/// Ranks from 1 on; equal values share the mean of their ranks. NaN has no place in the order, and ranks at one of its ends.
pub fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    order.sort_by(|left, right| ascending(left.1, right.1));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for equal in order.chunk_by(|left, right| left.1 == right.1) {
        let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
        for (place, _) in equal {
            ranks[*place] = rank;
        }
        before += equal.len();
    }
    ranks
}

/// Values minus their mean, divided by their sample standard deviation. `None` where they don't vary, are fewer than
/// two or not all finite.
pub fn z_scores(values: &[f64]) -> Option<Vec<f64>> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    (deviation > 0.0 && deviation.is_finite()).then(|| values.iter().map(|value| (value - mean) / deviation).collect())
}

/// Which values lie within two percentiles of all of them, e.g. `0.01` and `0.99`; the ends belong to it. Percentiles
/// are [`quantile`]s. Values that are not finite never do, and are not counted in the percentiles.
pub fn within_percentiles(values: &[f64], low: f64, high: f64) -> Vec<bool> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let ends = quantile(&sorted, low).zip(quantile(&sorted, high));
    let is_within = |value: &f64| ends.is_some_and(|(low, high)| (low..=high).contains(value));
    values.iter().map(is_within).collect()
}

fn finite(pairs: &[(f64, f64)]) -> Vec<(f64, f64)> {
    pairs.iter().copied().filter(is_finite).collect()
}

fn is_finite(pair: &(f64, f64)) -> bool {
    pair.0.is_finite() && pair.1.is_finite()
}

/// With 0 and -0 equal.
fn ascending(left: f64, right: f64) -> Ordering {
    (left + 0.0).total_cmp(&(right + 0.0))
}

fn tied_pairs<T>(sorted: &[T], value: impl Fn(&T) -> f64) -> u64 {
    tied_pairs_of(sorted.chunk_by(|left, right| value(left) == value(right)))
}

fn tied_pairs_of<'a, T: 'a>(runs: impl Iterator<Item = &'a [T]>) -> u64 {
    runs.map(|run| pairs_among(run.len())).sum()
}

fn pairs_among(count: usize) -> u64 {
    let count = count as u64;
    count * count.saturating_sub(1) / 2
}

/// Merge sort; the result is the number of pairs that were in descending order.
fn sort_counting_swaps(values: &mut [f64]) -> u64 {
    let mut scratch = values.to_vec();
    let mut swaps = 0;
    let mut width = 1;
    while width < values.len() {
        for (from, to) in values.chunks(2 * width).zip(scratch.chunks_mut(2 * width)) {
            let (left, right) = from.split_at(width.min(from.len()));
            swaps += merge(left, right, to);
        }
        values.copy_from_slice(&scratch);
        width *= 2;
    }
    swaps
}

fn merge(left: &[f64], right: &[f64], to: &mut [f64]) -> u64 {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut swaps = 0;
    for place in to {
        let next = match (left.peek(), right.peek()) {
            (Some(first), Some(second)) if **second < **first => {
                swaps += left.len() as u64;
                right.next()
            }
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        };
        if let Some(value) = next {
            *place = *value;
        }
    }
    swaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_by_hand() {
        let line: Vec<(f64, f64)> = (0..5).map(|x| (f64::from(x), 3.0 - 2.0 * f64::from(x))).collect();
        assert!((pearson(&line).unwrap() + 1.0).abs() < 1e-12);
        let found = pearson(&[(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0), (f64::NAN, 1.0)]).unwrap();
        assert!((found - 0.6).abs() < 1e-12);
        assert_eq!(pearson(&[(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]), None);
    }

    #[test]
    fn swaps_are_counted_once_for_each_descending_pair() {
        let mut values = [3.0, 1.0, 2.0, 2.0, 0.0];
        assert_eq!(sort_counting_swaps(&mut values), 3 + 1 + 1 + 1 + 1);
        assert_eq!(values, [0.0, 1.0, 2.0, 2.0, 3.0]);
    }
}
