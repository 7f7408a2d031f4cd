//! `events.jsonl`: one JSON object a line, written the moment it happens.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{At, Table, Tracker, TrackingError};

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// The run's settings.
    Config,
    /// Values by name.
    Scalar,
    /// A text: `{"name", "text"}`.
    Text,
    /// A table: `{"name", "columns", "rows"}`.
    Table,
    /// The end: `{"exit_code"}`.
    Finish,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Unix time in seconds.
    #[serde(rename = "t")]
    pub time: f64,
    /// Optimiser steps made.
    pub step: u64,
    /// Epochs so far.
    pub epoch: f64,
    /// What is told.
    pub kind: EventKind,
    /// It. Numbers that are not finite are the texts `NaN`, `Infinity` and `-Infinity`.
    pub data: Map<String, Value>,
}

impl Event {
    /// The scalar of that name.
    pub fn scalar(&self, name: &str) -> Option<f64> {
        (self.kind == EventKind::Scalar).then(|| self.data.get(name)).flatten().and_then(number_of)
    }
}

/// A number for JSON, which knows no infinity.
fn json_number(value: f64) -> Value {
    match value {
        _ if value.is_finite() => json!(value),
        _ if value.is_nan() => json!("NaN"),
        _ if value > 0.0 => json!("Infinity"),
        _ => json!("-Infinity"),
    }
}

fn number_of(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

/// Appends to a file of events.
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Opens a file of a run that has made `step` steps. What an interrupted run wrote after its last checkpoint is taken out, so
    /// that no step stands there twice; so is a torn last line.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub fn open(path: &Path, step: u64) -> Result<Self, TrackingError> {
        let kept = match path.exists() {
            true => kept_lines(path, step)?,
            false => Vec::new(),
        };
        let partial = path.with_extension("jsonl.partial");
        std::fs::write(&partial, kept).map_err(TrackingError::of(path))?;
        std::fs::rename(&partial, path).map_err(TrackingError::of(path))?;
        let file = OpenOptions::new().append(true).open(path).map_err(TrackingError::of(path))?;
        Ok(Self { path: path.into(), file })
    }

    fn write(&mut self, at: At, kind: EventKind, data: Map<String, Value>) -> Result<(), TrackingError> {
        let event = Event { time: at.time, step: at.step, epoch: at.epoch, kind, data };
        let line = line(&self.path, &event)?;
        self.file.write_all(&line).map_err(TrackingError::of(&self.path))
    }
}

/// The lines of a run's first `step` steps, byte for byte.
fn kept_lines(path: &Path, step: u64) -> Result<Vec<u8>, TrackingError> {
    let text = std::fs::read(path).map_err(TrackingError::of(path))?;
    let events = read_events(path)?;
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| **line != *b"\n");
    let kept = lines.zip(events).filter(|(_, event)| event.step <= step && event.kind != EventKind::Finish);
    Ok(kept.flat_map(|(line, _)| line.to_vec()).collect())
}

fn line(path: &Path, event: &Event) -> Result<Vec<u8>, TrackingError> {
    let mut line =
        serde_json::to_vec(event).map_err(|error| TrackingError { path: path.into(), problem: error.to_string() })?;
    line.push(b'\n');
    Ok(line)
}

impl Tracker for EventLog {
    fn config(&mut self, at: At, config: &Map<String, Value>) -> Result<(), TrackingError> {
        self.write(at, EventKind::Config, config.clone())
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        let data = values.iter().map(|(name, value)| ((*name).to_owned(), json_number(*value))).collect();
        self.write(at, EventKind::Scalar, data)
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        let data = [("name".to_owned(), json!(name)), ("text".to_owned(), json!(text))];
        self.write(at, EventKind::Text, data.into_iter().collect())
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        let data = [
            ("name".to_owned(), json!(name)),
            ("columns".to_owned(), json!(table.columns)),
            ("rows".to_owned(), json!(table.rows)),
        ];
        self.write(at, EventKind::Table, data.into_iter().collect())
    }

    fn finish(&mut self, at: At, exit_code: u8) -> Result<(), TrackingError> {
        self.write(at, EventKind::Finish, [("exit_code".to_owned(), json!(exit_code))].into_iter().collect())?;
        self.file.sync_all().map_err(TrackingError::of(&self.path))
    }
}

/// Reads a file of events; a torn last line is left out.
///
/// # Errors
/// The file can't be read, or a whole line is no event.
pub fn read_events(path: &Path) -> Result<Vec<Event>, TrackingError> {
    let text = std::fs::read(path).map_err(TrackingError::of(path))?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| TrackingError {
                path: path.into(),
                problem: format!("line {}: not an event: {error}", number + 1),
            })
        })
        .collect()
}
