//! What a study knows: its journal, replayed.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::record::{Ending, Goal, Line, Record, VERSION};
use crate::{Direction, Distribution, History, JOINTLY, Trial, TrialState};

/// The system attribute of values that are not drawn.
pub(crate) const FIXED: &str = "fixed_params";
/// The system attribute of why a trial failed.
pub(crate) const REASON: &str = "fail_reason";
/// The system attribute of the number of the trial whose parameters are tried again.
pub(crate) const RETRY_OF: &str = "retry_of";
/// The system attribute of how often they were tried before.
pub(crate) const RETRIES: &str = "retries";

/// A study's state after some lines of its journal. Whoever replays the same lines gets the same state, so that processes agree about
/// who has a trial without talking to each other.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) study: Option<Founding>,
    pub(crate) trials: Vec<Trial>,
    /// Of each trial who runs it, as long as it runs.
    owners: Vec<Option<String>>,
    /// How many trials were tried again under another number.
    superseded: u64,
    workers: HashMap<String, Worker>,
    /// Where each parameter came from first.
    distributions: BTreeMap<String, Distribution>,
}

/// How a study began.
#[derive(Debug, Clone)]
pub(crate) struct Founding {
    pub(crate) name: String,
    pub(crate) direction: Direction,
    pub(crate) founder: String,
}

/// A process that takes part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Worker {
    pub(crate) machine: Option<String>,
    /// The time of its last line.
    pub(crate) seen: f64,
    /// How many trials it has got.
    pub(crate) begun: u64,
    /// The last of them.
    pub(crate) newest: Option<u64>,
}

