//! A study without a file: trials one after the other, in memory.

use std::collections::BTreeMap;

use hyper_search::{Direction, Distribution, History, Sampler, Trial, TrialState};
use serde_json::{Map, Value};

/// Trials and what suggests their parameters.
pub(crate) struct PlainStudy<S> {
    pub(crate) sampler: S,
    pub(crate) direction: Direction,
    pub(crate) trials: Vec<Trial>,
}

/// What an objective gets.
pub(crate) struct Asked<'a, S> {
    study: &'a mut PlainStudy<S>,
    jointly: BTreeMap<String, f64>,
}

impl<S: Sampler> PlainStudy<S> {
    pub(crate) fn new(sampler: S) -> Self {
        Self { sampler, direction: Direction::Minimize, trials: Vec::new() }
    }

    pub(crate) fn history(&self) -> History<'_> {
        history(self.direction, &self.trials)
    }

    /// Begins a trial, which is then the last.
    pub(crate) fn ask(&mut self) -> Asked<'_, S> {
        self.trials.push(trial(self.trials.len() as u64, TrialState::Running));
        let number = self.trials.len() as u64 - 1;
        let jointly = self.sampler.sample_jointly(&history(self.direction, &self.trials), number).unwrap();
        Asked { study: self, jointly }
    }

    /// Runs `count` trials to their end.
    pub(crate) fn run(&mut self, count: usize, mut objective: impl FnMut(&mut Asked<'_, S>) -> f64) {
        for _ in 0..count {
            let value = objective(&mut self.ask());
            self.tell(value);
        }
    }

    /// Ends the last trial.
    pub(crate) fn tell(&mut self, value: f64) {
        let trial = self.trials.last_mut().unwrap();
        (trial.state, trial.value) = (TrialState::Complete, Some(value));
    }

    /// The smallest value of the first `count` trials.
    pub(crate) fn least(&self, count: usize) -> f64 {
        self.trials.iter().take(count).filter_map(|trial| trial.value).fold(f64::INFINITY, f64::min)
    }
}

impl<S: Sampler> Asked<'_, S> {
    /// The value the objective sees.
    pub(crate) fn value(&mut self, name: &str, distribution: &Distribution) -> Value {
        distribution.external(self.internal(name, distribution))
    }

    /// A number the objective sees.
    pub(crate) fn number(&mut self, name: &str, distribution: &Distribution) -> f64 {
        self.value(name, distribution).as_f64().unwrap()
    }

    /// The value the sampler knows.
    pub(crate) fn internal(&mut self, name: &str, distribution: &Distribution) -> f64 {
        let PlainStudy { sampler, direction, trials } = &mut *self.study;
        let joint = self.jointly.get(name).copied().filter(|value| distribution.contains(*value));
        let number = trials.len() as u64 - 1;
        let drawn = || sampler.sample(&history(*direction, trials), number, name, distribution).unwrap();
        let internal = joint.unwrap_or_else(drawn);
        let trial = trials.last_mut().unwrap();
        trial.parameters.push((name.into(), internal));
        trial.distributions.insert(name.into(), distribution.clone());
        internal
    }
}

pub(crate) fn history(direction: Direction, trials: &[Trial]) -> History<'_> {
    History { study: "plain", direction, trials }
}

pub(crate) fn trial(number: u64, state: TrialState) -> Trial {
    Trial {
        number,
        state,
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
