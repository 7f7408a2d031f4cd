//! A trial: one set of parameters, and what became of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::number::as_number;
use crate::{CONSTRAINTS, Distribution};

/// Whether small or large values are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Small ones.
    Minimize,
    /// Large ones.
    Maximize,
}

impl Direction {
    /// Whether `value` is better than `other`; NaN is not, nor is anything better than NaN.
    pub fn is_better(self, value: f64, other: f64) -> bool {
        match self {
            Self::Minimize => value < other,
            Self::Maximize => value > other,
        }
    }

    /// The best of some values, those that are NaN left out.
    pub fn best_of(self, values: impl IntoIterator<Item = f64>) -> Option<f64> {
        let numbers = values.into_iter().filter(|value| !value.is_nan());
        numbers.reduce(|best, value| if self.is_better(value, best) { value } else { best })
    }
}

/// What became of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialState {
    /// Some process is at it.
    Running,
    /// It has its value.
    Complete,
    /// It was given up, because others did better.
    Pruned,
    /// It failed.
    Failed,
    /// It is to be begun, with given parameters.
    Waiting,
}

impl TrialState {
    /// Whether nothing more will come of it.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed)
    }
}

/// A trial as the study remembers it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Counted from 0 in a study.
    pub number: u64,
    /// What became of it.
    pub state: TrialState,
    /// The objective's value, of complete trials; of pruned ones the last reported.
    pub value: Option<f64>,
    /// Internal values of its parameters by name, in the order they were suggested.
    pub parameters: Vec<(String, f64)>,
    /// Where they came from, by name.
    pub distributions: BTreeMap<String, Distribution>,
    /// Reported values by step.
    pub reports: BTreeMap<u64, f64>,
    /// What pruners remember (`completed_rung_0`).
    pub system_attributes: Map<String, Value>,
    /// What the user remembers.
    pub attributes: Map<String, Value>,
    /// Seconds since the beginning of 1970, when it was begun and ended.
    pub started: Option<f64>,
    /// As `started`.
    pub ended: Option<f64>,
}

impl Trial {
    /// A trial about which nothing is known yet.
    pub fn waiting(number: u64) -> Self {
        Self {
            number,
            state: TrialState::Waiting,
            value: None,
            parameters: Vec::new(),
            distributions: BTreeMap::new(),
            reports: BTreeMap::new(),
            system_attributes: Map::new(),
            attributes: Map::new(),
            started: None,
            ended: None,
        }
    }

    /// The last step of which a value was reported, and that value.
    pub fn last_report(&self) -> Option<(u64, f64)> {
        self.reports.last_key_value().map(|(step, value)| (*step, *value))
    }

    /// By how much it violates its constraints: the sum of what is above 0 among the numbers of its system attribute [`CONSTRAINTS`], an
    /// array or an object, and of those named `constraints:NAME`, as Optuna writes them from 5.0 on; 0 without any.
    pub fn violation(&self) -> f64 {
        let constraints = self.system_attributes.get(CONSTRAINTS);
        let listed = constraints.and_then(Value::as_array).into_iter().flatten();
        let named = constraints.and_then(Value::as_object).into_iter().flat_map(Map::values);
        let is_single = |name: &str| name.strip_prefix(CONSTRAINTS).is_some_and(|rest| rest.starts_with(':'));
        let single = self.system_attributes.iter().filter(|(name, _)| is_single(name)).map(|(_, value)| value);
        listed.chain(named).chain(single).filter_map(as_number).filter(|value| *value > 0.0).sum()
    }
}

/// What a sampler or a pruner goes by.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The study's name.
    pub study: &'a str,
    /// Whether small or large values are good.
    pub direction: Direction,
    /// All trials by number, running ones too.
    pub trials: &'a [Trial],
}

impl<'a> History<'a> {
    /// The trials that have a value.
    pub fn complete(&self) -> impl Iterator<Item = &'a Trial> + use<'a> {
        self.trials.iter().filter(|trial| trial.state == TrialState::Complete)
    }

    /// The complete trial of the best value, the first of equals. Trials that violate constraints don't count.
    pub fn best(&self) -> Option<&'a Trial> {
        let feasible = self.complete().filter(|trial| trial.violation() == 0.0);
        let valued = feasible.filter_map(|trial| Some((trial.value?, trial)));
        let best = valued.reduce(|best, next| if self.direction.is_better(next.0, best.0) { next } else { best });
        best.map(|(_, trial)| trial)
    }

    /// The last reported step of the trial that was the first to complete with reports.
    pub(crate) fn first_length(&self) -> Option<u64> {
        let ended = self.complete().filter_map(|trial| Some((trial.ended?, trial.last_report()?.0)));
        ended.reduce(|first, next| if next.0 < first.0 { next } else { first }).map(|(_, step)| step)
    }
}
