//! Asynchronous successive halving.

use super::{Pruner, Verdict};
use crate::number::{as_number, as_value};
use crate::{Direction, History, SearchError, Trial};

/// Lets at each rung the best `1/η` of the trials go on that have reached it (ASHA, Li et al. 2020, arXiv
/// [1810.05934](https://arxiv.org/abs/1810.05934)).
///
/// Rung `k` is at step `min_resource · η^(early_stopping_rate + k)`. The value a trial has there is remembered as its system
/// attribute `completed_rung_k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessiveHalving {
    /// The first rung's step, at least 1. `None` is a hundredth of the steps of the first trial to complete.
    pub min_resource: Option<u64>,
    /// `η`, at least 2.
    pub reduction_factor: u64,
    /// So many rungs are left out.
    pub early_stopping_rate: u32,
    /// At a rung that no more than so many trials have reached, none goes on.
    pub bootstrap: usize,
}

impl Default for SuccessiveHalving {
    fn default() -> Self {
        Self { min_resource: None, reduction_factor: 4, early_stopping_rate: 0, bootstrap: 0 }
    }
}

impl SuccessiveHalving {
    fn check(&self) -> Result<(), SearchError> {
        if self.min_resource == Some(0) {
            return Err(SearchError::setting("pruner.min_resource", "is 0; it must be at least 1"));
        }
        if self.min_resource.is_none() && self.bootstrap > 0 {
            let problem = "can't be chosen together with an automatic `min_resource`";
            return Err(SearchError::setting("pruner.bootstrap", problem));
        }
        check_factor(self.reduction_factor)
    }

    /// None lies beyond all steps.
    fn step_of(&self, rung: u32, min_resource: u64) -> Option<u64> {
        let factor = self.reduction_factor.checked_pow(self.early_stopping_rate.checked_add(rung)?)?;
        min_resource.checked_mul(factor)
    }

    fn is_promoted(&self, value: f64, mut competing: Vec<f64>, direction: Direction) -> bool {
        let promoted = (competing.len() / self.reduction_factor as usize).max(1);
        competing.sort_by(f64::total_cmp);
        if direction == Direction::Maximize {
            competing.reverse();
        }
        competing.get(promoted - 1).is_none_or(|last| !direction.is_better(*last, value))
    }

    /// The decision among those trials that compete with this one.
    pub(super) fn decide_among<'a>(
        &self,
        history: &History<'_>,
        competitors: impl Fn() -> Box<dyn Iterator<Item = &'a Trial> + 'a>,
        trial: &Trial,
    ) -> Result<Verdict, SearchError> {
        self.check()?;
        let Some((step, value)) = trial.last_report() else { return Ok(Verdict::keep()) };
        let automatic = || history.first_length().map(|last| (last / 100).max(1));
        let Some(min_resource) = self.min_resource.or_else(automatic) else { return Ok(Verdict::keep()) };
        let mut verdict = Verdict::keep();
        let first = (0..).find(|rung| !trial.system_attributes.contains_key(&key_of(*rung))).unwrap_or(u32::MAX);
        for rung in first.. {
            if self.step_of(rung, min_resource).is_none_or(|rung_step| step < rung_step) {
                return Ok(verdict);
            }
            if value.is_nan() {
                verdict.prune = true;
                return Ok(verdict);
            }
            let key = key_of(rung);
            let others = competitors().filter(|other| other.number != trial.number);
            let mut competing: Vec<f64> =
                others.filter_map(|other| as_number(other.system_attributes.get(&key)?)).collect();
            competing.push(value);
            verdict.attributes.push((key, as_value(value)));
            if competing.len() <= self.bootstrap || !self.is_promoted(value, competing, history.direction) {
                verdict.prune = true;
                return Ok(verdict);
            }
        }
        Ok(verdict)
    }
}

impl Pruner for SuccessiveHalving {
    fn decide(&self, history: &History<'_>, trial: &Trial) -> Result<Verdict, SearchError> {
        self.decide_among(history, || Box::new(history.trials.iter()), trial)
    }
}

pub(super) fn check_factor(factor: u64) -> Result<(), SearchError> {
    if factor < 2 {
        return Err(SearchError::setting("pruner.reduction_factor", format!("is {factor}; it must be at least 2")));
    }
    Ok(())
}

fn key_of(rung: u32) -> String {
    format!("completed_rung_{rung}")
}
