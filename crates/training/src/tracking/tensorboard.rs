//! Event files that TensorBoard reads: a sequence of length-framed, checksummed protocol buffer messages.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::checksum::masked_crc32c;
use super::protobuf::Message;
use super::{At, Table, Tracker, TrackingError, host_name};

/// Fields of the message `Event`.
mod field {
    pub(super) const WALL_TIME: u32 = 1;
    pub(super) const STEP: u32 = 2;
    pub(super) const FILE_VERSION: u32 = 3;
    pub(super) const SUMMARY: u32 = 5;
    pub(super) const SESSION_LOG: u32 = 7;
}

/// Type number of texts in a tensor.
const STRING: u64 = 7;

/// Writes one event file; a resumed run adds a new one beside it.
pub struct TensorBoard {
    path: PathBuf,
    file: File,
}

impl TensorBoard {
    /// Begins a file in `folder` for a run that has made `step` steps. TensorBoard then leaves out what earlier files tell of later
    /// steps.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn open(folder: &Path, at: At) -> Result<Self, TrackingError> {
        fs::create_dir_all(folder).map_err(TrackingError::of(folder))?;
        let stem = format!("events.out.tfevents.{:010}.{}.{}", at.time as u64, host_name(), std::process::id());
        let (path, file) = (0..)
            .map(|number| folder.join(format!("{stem}.{number}")))
            .find_map(|path| match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                outcome => Some(outcome.map(|file| (path.clone(), file)).map_err(TrackingError::of(&path))),
            })
            .unwrap_or_else(|| Err(TrackingError { path: folder.into(), problem: "no name is left".into() }))?;
        let mut own = Self { path, file };
        own.write(Message::new().double(field::WALL_TIME, at.time).text(field::FILE_VERSION, "brain.Event:2"))?;
        // A session that starts at a step voids what was written for that step and later ones.
        let start = Message::new().number(1, 1);
        own.write(event(At { step: at.step + 1, ..at }).message(field::SESSION_LOG, start))?;
        Ok(own)
    }

    fn write(&mut self, event: Message) -> Result<(), TrackingError> {
        let payload = event.into_bytes();
        let length = (payload.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc32c(&length).to_le_bytes());
        record.extend(&payload);
        record.extend(masked_crc32c(&payload).to_le_bytes());
        self.file.write_all(&record).map_err(TrackingError::of(&self.path))
    }
}

fn event(at: At) -> Message {
    Message::new().double(field::WALL_TIME, at.time).number(field::STEP, at.step)
}

/// A summary value that holds a text.
fn text_value(name: &str, text: &str) -> Message {
    let shape = Message::new().message(2, Message::new().number(1, 1));
    let tensor = Message::new().number(1, STRING).message(2, shape).text(8, text);
    let metadata = Message::new().message(1, Message::new().text(1, "text"));
    Message::new().text(1, &format!("{name}/text_summary")).message(8, tensor).message(9, metadata)
}

impl Tracker for TensorBoard {
    fn config(&mut self, at: At, config: &Map<String, Value>) -> Result<(), TrackingError> {
        let text = serde_json::to_string_pretty(config).unwrap_or_default();
        // As a block of code, or Markdown would run the lines together.
        self.text(at, "config", &text.lines().map(|line| format!("    {line}\n")).collect::<String>())
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        let summary = values.iter().fold(Message::new(), |summary, (name, value)| {
            summary.message(1, Message::new().text(1, name).float(2, *value as f32))
        });
        self.write(event(at).message(field::SUMMARY, summary))
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        let summary = Message::new().message(1, text_value(name, text));
        self.write(event(at).message(field::SUMMARY, summary))
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        let cell = |value: &Value| match value {
            Value::String(text) => text.replace('|', "\\|").replace('\n', " "),
            other => other.to_string(),
        };
        let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut text = row(table.columns.clone());
        text += &row(table.columns.iter().map(|_| "---".to_owned()).collect());
        text.extend(table.rows.iter().map(|cells| row(cells.iter().map(cell).collect())));
        self.text(at, name, &text)
    }

    fn finish(&mut self, _at: At, _exit_code: u8) -> Result<(), TrackingError> {
        self.file.sync_all().map_err(TrackingError::of(&self.path))
    }
}