impl Ledger {
    /// What samplers and pruners go by; none before the study begins.
    pub(crate) fn history(&self) -> Option<History<'_>> {
        let Founding { name, direction, .. } = self.study.as_ref()?;
        Some(History { study: name, direction: *direction, trials: &self.trials })
    }

    /// A trial by its number.
    pub(crate) fn trial(&self, number: u64) -> Option<&Trial> {
        self.trials.get(usize::try_from(number).ok()?)
    }

    /// Whether a process has a trial.
    pub(crate) fn is_owner(&self, worker: &str, number: u64) -> bool {
        self.owner(number).is_some_and(|owner| owner == worker)
    }

    /// Running trials, and who runs them.
    pub(crate) fn running(&self) -> impl Iterator<Item = (u64, &str)> {
        (0..).zip(&self.owners).filter_map(|(number, owner)| Some((number, owner.as_deref()?)))
    }

    /// The first trial that waits.
    pub(crate) fn first_waiting(&self) -> Option<u64> {
        self.trials.iter().find(|trial| trial.state == TrialState::Waiting).map(|trial| trial.number)
    }

    /// How many trials there are, those left out that were tried again.
    pub(crate) fn count(&self) -> u64 {
        self.trials.len() as u64 - self.superseded
    }

    /// What is known about a process.
    pub(crate) fn worker(&self, worker: &str) -> Worker {
        self.workers.get(worker).cloned().unwrap_or_default()
    }

    /// Where a parameter came from when it was first drawn.
    pub(crate) fn distribution(&self, name: &str) -> Option<&Distribution> {
        self.distributions.get(name)
    }

    /// Takes the next line.
    ///
    /// # Errors
    ///
    /// If the line makes no sense in any state. A line that came too late (a claim of a trial that someone has) changes nothing.
    pub(crate) fn apply(&mut self, line: Line) -> Result<(), String> {
        let Line { t, worker, record } = line;
        if self.study.is_none() && !matches!(record, Record::Study { .. }) {
            return Err(String::from("a journal begins with its study"));
        }
        let facts = self.workers.entry(worker.clone()).or_default();
        facts.seen = facts.seen.max(t);
        if let Some(number) = record.owned_trial()
            && !self.is_owner(&worker, number)
        {
            return Ok(());
        }
        match record {
            Record::Study { version, name, direction } => self.found(version, name, direction, worker)?,
            Record::Worker { machine } => self.workers.entry(worker).or_default().machine = machine,
            Record::Trial { waits, fixed, at_most, once } => {
                if at_most.is_some_and(|most| self.count() >= most) || (once && self.has_fixed(&fixed)) {
                    return Ok(());
                }
                let number = self.add_waiting(fixed);
                if !waits {
                    self.begin(number, worker, t);
                }
            }
            Record::Claim { trial } => self.begin(trial, worker, t),
            Record::Parameter { trial, name, value, distribution } => {
                self.set_parameter(trial, name, value, distribution);
            }
            Record::Report { trial, step, value } => {
                self.change(trial, |trial| {
                    trial.reports.insert(step, value);
                });
            }
            Record::Attribute { trial, name, value } => {
                self.change(trial, |trial| {
                    trial.attributes.insert(name, value);
                });
            }
            Record::SystemAttribute { trial, name, value } => {
                self.change(trial, |trial| {
                    trial.system_attributes.insert(name, value);
                });
            }
            Record::End { trial, state, value, reason } => self.end(trial, state, value, reason, t),
            Record::Release { trial } => {
                self.disown(trial);
                self.change(trial, |trial| trial.state = TrialState::Waiting);
            }
            Record::Expire { trial, seen, retry, reason } => self.expire(trial, seen, retry, reason, t),
            Record::Alive => {}
        }
        Ok(())
    }

    fn owner(&self, number: u64) -> Option<&str> {
        self.owners.get(usize::try_from(number).ok()?)?.as_deref()
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Trial)) {
        if let Some(trial) = usize::try_from(number).ok().and_then(|place| self.trials.get_mut(place)) {
            change(trial);
        }
    }

    fn disown(&mut self, number: u64) {
        if let Some(owner) = usize::try_from(number).ok().and_then(|place| self.owners.get_mut(place)) {
            *owner = None;
        }
    }

    fn found(&mut self, version: u32, name: String, direction: Goal, founder: String) -> Result<(), String> {
        if version != VERSION {
            return Err(format!("the journal is of version {version}; this program reads version {VERSION}"));
        }
        // Of processes that begin a study at the same time the first one does.
        self.study.get_or_insert(Founding { name, direction: direction.into(), founder });
        Ok(())
    }

    fn has_fixed(&self, fixed: &Map<String, Value>) -> bool {
        let fixed_of = |trial: &Trial| trial.system_attributes.get(FIXED).and_then(Value::as_object).cloned();
        self.trials.iter().any(|trial| fixed_of(trial).unwrap_or_default() == *fixed)
    }

    fn add_waiting(&mut self, fixed: Map<String, Value>) -> u64 {
        let mut system_attributes = Map::new();
        if !fixed.is_empty() {
            system_attributes.insert(FIXED.into(), Value::Object(fixed));
        }
        let number = self.trials.len() as u64;
        self.trials.push(Trial { system_attributes, ..Trial::waiting(number) });
        self.owners.push(None);
        number
    }

    /// The first who asks gets a waiting trial.
    fn begin(&mut self, number: u64, worker: String, t: f64) {
        if self.trial(number).is_none_or(|trial| trial.state != TrialState::Waiting) {
            return;
        }
        self.change(number, |trial| {
            trial.state = TrialState::Running;
            trial.started = Some(t);
        });
        let facts = self.workers.entry(worker.clone()).or_default();
        facts.begun += 1;
        facts.newest = Some(number);
        if let Some(owner) = usize::try_from(number).ok().and_then(|place| self.owners.get_mut(place)) {
            *owner = Some(worker);
        }
    }

    fn set_parameter(&mut self, number: u64, name: String, value: f64, distribution: Distribution) {
        self.distributions.entry(name.clone()).or_insert_with(|| distribution.clone());
        self.change(number, |trial| {
            match trial.parameters.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value,
                None => trial.parameters.push((name.clone(), value)),
            }
            trial.distributions.insert(name, distribution);
        });
    }

    fn end(&mut self, number: u64, state: Ending, value: Option<f64>, reason: Option<String>, t: f64) {
        self.disown(number);
        self.change(number, |trial| {
            trial.state = state.into();
            trial.value = value;
            trial.ended = Some(t);
            if let Some(reason) = reason {
                trial.system_attributes.insert(REASON.into(), reason.into());
            }
        });
    }

    fn expire(&mut self, number: u64, seen: f64, retry: bool, reason: String, t: f64) {
        let Some(owner) = self.owner(number) else { return };
        if self.worker(owner).seen > seen {
            return;
        }
        self.end(number, Ending::Failed, None, Some(reason), t);
        let Some(trial) = self.trial(number).filter(|_| retry) else { return };
        let mut fixed = trial.system_attributes.get(FIXED).and_then(Value::as_object).cloned().unwrap_or_default();
        fixed.extend(trial.external_parameters());
        let (attributes, reports) = (trial.attributes.clone(), trial.reports.clone());
        let first = trial.system_attributes.get(RETRY_OF).cloned().unwrap_or_else(|| number.into());
        let jointly = trial.system_attributes.get(JOINTLY).cloned();
        let retries = trial.retries() + 1;
        let again = self.add_waiting(fixed);
        self.superseded += 1;
        self.change(again, |trial| {
            trial.attributes = attributes;
            // Who goes on from a checkpoint does not tell again what was told before it.
            trial.reports = reports;
            trial.system_attributes.insert(RETRY_OF.into(), first);
            trial.system_attributes.insert(RETRIES.into(), retries.into());
            trial.system_attributes.extend(jointly.map(|values| (String::from(JOINTLY), values)));
        });
    }
}

impl Trial {
    /// The parameters by name, as the objective has seen them.
    pub fn external_parameters(&self) -> Map<String, Value> {
        let external =
            |(name, value): &(String, f64)| Some((name.clone(), self.distributions.get(name)?.external(*value)));
        self.parameters.iter().filter_map(external).collect()
    }

    /// Why it failed.
    pub fn failure(&self) -> Option<&str> {
        self.system_attributes.get(REASON)?.as_str()
    }

    /// The number under which these parameters were tried first: its own, or that of a trial whose process was lost. What that trial
    /// has left, such as a checkpoint, serves this one.
    pub fn first_attempt(&self) -> u64 {
        self.system_attributes.get(RETRY_OF).and_then(Value::as_u64).unwrap_or(self.number)
    }

    /// How often these parameters were tried before.
    pub fn retries(&self) -> u64 {
        self.system_attributes.get(RETRIES).and_then(Value::as_u64).unwrap_or(0)
    }
}

impl From<Ending> for TrialState {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Complete => Self::Complete,
            Ending::Pruned => Self::Pruned,
            Ending::Failed => Self::Failed,
        }
    }
}

impl From<Goal> for Direction {
    fn from(goal: Goal) -> Self {
        match goal {
            Goal::Minimize => Self::Minimize,
            Goal::Maximize => Self::Maximize,
        }
    }
}

impl From<Direction> for Goal {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Minimize => Self::Minimize,
            Direction::Maximize => Self::Maximize,
        }
    }
}
