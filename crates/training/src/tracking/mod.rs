//! What happens in a run, written down: for this project, for TensorBoard, and for Weights & Biases.
//!
//! [`EventLog`] is the source; the other two are what people's tools read. All take the same calls through [`Tracker`].

mod checksum;
mod curve;
mod event_log;
mod protobuf;
mod tensorboard;
mod wandb;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use curve::training_curve_svg;
pub use event_log::{Event, EventKind, EventLog, read_events};
pub use tensorboard::TensorBoard;
pub use wandb::WandbOffline;

/// A record could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct TrackingError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub problem: String,
}

impl TrackingError {
    fn of(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self { path: path.into(), problem: error.to_string() }
    }
}

/// The place of a record in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    /// Optimiser steps made.
    pub step: u64,
    /// Epochs so far.
    pub epoch: f64,
    /// Unix time in seconds.
    pub time: f64,
}

/// A table of values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows, as many values as there are columns.
    pub rows: Vec<Vec<Value>>,
}

/// Writes down what happens in a run.
pub trait Tracker: Send {
    /// The run's settings.
    ///
    /// # Errors
    /// The record can't be written; so for all of these.
    fn config(&mut self, at: At, config: &Map<String, Value>) -> Result<(), TrackingError>;

    /// Values by name, e.g. `loss` or `eval_dev_loss`.
    ///
    /// # Errors
    /// The record can't be written.
    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError>;

    /// A text.
    ///
    /// # Errors
    /// The record can't be written.
    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError>;

    /// A table.
    ///
    /// # Errors
    /// The record can't be written.
    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError>;

    /// The run ended; 0 is success.
    ///
    /// # Errors
    /// The record can't be written.
    fn finish(&mut self, at: At, exit_code: u8) -> Result<(), TrackingError>;
}

/// Several trackers as one.
#[derive(Default)]
pub struct Trackers(pub Vec<Box<dyn Tracker>>);

impl Tracker for Trackers {
    fn config(&mut self, at: At, config: &Map<String, Value>) -> Result<(), TrackingError> {
        self.0.iter_mut().try_for_each(|tracker| tracker.config(at, config))
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        self.0.iter_mut().try_for_each(|tracker| tracker.scalars(at, values))
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        self.0.iter_mut().try_for_each(|tracker| tracker.text(at, name, text))
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        self.0.iter_mut().try_for_each(|tracker| tracker.table(at, name, table))
    }

    fn finish(&mut self, at: At, exit_code: u8) -> Result<(), TrackingError> {
        self.0.iter_mut().try_for_each(|tracker| tracker.finish(at, exit_code))
    }
}

/// The name of this machine, for file names and records.
fn host_name() -> String {
    let name = std::fs::read_to_string("/etc/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let name: String =
        name.unwrap_or_default().trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if name.is_empty() { "localhost".into() } else { name }
}
