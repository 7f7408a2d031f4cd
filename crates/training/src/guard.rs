//! Notices a run that goes wrong.

use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// Steps above the bound before a run counts as diverged.
const STEPS_ABOVE: u64 = 20;

/// Watches the losses of steps. Part of a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct DivergenceGuard {
    best: Option<f64>,
    above: u64,
}

impl DivergenceGuard {
    /// Looks at a step's loss. Losses may be negative or near 0 in other objectives than likelihood: the bound keeps a distance
    /// of at least 1 from the best.
    pub(crate) fn see(&mut self, step: u64, loss: f64, factor: f64) -> Result<(), TrainingError> {
        let best = self.best.map_or(loss, |best| best.min(loss));
        self.best = Some(best);
        let limit = (best * factor).max(best + 1.0);
        self.above = if factor > 0.0 && loss > limit { self.above + 1 } else { 0 };
        if self.above < STEPS_ABOVE {
            return Ok(());
        }
        Err(TrainingError::Diverged { step, limit, steps: self.above, best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_rise_is_noticed_and_a_short_one_is_not() {
        let mut guard = DivergenceGuard::default();
        guard.see(1, 2.0, 4.0).unwrap();
        for step in 2..21 {
            guard.see(step, 9.0, 4.0).unwrap();
        }
        guard.see(21, 2.5, 4.0).unwrap();
        for step in 22..41 {
            guard.see(step, 9.0, 4.0).unwrap();
        }
        let error = guard.see(41, 9.0, 4.0).unwrap_err().to_string();
        assert!(error.starts_with("step 41: the loss has been above 8.0000 for 20 steps"), "{error}");
        let mut off = DivergenceGuard::default();
        (1..100).for_each(|step| off.see(step, step as f64 * 100.0, 0.0).unwrap());
    }
}
