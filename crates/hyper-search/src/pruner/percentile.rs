//! Trials must be among the best so many percent.

use super::{Checks, Pruner, Verdict};
use crate::{Direction, History, SearchError, Trial};

/// Gives a trial up whose best value so far is worse than a percentile of the complete trials' values at the same step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile {
    /// The best so many percent go on, 0 to 100; 50 is the median.
    pub percentile: f64,
    /// No trial is given up before so many are complete.
    pub startup_trials: usize,
    /// At which steps trials are looked at.
    pub checks: Checks,
    /// So many complete trials must have a value at the step, at least 1.
    pub min_trials: usize,
}

impl Percentile {
    /// The best so many percent go on, once five trials are complete.
    pub fn new(percentile: f64) -> Self {
        Self { percentile, startup_trials: 5, checks: Checks::default(), min_trials: 1 }
    }

    /// The better half goes on.
    pub fn median() -> Self {
        Self::new(50.0)
    }

    fn check(&self) -> Result<(), SearchError> {
        if !(0.0..=100.0).contains(&self.percentile) {
            let problem = format!("is {}; it must lie between 0 and 100", self.percentile);
            return Err(SearchError::setting("pruner.percentile", problem));
        }
        if self.min_trials == 0 {
            return Err(SearchError::setting("pruner.min_trials", "is 0; it must be at least 1"));
        }
        Ok(())
    }
}

impl Pruner for Percentile {
    fn decide(&self, history: &History<'_>, trial: &Trial) -> Result<Verdict, SearchError> {
        self.check()?;
        if history.complete().count() < self.startup_trials.max(1) {
            return Ok(Verdict::keep());
        }
        let Some((step, _)) = self.checks.due(trial)? else { return Ok(Verdict::keep()) };
        let Some(best) = history.direction.best_of(trial.reports.values().copied()) else {
            return Ok(Verdict::prune_if(true));
        };
        let others: Vec<f64> = history.complete().filter_map(|other| other.reports.get(&step).copied()).collect();
        if others.len() < self.min_trials {
            return Ok(Verdict::keep());
        }
        let percentile = match history.direction {
            Direction::Minimize => self.percentile,
            Direction::Maximize => 100.0 - self.percentile,
        };
        let bound = percentile_of(others, percentile);
        Ok(Verdict::prune_if(bound.is_some_and(|bound| history.direction.is_better(bound, best))))
    }
}

/// The percentile with linear interpolation, as NumPy rounds it; NaN is left out.
fn percentile_of(mut values: Vec<f64>, percentile: f64) -> Option<f64> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let place = percentile / 100.0 * values.len().checked_sub(1)? as f64;
    let (below, part) = (place.floor() as usize, place.fract());
    let low = *values.get(below)?;
    let high = values.get(below + 1).copied().unwrap_or(low);
    if low == high {
        // Infinite ends have no difference.
        return Some(low);
    }
    let difference = high - low;
    Some(if part >= 0.5 { high - difference * (1.0 - part) } else { low + difference * part })
}

#[cfg(test)]
mod tests {
    use super::percentile_of;

    #[test]
    fn a_percentile_is_interpolated() {
        assert_eq!(percentile_of(vec![4.0, 1.0, f64::NAN, 3.0, 2.0], 50.0), Some(2.5));
        assert_eq!(percentile_of(vec![1.0, 2.0, 3.0, 4.0], 100.0), Some(4.0));
        assert_eq!(percentile_of(vec![1.0, 2.0, 3.0, 4.0], 25.0), Some(1.75));
        assert_eq!(percentile_of(vec![f64::INFINITY; 3], 50.0), Some(f64::INFINITY));
        assert_eq!(percentile_of(vec![f64::NAN], 50.0), None);
    }
}
