//! Patience with trials that have not improved for a while.

use super::{Pruner, Verdict};
use crate::{Direction, History, SearchError, Trial};

/// Asks another pruner only about trials whose last values are all worse than an earlier one.
pub struct Patient {
    /// Who decides then; `None` gives up all such trials.
    pub inner: Option<Box<dyn Pruner>>,
    /// How many steps may go by without improvement.
    pub patience: usize,
    /// Smaller differences don't count; not negative.
    pub min_difference: f64,
}

impl Patient {
    /// Waits for so many steps before it asks.
    pub fn new(inner: impl Pruner + 'static, patience: usize) -> Self {
        Self { inner: Some(Box::new(inner)), patience, min_difference: 0.0 }
    }

    /// Gives up each trial that has not improved for so many steps.
    pub fn alone(patience: usize) -> Self {
        Self { inner: None, patience, min_difference: 0.0 }
    }

    fn is_out_of_patience(&self, trial: &Trial, direction: Direction) -> bool {
        let values: Vec<f64> = trial.reports.values().copied().collect();
        let recent = self.patience.saturating_add(1);
        let Some((earlier, recent)) = values.len().checked_sub(recent).map(|place| values.split_at(place)) else {
            return false;
        };
        let best = |values: &[f64]| direction.best_of(values.iter().copied());
        let (Some(earlier), Some(recent)) = (best(earlier), best(recent)) else { return false };
        match direction {
            Direction::Minimize => earlier + self.min_difference < recent,
            Direction::Maximize => earlier - self.min_difference > recent,
        }
    }
}

impl Pruner for Patient {
    fn decide(&self, history: &History<'_>, trial: &Trial) -> Result<Verdict, SearchError> {
        if self.min_difference.is_nan() || self.min_difference < 0.0 {
            let problem = format!("is {}; it can't be negative", self.min_difference);
            return Err(SearchError::setting("pruner.min_difference", problem));
        }
        if !self.is_out_of_patience(trial, history.direction) {
            return Ok(Verdict::keep());
        }
        self.inner.as_ref().map_or(Ok(Verdict::prune_if(true)), |inner| inner.decide(history, trial))
    }
}
