//! How a process takes part in a study.

use std::time::Duration;

use crate::{Direction, NoPruner, Pruner, Sampler, SearchError};

/// Settings of a study. Name and direction belong to the study and must be the same in all its processes; the others are each process'
/// own.
pub struct StudyOptions {
    pub(crate) name: Option<String>,
    pub(crate) direction: Direction,
    pub(crate) sampler: Box<dyn Sampler>,
    pub(crate) pruner: Box<dyn Pruner>,
    pub(crate) retry: u64,
    pub(crate) heartbeat: Duration,
}

impl StudyOptions {
    /// Small values are good.
    pub fn minimize(sampler: impl Sampler + 'static) -> Self {
        Self::new(Direction::Minimize, sampler)
    }

    /// Large values are good.
    pub fn maximize(sampler: impl Sampler + 'static) -> Self {
        Self::new(Direction::Maximize, sampler)
    }

    /// No pruner, no second tries, a sign of life each minute.
    pub fn new(direction: Direction, sampler: impl Sampler + 'static) -> Self {
        let (sampler, pruner) = (Box::new(sampler), Box::new(NoPruner));
        Self { name: None, direction, sampler, pruner, retry: 0, heartbeat: Duration::from_secs(60) }
    }

    /// The study's name; otherwise its folder's.
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// Who decides which trials are given up.
    pub fn pruner(self, pruner: impl Pruner + 'static) -> Self {
        Self { pruner: Box::new(pruner), ..self }
    }

    /// How often the parameters of a trial are tried again whose process was lost.
    pub fn retry(self, times: u64) -> Self {
        Self { retry: times, ..self }
    }

    /// How often this process gives a sign of life. Trials of processes of other machines that were silent for three such intervals
    /// have failed; on the same machine the end of a process is noticed at once. The machines' clocks must agree better than that.
    pub fn heartbeat(self, interval: Duration) -> Self {
        Self { heartbeat: interval, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), SearchError> {
        if self.heartbeat.is_zero() {
            return Err(SearchError::setting("heartbeat", "is 0; a second is short, a minute usual"));
        }
        Ok(())
    }
}
