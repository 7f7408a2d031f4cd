//! The record of a run as `events.jsonl`: one JSON object per line,
//! `{"t": unix_seconds, "step": n, "epoch": x, "kind": "scalar|text|table|config|message", "data": {...}}`.
//!
//! A line is one write. JSON has no NaN and no infinities; they are the texts `"NaN"`, `"Infinity"`, `"-Infinity"`.
//!
//! | kind | data |
//! |---|---|
//! | `scalar` | name → number |
//! | `text` | `name`, `text` |
//! | `table` | `name`, `columns`, `rows` |
//! | `config` | setting → value |
//! | `message` | `text`; the last one of a run also `exit_code` |

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use llm_runtime::output_file;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{At, INTERRUPTED, Table, Tracker, TrackingError, clock};

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Named numbers, in the order in which they were given.
    Scalars(Vec<(String, f64)>),
    /// A named text.
    Text {
        /// Its name.
        name: String,
        /// The text.
        text: String,
    },
    /// A named table.
    Table {
        /// Its name.
        name: String,
        /// The table.
        table: Table,
    },
    /// Settings of the run.
    Config(Map<String, Value>),
    /// A message to whoever reads the log.
    Message {
        /// The message.
        text: String,
        /// How the run ended, if this is its end; 0 stands for success.
        exit_code: Option<u8>,
    },
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it happened.
    pub at: At,
    /// What happened.
    pub entry: Entry,
}

/// An open `events.jsonl`, to which a run appends.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
    /// Length of the complete lines.
    length: u64,
    /// Where the run is; settings and the end are recorded there.
    last: At,
    is_finished: bool,
}

impl EventLog {
    /// Opens or begins the log of a run and goes on after its last complete line: a line that a kill tore is cut off.
    /// A run that goes on from an earlier checkpoint calls [`truncate_after`] first.
    ///
    /// # Errors
    /// The file can't be read or written, or its last complete line is no event.
    pub fn open(path: &Path) -> Result<Self, TrackingError> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        let file = options.open(path).map_err(TrackingError::io(path, "open the event log"))?;
        let content = fs::read(path).map_err(TrackingError::io(path, "read the event log"))?;
        let complete = complete_length(&content);
        let last = last_place(path, &content[..complete])?;
        let length = complete as u64;
        file.set_len(length).map_err(TrackingError::io(path, "cut off an unfinished last line"))?;
        Ok(Self { path: path.to_owned(), file, length, last, is_finished: false })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, at: At, kind: &str, data: Value) -> Result<(), TrackingError> {
        if self.is_finished {
            return Err(TrackingError::Finished { path: self.path.clone() });
        }
        let line =
            json!({"t": number(at.time), "step": at.step, "epoch": number(at.epoch), "kind": kind, "data": data});
        let line = format!("{line}\n");
        if let Err(source) = self.file.write_all(line.as_bytes()) {
            // The next event must not begin in the middle of a line.
            let _ = self.file.set_len(self.length);
            return Err(TrackingError::io(&self.path, "append an event")(source));
        }
        self.length += line.len() as u64;
        self.last = at;
        Ok(())
    }
}

impl Tracker for EventLog {
    fn config(&mut self, config: &Map<String, Value>) -> Result<(), TrackingError> {
        self.append(At { time: clock::now(), ..self.last }, "config", Value::Object(config.clone()))
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        let data: Map<_, _> = values.iter().map(|(name, value)| ((*name).to_owned(), number(*value))).collect();
        self.append(at, "scalar", Value::Object(data))
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        self.append(at, "text", json!({"name": name, "text": text}))
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        table.check(name)?;
        self.append(at, "table", json!({"name": name, "columns": table.columns, "rows": table.rows}))
    }

    fn message(&mut self, at: At, text: &str) -> Result<(), TrackingError> {
        self.append(at, "message", json!({"text": text}))
    }

    fn finish(&mut self, exit_code: u8) -> Result<(), TrackingError> {
        let text = match exit_code {
            0 => "finished",
            INTERRUPTED => "interrupted",
            _ => "failed",
        };
        let at = At { time: clock::now(), ..self.last };
        self.append(at, "message", json!({"text": text, "exit_code": exit_code}))?;
        self.is_finished = true;
        self.file.sync_all().map_err(TrackingError::io(&self.path, "write the event log to the disk"))
    }
}

/// Reads all events of a log. A torn last line, as a running or killed process leaves it, is passed over.
///
/// # Errors
/// The file can't be read, or a complete line is no event.
pub fn read_events(path: &Path) -> Result<Vec<Event>, TrackingError> {
    let content = fs::read(path).map_err(TrackingError::io(path, "read the event log"))?;
    numbered_lines(&content).map(|(number, line)| parse_line(path, number, line)?.event(path, number)).collect()
}

/// Drops the events of steps after `step`, endings (a run that goes on has not ended) and a torn last line, and returns
/// how many events were dropped. The file changes as a whole or not at all; one that does not exist holds no events.
///
/// # Errors
/// The file can't be read or written, or a complete line is no event; then it stays as it was.
pub fn truncate_after(path: &Path, step: u64) -> Result<usize, TrackingError> {
    if !path.exists() {
        return Ok(0);
    }
    let content = fs::read(path).map_err(TrackingError::io(path, "read the event log"))?;
    let (mut kept, mut dropped) = (Vec::new(), 0);
    for (number, line) in numbered_lines(&content) {
        let event = parse_line(path, number, line)?.event(path, number)?;
        let is_ending = matches!(event.entry, Entry::Message { exit_code: Some(_), .. });
        if event.at.step <= step && !is_ending {
            kept.extend(line);
        } else {
            dropped += 1;
        }
    }
    if kept.len() < content.len() {
        replace(path, &kept)?;
    }
    Ok(dropped)
}

