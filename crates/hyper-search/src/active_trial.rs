//! A trial that runs.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::ledger::FIXED;
use crate::number::as_value;
use crate::parameter::check_compatible;
use crate::record::{Ending, Record};
use crate::study::{Desk, Shared};
use crate::{CONSTRAINTS, Distribution, SearchError, Trial};

/// How an objective ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// With its value.
    Complete(f64),
    /// Early, because [`ActiveTrial::should_prune`] said so.
    Pruned,
    /// Not yet: it was interrupted and is to be gone on with.
    Released,
}

impl From<f64> for Outcome {
    fn from(value: f64) -> Self {
        Self::Complete(value)
    }
}

/// A trial that this process runs. What it says is in the study's journal when the call returns.
///
/// Parameters are whatever is asked for, so that one can depend on another's value. A trial that is dropped before it ended has failed.
pub struct ActiveTrial {
    shared: Arc<Shared>,
    number: u64,
    joint: BTreeMap<String, f64>,
    is_over: bool,
}

impl ActiveTrial {
    pub(crate) fn new(shared: Arc<Shared>, number: u64) -> Self {
        Self { shared, number, joint: BTreeMap::new(), is_over: false }
    }

    pub(crate) fn with_joint(mut self, joint: BTreeMap<String, f64>) -> Self {
        self.joint = joint;
        self
    }

    /// Its number in the study, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What the study knows about it so far.
    pub fn state(&self) -> Trial {
        let desk = self.shared.desk();
        // A trial that runs is in the study.
        desk.ledger.trial(self.number).cloned().unwrap_or_else(|| Trial::waiting(self.number))
    }

    /// A real number of a range.
    ///
    /// # Errors
    ///
    /// As [`suggest`](Self::suggest).
    pub fn float(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<f64, SearchError> {
        self.suggest(name, &Distribution::Float { low: *range.start(), high: *range.end(), step: None, log: false })
    }

    /// A real number of a range, drawn by its logarithm.
    ///
    /// # Errors
    ///
    /// As [`suggest`](Self::suggest).
    pub fn log_float(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<f64, SearchError> {
        self.suggest(name, &Distribution::Float { low: *range.start(), high: *range.end(), step: None, log: true })
    }

    /// A real number of a range, some steps from its beginning.
    ///
    /// # Errors
    ///
    /// As [`suggest`](Self::suggest).
    pub fn stepped_float(&mut self, name: &str, range: RangeInclusive<f64>, step: f64) -> Result<f64, SearchError> {
        let (low, high) = (*range.start(), *range.end());
        self.suggest(name, &Distribution::Float { low, high, step: Some(step), log: false })
    }

    /// A whole number of a range.
    ///
    /// # Errors
    ///
    /// As [`suggest`](Self::suggest).
    pub fn int(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<i64, SearchError> {
        self.stepped_int(name, range, 1)
    }

    /// A whole number of a range, drawn by its logarithm.
    ///
    /// # Errors
    ///
    /// As [`suggest`](Self::suggest).
    pub fn log_int(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<i64, SearchError> {
        let (low, high) = (*range.start(), *range.end());
        Ok(self.suggest(name, &Distribution::Int { low, high, step: 1, log: true })? as i64)
    }

    /// A whole number of a range, some steps from its beginning.
    ///
    /// # Errors
    ///
    /// As [`suggest`](Self::suggest).
    pub fn stepped_int(&mut self, name: &str, range: RangeInclusive<i64>, step: i64) -> Result<i64, SearchError> {
        let (low, high) = (*range.start(), *range.end());
        Ok(self.suggest(name, &Distribution::Int { low, high, step, log: false })? as i64)
    }

    /// One of several values: strings, numbers, booleans.
    ///
    /// # Errors
    ///
    /// As [`suggest`](Self::suggest).
    pub fn categorical<T: Clone + Into<Value>>(&mut self, name: &str, choices: &[T]) -> Result<T, SearchError> {
        let distribution = Distribution::Categorical { choices: choices.iter().cloned().map(Into::into).collect() };
        let place = self.suggest(name, &distribution)? as usize;
        choices.get(place).cloned().ok_or_else(|| SearchError::distribution(name, format!("has no choice {place}")))
    }

    /// The internal value of a parameter: the trial's own if it has one, that of [`Study::enqueue`](crate::Study::enqueue), or what the
    /// sampler suggests.
    ///
    /// # Errors
    ///
    /// If there is nothing to draw, the parameter was something else in the study before, its given value is none of the distribution's,
    /// or the journal can't be written.
    pub fn suggest(&mut self, name: &str, distribution: &Distribution) -> Result<f64, SearchError> {
        let distribution = distribution.clone().checked(name)?;
        let mut desk = self.shared.desk();
        if let Some(known) = desk.ledger.distribution(name) {
            check_compatible(name, known, &distribution)?;
        }
        if let Some(value) = own_value(&desk, self.number, name) {
            return fitting(name, &distribution, value);
        }
        let value = self.new_value(&mut desk, name, &distribution)?;
        self.write(&mut desk, vec![Record::Parameter { trial: self.number, name: name.into(), value, distribution }])?;
        Ok(value)
    }

    fn new_value(&self, desk: &mut Desk, name: &str, distribution: &Distribution) -> Result<f64, SearchError> {
        if let Some(value) = fixed_value(desk, self.number, name) {
            return distribution.internal(name, &value);
        }
        if let Some(value) = self.joint.get(name).filter(|value| distribution.contains(**value)) {
            return Ok(*value);
        }
        let Desk { ledger, sampler, .. } = desk;
        let history = ledger.history().ok_or(SearchError::Lost { trial: self.number })?;
        fitting(name, distribution, sampler.sample(&history, self.number, name, distribution)?)
    }

    /// Tells a value along the way, for pruners. A step that was told before gets a new value.
    ///
    /// # Errors
    ///
    /// If the trial is no longer this process' own, or the journal can't be written.
    pub fn report(&mut self, step: u64, value: f64) -> Result<(), SearchError> {
        self.write(&mut self.shared.desk(), vec![Record::Report { trial: self.number, step, value }])
    }

    /// Whether the trial is to be given up, going by what it and others have told. Then end the objective with [`Outcome::Pruned`].
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report), and if the pruner's settings make no sense.
    pub fn should_prune(&mut self) -> Result<bool, SearchError> {
        let mut desk = self.shared.desk();
        desk.read()?;
        let lost = || SearchError::Lost { trial: self.number };
        let history = desk.ledger.history().ok_or_else(lost)?;
        let trial = desk.ledger.trial(self.number).ok_or_else(lost)?;
        let verdict = self.shared.pruner().decide(&history, trial)?;
        let remembered = |(name, value)| Record::SystemAttribute { trial: self.number, name, value };
        let records: Vec<_> = verdict.attributes.into_iter().map(remembered).collect();
        if !records.is_empty() {
            self.write(&mut desk, records)?;
        }
        Ok(verdict.prune)
    }

    /// Remembers something about the trial.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn set_attribute(&mut self, name: &str, value: impl Into<Value>) -> Result<(), SearchError> {
        let record = Record::Attribute { trial: self.number, name: name.into(), value: value.into() };
        self.write(&mut self.shared.desk(), vec![record])
    }

    /// Remembers something for samplers and pruners.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn set_system_attribute(&mut self, name: &str, value: impl Into<Value>) -> Result<(), SearchError> {
        let record = Record::SystemAttribute { trial: self.number, name: name.into(), value: value.into() };
        self.write(&mut self.shared.desk(), vec![record])
    }

    /// Tells by how much the trial violates constraints: numbers above 0 do. Such a trial ranks behind all others and is never the best.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn constrain(&mut self, violations: &[f64]) -> Result<(), SearchError> {
        let numbers: Vec<Value> = violations.iter().map(|number| as_value(*number)).collect();
        self.set_system_attribute(CONSTRAINTS, numbers)
    }

