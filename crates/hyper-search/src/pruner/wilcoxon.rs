//! A test of whether a trial is worse than the best one.

use super::{Pruner, Verdict};
use crate::normal::log_below;
use crate::{Direction, History, SearchError, Trial};

/// With more differences, or more of which some are tied, the statistic is taken for normal.
const MOST_EXACT: usize = 50;
const MOST_TIED: usize = 13;

/// Gives a trial up that is worse than the best one at the steps both have, by a signed-rank test. For objectives that are means
/// over problems, each reported as a step of its own, in any order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wilcoxon {
    /// Trials are given up below this `p`, 0 to 1.
    pub p: f64,
    /// The test needs so many steps (2 at least).
    pub startup_steps: usize,
}

impl Default for Wilcoxon {
    fn default() -> Self {
        Self { p: 0.1, startup_steps: 2 }
    }
}

impl Pruner for Wilcoxon {
    fn decide(&self, history: &History<'_>, trial: &Trial) -> Result<Verdict, SearchError> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(SearchError::setting("pruner.p", format!("is {}; it must lie between 0 and 1", self.p)));
        }
        let Some(best) = history.best() else { return Ok(Verdict::keep()) };
        let is_finite = |trial: &Trial| trial.reports.values().all(|value| value.is_finite());
        if !is_finite(trial) || !is_finite(best) {
            return Ok(Verdict::keep());
        }
        let differences: Vec<f64> =
            trial.reports.iter().filter_map(|(step, value)| Some(value - best.reports.get(step)?)).collect();
        if differences.len() < self.startup_steps.max(2) {
            return Ok(Verdict::keep());
        }
        let worse: Vec<f64> = match history.direction {
            Direction::Minimize => differences,
            Direction::Maximize => differences.iter().map(|difference| -difference).collect(),
        };
        // The best trial is the best by its objective; where its reports say otherwise, they don't tell enough.
        let is_better_on_average = !history.direction.is_better(mean(best), mean(trial));
        Ok(Verdict::prune_if(!is_better_on_average && p_of_greater(&worse) < self.p))
    }
}

fn mean(trial: &Trial) -> f64 {
    trial.reports.values().sum::<f64>() / trial.reports.len() as f64
}

/// The one-sided p of the signed-rank test for differences above zero. Zeros count half for each side.
fn p_of_greater(differences: &[f64]) -> f64 {
    let ranks = Ranks::of(differences);
    let count = differences.len();
    if count > MOST_EXACT || (ranks.has_ties && count > MOST_TIED) {
        return ranks.normal_p();
    }
    ranks.exact_p()
}

/// The ranks of absolute differences, doubled, so that those of ties are whole numbers.
struct Ranks {
    /// With whether the difference is zero.
    doubled: Vec<(usize, bool)>,
    /// The sum of the positive differences' doubled ranks, and half of those of zeros.
    positive: f64,
    has_ties: bool,
    /// `Σ t³ − t` over ties of `t`.
    tie_correction: f64,
}

impl Ranks {
    fn of(differences: &[f64]) -> Self {
        let mut sorted = differences.to_vec();
        sorted.sort_by(|left, right| left.abs().total_cmp(&right.abs()));
        let mut ranks =
            Self { doubled: Vec::new(), positive: 0.0, has_ties: sorted.contains(&0.0), tie_correction: 0.0 };
        let mut before = 0;
        for tie in sorted.chunk_by(|left, right| left.abs() == right.abs()) {
            let rank = 2 * before + tie.len() + 1;
            before += tie.len();
            ranks.has_ties |= tie.len() > 1;
            ranks.tie_correction += (tie.len() as f64).powi(3) - tie.len() as f64;
            for difference in tie {
                ranks.doubled.push((rank, *difference == 0.0));
                let share = if *difference > 0.0 {
                    1.0
                } else if *difference == 0.0 {
                    0.5
                } else {
                    0.0
                };
                ranks.positive += share * rank as f64;
            }
        }
        ranks
    }

    /// The share of all signs of the differences whose sum of positive ranks is at least as large.
    fn exact_p(&self) -> f64 {
        let signed = || self.doubled.iter().filter(|(_, is_zero)| !is_zero).map(|(rank, _)| *rank);
        let zeros: usize = self.doubled.iter().filter(|(_, is_zero)| *is_zero).map(|(rank, _)| *rank).sum();
        let mut shares = vec![0.0; signed().sum::<usize>() + 1];
        shares[0] = 1.0;
        for rank in signed() {
            for sum in (0..shares.len()).rev() {
                let with = sum.checked_sub(rank).map_or(0.0, |rest| shares[rest]);
                shares[sum] = 0.5 * (shares[sum] + with);
            }
        }
        let observed = (self.positive - 0.5 * zeros as f64).round() as usize;
        shares.iter().skip(observed).sum()
    }

    fn normal_p(&self) -> f64 {
        let count = self.doubled.len() as f64;
        let mean = count * (count + 1.0) / 4.0;
        let variance = (count * (count + 1.0) * (2.0 * count + 1.0) - self.tie_correction / 2.0) / 24.0;
        log_below((mean - self.positive / 2.0) / variance.sqrt()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.wilcoxon(…, alternative="greater", zero_method="zsplit").pvalue`, SciPy 1.17.1.
    #[test]
    fn p_is_scipys() {
        let many: Vec<f64> = (0..60).map(|place| f64::from((place * 37) % 61) / 10.0 - 2.5).collect();
        let tied: Vec<f64> = (0..20).map(|place| f64::from((place * 7) % 5) - 1.5).collect();
        for (differences, p) in [
            (vec![0.3, -0.1, 0.5, 0.2], 0.125),
            (vec![0.3, -0.3, 0.5, 0.0, 0.2], 0.25),
            (vec![0.0, 0.0], 1.0),
            (tied, 0.08027299355443113),
            (many, 0.0201674037488966),
        ] {
            assert!((p_of_greater(&differences) - p).abs() < 1e-12, "{differences:?}: {}", p_of_greater(&differences));
        }
    }
}
