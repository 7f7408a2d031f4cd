//! Values that are out of question.

use super::{Checks, Pruner, Verdict};
use crate::{History, SearchError, Trial};

/// Gives a trial up whose last value is NaN or outside of bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Smaller values are given up.
    pub lower: Option<f64>,
    /// Larger values are given up.
    pub upper: Option<f64>,
    /// At which steps trials are looked at.
    pub checks: Checks,
}

impl Threshold {
    /// Gives up what is larger.
    pub fn above(upper: f64) -> Self {
        Self { lower: None, upper: Some(upper), checks: Checks::default() }
    }

    /// Gives up what is smaller.
    pub fn below(lower: f64) -> Self {
        Self { lower: Some(lower), upper: None, checks: Checks::default() }
    }
}

impl Pruner for Threshold {
    fn decide(&self, _history: &History<'_>, trial: &Trial) -> Result<Verdict, SearchError> {
        let (lower, upper) = (self.lower.unwrap_or(f64::NEG_INFINITY), self.upper.unwrap_or(f64::INFINITY));
        if lower.is_nan() || upper.is_nan() || lower > upper {
            return Err(SearchError::setting("pruner.lower", format!("the bounds {lower} and {upper} hold no number")));
        }
        let due = self.checks.due(trial)?;
        Ok(Verdict::prune_if(due.is_some_and(|(_, value)| !(lower..=upper).contains(&value))))
    }
}