/// Tells a tracker all that a log holds, as if the run took place again. Of several endings, as a run has that was
/// resumed after its end, only one that is the last event counts.
///
/// # Errors
/// The tracker's.
pub fn replay(events: &[Event], tracker: &mut dyn Tracker) -> Result<(), TrackingError> {
    for (index, Event { at, entry }) in events.iter().enumerate() {
        match entry {
            Entry::Scalars(values) => {
                let values: Vec<_> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                tracker.scalars(*at, &values)?;
            }
            Entry::Text { name, text } => tracker.text(*at, name, text)?,
            Entry::Table { name, table } => tracker.table(*at, name, table)?,
            Entry::Config(config) => tracker.config(config)?,
            Entry::Message { exit_code: Some(code), .. } if index + 1 == events.len() => tracker.finish(*code)?,
            Entry::Message { text, .. } => tracker.message(*at, text)?,
        }
    }
    Ok(())
}

/// A line as it stands in the file.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "t")]
    time: Number,
    step: u64,
    epoch: Number,
    kind: Kind,
    data: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Scalar,
    Text,
    Table,
    Config,
    Message,
}

#[derive(Deserialize)]
struct TextData {
    name: String,
    text: String,
}

#[derive(Deserialize)]
struct TableData {
    name: String,
    columns: Vec<String>,
    rows: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct MessageData {
    text: String,
    exit_code: Option<u8>,
}

impl Line {
    fn at(&self) -> At {
        At { step: self.step, epoch: self.epoch.value(), time: self.time.value() }
    }

    fn event(self, path: &Path, line: usize) -> Result<Event, TrackingError> {
        let at = self.at();
        let entry = self.entry().map_err(|error| not_an_event(path, line, &error))?;
        Ok(Event { at, entry })
    }

    fn entry(self) -> Result<Entry, serde_json::Error> {
        Ok(match self.kind {
            Kind::Scalar => Entry::Scalars(scalars(self.data)?),
            Kind::Text => {
                let TextData { name, text } = serde_json::from_value(self.data)?;
                Entry::Text { name, text }
            }
            Kind::Table => {
                let TableData { name, columns, rows } = serde_json::from_value(self.data)?;
                Entry::Table { name, table: Table { columns, rows } }
            }
            Kind::Config => Entry::Config(serde_json::from_value(self.data)?),
            Kind::Message => {
                let MessageData { text, exit_code } = serde_json::from_value(self.data)?;
                Entry::Message { text, exit_code }
            }
        })
    }
}

/// A number, or one of the three that JSON does not have.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Finite(f64),
    Other(NonFinite),
}

#[derive(Serialize, Deserialize)]
enum NonFinite {
    NaN,
    Infinity,
    #[serde(rename = "-Infinity")]
    MinusInfinity,
}

impl Number {
    fn value(&self) -> f64 {
        match self {
            Self::Finite(value) => *value,
            Self::Other(NonFinite::NaN) => f64::NAN,
            Self::Other(NonFinite::Infinity) => f64::INFINITY,
            Self::Other(NonFinite::MinusInfinity) => f64::NEG_INFINITY,
        }
    }
}

fn number(value: f64) -> Value {
    match value {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        _ if value.is_nan() => json!("NaN"),
        _ => json!(value),
    }
}

fn scalars(data: Value) -> Result<Vec<(String, f64)>, serde_json::Error> {
    let data: Map<String, Value> = serde_json::from_value(data)?;
    let read = |(name, value)| Ok((name, serde_json::from_value::<Number>(value)?.value()));
    data.into_iter().map(read).collect()
}

fn parse_line(path: &Path, number: usize, line: &[u8]) -> Result<Line, TrackingError> {
    serde_json::from_slice(line).map_err(|error| not_an_event(path, number, &error))
}

fn not_an_event(path: &Path, line: usize, error: &serde_json::Error) -> TrackingError {
    TrackingError::Line { path: path.to_owned(), line, problem: format!("not an event: {error}") }
}

/// The complete lines, each with its end of line, and their numbers; empty ones are passed over.
fn numbered_lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let complete = &content[..complete_length(content)];
    let lines = complete.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines.filter(|(_, line)| !line.trim_ascii().is_empty()).map(|(index, line)| (index + 1, line))
}

fn complete_length(content: &[u8]) -> usize {
    content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn last_place(path: &Path, content: &[u8]) -> Result<At, TrackingError> {
    match numbered_lines(content).last() {
        Some((number, line)) => Ok(parse_line(path, number, line)?.at()),
        None => Ok(At::default()),
    }
}

/// Puts new content in the place of a file, whole or not at all.
fn replace(path: &Path, content: &[u8]) -> Result<(), TrackingError> {
    output_file::write(path, content).map_err(TrackingError::io(path, "drop events of later steps"))
}
