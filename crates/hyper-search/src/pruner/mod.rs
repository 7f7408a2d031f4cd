//! Which trials are given up early.

mod halving;
mod hyperband;
mod patient;
mod percentile;
mod threshold;
mod wilcoxon;

use serde_json::Value;

pub use self::halving::SuccessiveHalving;
pub use self::hyperband::Hyperband;
pub use self::patient::Patient;
pub use self::percentile::Percentile;
pub use self::threshold::Threshold;
pub use self::wilcoxon::Wilcoxon;
use crate::{History, SearchError, Trial};

/// Decides whether a running trial is given up.
///
/// Implementations are pure: what they must remember comes back as [`Verdict::attributes`] and is a part of the study, so that
/// all processes of a study decide alike.
pub trait Pruner: Send + Sync {
    /// Looks at what a trial has reported so far.
    ///
    /// # Errors
    ///
    /// If the pruner's settings make no sense.
    fn decide(&self, history: &History<'_>, trial: &Trial) -> Result<Verdict, SearchError>;
}

/// What a pruner says about a trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Whether the trial is given up.
    pub prune: bool,
    /// What is to be remembered among the trial's system attributes.
    pub attributes: Vec<(String, Value)>,
}

impl Verdict {
    /// The trial goes on.
    pub fn keep() -> Self {
        Self::default()
    }

    /// The trial is given up if this is so.
    pub fn prune_if(prune: bool) -> Self {
        Self { prune, attributes: Vec::new() }
    }
}

/// Gives no trial up.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPruner;

impl Pruner for NoPruner {
    fn decide(&self, _history: &History<'_>, _trial: &Trial) -> Result<Verdict, SearchError> {
        Ok(Verdict::keep())
    }
}

/// At which steps a pruner looks at trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Earlier steps are not looked at.
    pub warmup: u64,
    /// Only the first report in each interval of so many steps after the warm-up is looked at; at least 1.
    pub interval: u64,
}

impl Default for Checks {
    fn default() -> Self {
        Self { warmup: 0, interval: 1 }
    }
}

impl Checks {
    /// The last reported step and its value, if it is to be looked at.
    fn due(self, trial: &Trial) -> Result<Option<(u64, f64)>, SearchError> {
        if self.interval == 0 {
            return Err(SearchError::setting("pruner.interval", "is 0; it must be at least 1"));
        }
        let Some((step, value)) = trial.last_report().filter(|(step, _)| *step >= self.warmup) else { return Ok(None) };
        let begin = self.warmup + (step - self.warmup) / self.interval * self.interval;
        let is_first = trial.reports.range(begin..step).next().is_none();
        Ok(is_first.then_some((step, value)))
    }
}
