//! Writing down what happens in a run: scalars, texts, tables, configuration.
//!
//! [`EventLog`] is the record of a run, one JSON object per line; the others show the same elsewhere: [`TensorBoard`]
//! writes event files, [`WandbOffline`] a folder that the W&B client's `sync` command uploads.
//! No service is contacted. [`replay`] makes either of the others from an event log at any time.
//!
//! A run that goes on from a checkpoint first drops what came after it ([`truncate_after`], [`Start::AfterStep`]), so
//! that no step appears twice.

mod checksum;
mod clock;
mod error;
mod event_log;
mod names;
mod protobuf;
mod tensorboard;
mod wandb;
mod wandb_log;

use serde_json::{Map, Value};

pub use error::TrackingError;
pub use event_log::{Entry, Event, EventLog, read_events, replay, truncate_after};
pub use names::dashboard_name;
pub use tensorboard::TensorBoard;
pub use wandb::{MOST_TABLE_ROWS, WandbOffline, WandbRun};

/// Exit code of a run that was asked to end, by a signal say, and can go on: the one that shells give after Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// When in a run something happened.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct At {
    /// Optimiser steps done.
    pub step: u64,
    /// Passes over the data done, with fraction.
    pub epoch: f64,
    /// Wall-clock time in seconds since the beginning of 1970, UTC.
    pub time: f64,
}

impl At {
    /// A point of the run that is reached at this moment.
    pub fn now(step: u64, epoch: f64) -> Self {
        Self { step, epoch, time: clock::now() }
    }
}

/// A table: named columns, and rows with one value for each.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, each as long as `columns`.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    fn check(&self, name: &str) -> Result<(), TrackingError> {
        let columns = self.columns.len();
        match self.rows.iter().position(|row| row.len() != columns) {
            None => Ok(()),
            Some(row) => {
                Err(TrackingError::Table { name: name.to_owned(), row: row + 1, cells: self.rows[row].len(), columns })
            }
        }
    }
}

/// Whether a run begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// It begins.
    #[default]
    New,
    /// It goes on from a checkpoint taken after this many steps; what is recorded of later steps no longer counts.
    AfterStep(u64),
}

/// Something that writes down what happens in a run.
///
/// Everything is on its way to the disk when a call returns: a run that is killed loses nothing that it has recorded.
pub trait Tracker: Send {
    /// Records settings of the run. Further calls add settings or replace them.
    ///
    /// # Errors
    /// The record can't be written.
    fn config(&mut self, config: &Map<String, Value>) -> Result<(), TrackingError>;

    /// Records named numbers. Names are those of the trainer: `loss`, `rewards/chosen`, `eval_loss`. NaN and infinities
    /// are recorded as what they are.
    ///
    /// # Errors
    /// The record can't be written.
    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError>;

    /// Records a named text.
    ///
    /// # Errors
    /// The record can't be written.
    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError>;

    /// Records a named table.
    ///
    /// # Errors
    /// The record can't be written, or a row is not as long as the columns.
    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError>;

    /// Records a message to whoever reads the log: a warning, a notice.
    ///
    /// # Errors
    /// The record can't be written.
    fn message(&mut self, at: At, text: &str) -> Result<(), TrackingError>;

    /// Ends the record of the run; 0 stands for success, [`INTERRUPTED`] for a run that was asked to end and can go on.
    /// Nothing can be recorded afterwards.
    ///
    /// # Errors
    /// The record can't be written.
    fn finish(&mut self, exit_code: u8) -> Result<(), TrackingError>;
}

/// Several trackers, all told the same.
///
/// Each is told even if one before it failed; the first failure is returned.
pub type Trackers = Vec<Box<dyn Tracker>>;

impl Tracker for Trackers {
    fn config(&mut self, config: &Map<String, Value>) -> Result<(), TrackingError> {
        tell_all(self, |tracker| tracker.config(config))
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        tell_all(self, |tracker| tracker.scalars(at, values))
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        tell_all(self, |tracker| tracker.text(at, name, text))
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        tell_all(self, |tracker| tracker.table(at, name, table))
    }

    fn message(&mut self, at: At, text: &str) -> Result<(), TrackingError> {
        tell_all(self, |tracker| tracker.message(at, text))
    }

    fn finish(&mut self, exit_code: u8) -> Result<(), TrackingError> {
        tell_all(self, |tracker| tracker.finish(exit_code))
    }
}

fn tell_all(
    trackers: &mut Trackers,
    mut tell: impl FnMut(&mut dyn Tracker) -> Result<(), TrackingError>,
) -> Result<(), TrackingError> {
    let mut outcome = Ok(());
    for tracker in trackers {
        outcome = outcome.and(tell(tracker.as_mut()));
    }
    outcome
}
