//! Hyperband: several brackets of successive halving.

use super::halving::check_factor;
use super::{Pruner, SuccessiveHalving, Verdict};
use crate::{History, SearchError, Trial};

/// More brackets would need more steps than can be counted.
const MOST_BRACKETS: u32 = 63;

/// Divides trials among brackets of [`SuccessiveHalving`] that begin to give up early or late (Li et al. 2018, JMLR 18, 185).
///
/// There are `⌊log_η(max / min)⌋ + 1` brackets. A trial's bracket follows from the study's name and the trial's number, and trials are
/// compared inside their bracket only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hyperband {
    /// The first rung's step in the bracket that gives up earliest, at least 1.
    pub min_resource: u64,
    /// The steps of a complete trial. `None` is those of the first trial to complete.
    pub max_resource: Option<u64>,
    /// `η`, at least 2.
    pub reduction_factor: u64,
    /// As [`SuccessiveHalving::bootstrap`].
    pub bootstrap: usize,
}

impl Default for Hyperband {
    fn default() -> Self {
        Self { min_resource: 1, max_resource: None, reduction_factor: 3, bootstrap: 0 }
    }
}

impl Hyperband {
    fn check(&self) -> Result<(), SearchError> {
        if self.min_resource == 0 {
            return Err(SearchError::setting("pruner.min_resource", "is 0; it must be at least 1"));
        }
        if self.max_resource.is_some_and(|most| most < self.min_resource) {
            let problem = format!("is smaller than `min_resource`, {}", self.min_resource);
            return Err(SearchError::setting("pruner.max_resource", problem));
        }
        if self.max_resource.is_none() && self.bootstrap > 0 {
            let problem = "can't be chosen together with an automatic `max_resource`";
            return Err(SearchError::setting("pruner.bootstrap", problem));
        }
        check_factor(self.reduction_factor)
    }

    /// How many of a round's trials each bracket gets.
    fn budgets(&self, max_resource: u64) -> Vec<u64> {
        let ratio = max_resource.max(self.min_resource) as f64 / self.min_resource as f64;
        // The quotient of logarithms is Optuna's; it rounds 3^5 down to four brackets after the first.
        let exponent = (ratio.ln() / (self.reduction_factor as f64).ln()).floor();
        let brackets = (exponent as u32).min(MOST_BRACKETS) + 1;
        let budget = |bracket: u32| {
            let rungs = brackets - 1 - bracket;
            let trials = u64::from(brackets).saturating_mul(self.reduction_factor.saturating_pow(rungs));
            trials.div_ceil(u64::from(rungs) + 1)
        };
        (0..brackets).map(budget).collect()
    }
}

impl Pruner for Hyperband {
    fn decide(&self, history: &History<'_>, trial: &Trial) -> Result<Verdict, SearchError> {
        self.check()?;
        let automatic = || history.first_length().map(|last| last + 1);
        let Some(max_resource) = self.max_resource.or_else(automatic) else { return Ok(Verdict::keep()) };
        let budgets = self.budgets(max_resource);
        let bracket = bracket_of(history.study, trial.number, &budgets);
        let halving = SuccessiveHalving {
            min_resource: Some(self.min_resource),
            reduction_factor: self.reduction_factor,
            early_stopping_rate: bracket,
            bootstrap: self.bootstrap,
        };
        let is_inside = |other: &&Trial| bracket_of(history.study, other.number, &budgets) == bracket;
        halving.decide_among(history, || Box::new(history.trials.iter().filter(is_inside)), trial)
    }
}

fn bracket_of(study: &str, number: u64, budgets: &[u64]) -> u32 {
    let total: u64 = budgets.iter().fold(0, |sum: u64, budget| sum.saturating_add(*budget)).max(1);
    let mut place = u64::from(crc32fast::hash(format!("{study}_{number}").as_bytes())) % total;
    for (bracket, budget) in (0..).zip(budgets) {
        match place.checked_sub(*budget) {
            Some(rest) => place = rest,
            None => return bracket,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_brackets_get_more_trials() {
        let hyperband = Hyperband::default();
        assert_eq!(hyperband.budgets(9), [9, 5, 3]);
        assert_eq!(hyperband.budgets(1), [1]);
        assert_eq!(hyperband.budgets(243).len(), 5);
    }
}