    /// Ends the trial with its value. With one that is not finite it has failed.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn complete(self, value: f64) -> Result<(), SearchError> {
        if !value.is_finite() {
            return self.fail(format!("its value is {value}"));
        }
        self.end(Ending::Complete, Some(value), None)
    }

    /// Ends the trial early; its value is what it reported last.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn prune(self) -> Result<(), SearchError> {
        let last = self.state().last_report().map(|(_, value)| value).filter(|value| value.is_finite());
        self.end(Ending::Pruned, last, None)
    }

    /// Ends the trial without a value.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn fail(self, reason: impl std::fmt::Display) -> Result<(), SearchError> {
        self.end(Ending::Failed, None, Some(reason.to_string()))
    }

    /// Lets the trial wait, with its number, its parameters and what it reported, for someone to go on with it.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn release(mut self) -> Result<(), SearchError> {
        self.is_over = true;
        let mut desk = self.shared.desk();
        self.check_is_own(&mut desk)?;
        desk.write(vec![Record::Release { trial: self.number }])
    }

    fn end(mut self, state: Ending, value: Option<f64>, reason: Option<String>) -> Result<(), SearchError> {
        self.is_over = true;
        let mut desk = self.shared.desk();
        self.check_is_own(&mut desk)?;
        desk.write(vec![Record::End { trial: self.number, state, value, reason }])?;
        let is_written = desk.ledger.trial(self.number).is_some_and(|trial| trial.state == state.into());
        if is_written { Ok(()) } else { Err(SearchError::Lost { trial: self.number }) }
    }

    fn check_is_own(&self, desk: &mut Desk) -> Result<(), SearchError> {
        desk.read()?;
        if desk.ledger.is_owner(self.shared.worker(), self.number) {
            return Ok(());
        }
        Err(SearchError::Lost { trial: self.number })
    }

    fn write(&self, desk: &mut Desk, records: Vec<Record>) -> Result<(), SearchError> {
        desk.write(records)?;
        self.check_is_own(desk)
    }
}

impl Drop for ActiveTrial {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let reason = if std::thread::panicking() { "the objective panicked" } else { "it was dropped before it ended" };
        let (trial, reason) = (self.number, Some(reason.into()));
        // Should it fail, other processes notice that this one is gone.
        let _ = self.shared.desk().write(vec![Record::End { trial, state: Ending::Failed, value: None, reason }]);
    }
}

fn own_value(desk: &Desk, number: u64, name: &str) -> Option<f64> {
    let trial = desk.ledger.trial(number)?;
    trial.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
}

fn fixed_value(desk: &Desk, number: u64, name: &str) -> Option<Value> {
    let fixed: &Map<String, Value> = desk.ledger.trial(number)?.system_attributes.get(FIXED)?.as_object()?;
    fixed.get(name).cloned()
}

fn fitting(name: &str, distribution: &Distribution, value: f64) -> Result<f64, SearchError> {
    if distribution.contains(value) {
        return Ok(value);
    }
    Err(SearchError::distribution(name, format!("the value {value} is none of {distribution}")))
}
