//! Which trials are given up early.

use serde_json::Value;

use crate::{History, SearchError, Trial};

/// Decides whether a running trial is given up.
///
/// Implementations are pure: what they must remember comes back as [`Verdict::attributes`] and is a part of the study.
pub trait Pruner: Send + Sync {
    /// Looks at what a trial has reported so far.
    ///
    /// # Errors
    ///
    /// If the history makes no sense to the pruner.
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
