//! TensorBoard event files, `events.out.tfevents.{unix}.{host}.{pid}.{n}`.
//!
//! A file is a series of records: length (u64), masked CRC-32C of the length (u32), an `Event` message, masked CRC-32C
//! of the message (u32), all little-endian. The layout is that of TensorFlow's record files; field numbers are those
//! of TensorBoard's `event.proto`, `summary.proto` and `plugins/hparams/plugin_data.proto`.
//!
//! TensorBoard reads the files of a folder in the order of their names as one run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::checksum::masked_crc32c;
use super::protobuf::Message;
use super::{At, Start, Table, Tracker, TrackingError, clock, dashboard_name};

const FILE_PREFIX: &str = "events.out.tfevents.";
/// The version of the record format; the first record of a file names it.
const FILE_VERSION: &str = "brain.Event:2";
/// `SessionLog.SessionStatus.START`.
const SESSION_START: u64 = 1;
/// `DataType.DT_STRING`.
const STRING_TENSOR: u64 = 7;
/// Rows of a table that are shown as text; the event log has all.
const SHOWN_ROWS: usize = 20;
/// Letters of a table's cell that are shown.
const SHOWN_LETTERS: usize = 300;
/// The metrics by which the hyper-parameter page compares runs.
const COMPARED_METRICS: [&str; 3] = ["train/loss", "eval/loss", "eval/rewards/accuracies"];

/// An open event file. Scalars are named as [`dashboard_name`] says and kept as 32-bit floats, which is all that the
/// format has. Tables are shown as texts of at most 20 rows.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: File,
    /// Length of the complete records.
    length: u64,
    is_finished: bool,
}

impl TensorBoard {
    /// Begins a new event file in `folder`, whether the run begins or goes on. TensorBoard drops what earlier files of
    /// the folder hold of later steps; of a run that begins anew, all of it.
    ///
    /// # Errors
    /// The folder or the file can't be made.
    pub fn open(folder: &Path, start: Start) -> Result<Self, TrackingError> {
        fs::create_dir_all(folder).map_err(TrackingError::io(folder, "make the folder of event files"))?;
        let (path, file) = create_file(folder)?;
        let mut opened = Self { path, file, length: 0, is_finished: false };
        opened.append(&Message::new().double(1, clock::now()).text(3, FILE_VERSION))?;
        opened.start_session(start)?;
        Ok(opened)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells the readers to drop what earlier files hold of later steps. They take the first such record of a run for
    /// its beginning and act on later ones only, so that each file needs one.
    fn start_session(&mut self, start: Start) -> Result<(), TrackingError> {
        // The first step that no longer counts; the step of the checkpoint itself is valid.
        let step = match start {
            Start::New => 0,
            Start::AfterStep(step) => step + 1,
        };
        let session = Message::new().integer(1, SESSION_START);
        self.append(&event(At { step, epoch: 0.0, time: clock::now() }).message(7, &session))
    }

    fn summary(&mut self, at: At, values: &[Message]) -> Result<(), TrackingError> {
        let summary = values.iter().fold(Message::new(), |summary, value| summary.message(1, value));
        self.append(&event(at).message(5, &summary))
    }

    fn append(&mut self, event: &Message) -> Result<(), TrackingError> {
        if self.is_finished {
            return Err(TrackingError::Finished { path: self.path.clone() });
        }
        let record = record(event.as_bytes());
        if let Err(source) = self.file.write_all(&record) {
            // Readers stop at a torn record, so that nothing may follow one.
            let _ = self.file.set_len(self.length);
            return Err(TrackingError::io(&self.path, "append an event")(source));
        }
        self.length += record.len() as u64;
        Ok(())
    }
}

impl Tracker for TensorBoard {
    fn config(&mut self, config: &Map<String, Value>) -> Result<(), TrackingError> {
        let mut settings = Vec::new();
        flatten("", config, &mut settings);
        let now = At { time: clock::now(), ..At::default() };
        let values = [
            plugin_value("_hparams_/experiment", "hparams", &hparams(2, &experiment(&settings))),
            plugin_value("_hparams_/session_start_info", "hparams", &hparams(3, &session_start(&settings, now.time))),
        ];
        self.summary(now, &values)
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        let scalar =
            |(name, value): &(&str, f64)| Message::new().text(1, &dashboard_name(name)).float(2, *value as f32);
        let values: Vec<_> = values.iter().map(scalar).collect();
        self.summary(at, &values)
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        let shape = Message::new().message(2, &Message::new().integer(1, 1));
        let tensor = Message::new().integer(1, STRING_TENSOR).message(2, &shape).text(8, text);
        let value = plugin_value(&format!("{name}/text_summary"), "text", &Message::new()).message(8, &tensor);
        self.summary(at, &[value])
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        table.check(name)?;
        self.text(at, name, &markdown(table))
    }

    fn message(&mut self, at: At, text: &str) -> Result<(), TrackingError> {
        self.text(at, "messages", text)
    }

    fn finish(&mut self, exit_code: u8) -> Result<(), TrackingError> {
        let now = At { time: clock::now(), ..At::default() };
        // `Status.STATUS_SUCCESS` and `Status.STATUS_FAILURE`.
        let status = if exit_code == 0 { 1 } else { 2 };
        let end = Message::new().integer(1, status).double(2, now.time);
        self.summary(now, &[plugin_value("_hparams_/session_end_info", "hparams", &hparams(4, &end))])?;
        self.is_finished = true;
        self.file.sync_all().map_err(TrackingError::io(&self.path, "write the event file to the disk"))
    }
}

/// A new file whose name sorts behind those of all event files of the folder, for TensorBoard reads them in that order.
fn create_file(folder: &Path) -> Result<(PathBuf, File), TrackingError> {
    let after_latest = latest_second(folder)?.map_or(0, |second| second.saturating_add(1));
    let second = after_latest.max(clock::now() as u64);
    let stem = format!("{FILE_PREFIX}{second:010}.{}.{}", clock::host_name(), std::process::id());
    for number in 0_u32.. {
        let path = folder.join(format!("{stem}.{number}"));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => {
                return outcome.map_err(TrackingError::io(&path, "make the event file")).map(|file| (path, file));
            }
        }
    }
    Err(TrackingError::Format { path: folder.to_owned(), problem: "no name is left for an event file".into() })
}

fn latest_second(folder: &Path) -> Result<Option<u64>, TrackingError> {
    let entries = fs::read_dir(folder).map_err(TrackingError::io(folder, "list the event files"))?;
    let second = |name: &str| name.strip_prefix(FILE_PREFIX)?.split('.').next()?.parse().ok();
    Ok(entries.flatten().filter_map(|entry| second(entry.file_name().to_str()?)).max())
}

fn record(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(payload.len() + 16);
    record.extend(length);
    record.extend(masked_crc32c(&length).to_le_bytes());
    record.extend(payload);
    record.extend(masked_crc32c(payload).to_le_bytes());
    record
}

fn event(at: At) -> Message {
    Message::new().double(1, at.time).integer(2, at.step)
}

/// A summary value that belongs to a plugin.
fn plugin_value(tag: &str, plugin: &str, content: &Message) -> Message {
    let plugin_data = Message::new().text(1, plugin).message(2, content);
    Message::new().text(1, tag).message(9, &Message::new().message(1, &plugin_data))
}

/// `HParamsPluginData` with one of its parts.
fn hparams(part: u32, content: &Message) -> Message {
    Message::new().message(part, content)
}

/// `Experiment`: the columns of the hyper-parameter page.
fn experiment(settings: &[(String, Value)]) -> Message {
    let mut experiment = Message::new();
    for (name, value) in settings {
        // `DataType`: text, boolean, 64-bit float.
        let data_type = match value {
            Value::Bool(_) => 2,
            Value::Number(_) => 3,
            _ => 1,
        };
        experiment = experiment.message(4, &Message::new().text(1, name).integer(4, data_type));
    }
    for metric in COMPARED_METRICS {
        experiment = experiment.message(5, &Message::new().message(1, &Message::new().text(2, metric)));
    }
    experiment
}

/// `SessionStartInfo`: the settings of this run.
fn session_start(settings: &[(String, Value)], time: f64) -> Message {
    let mut start = Message::new();
    for (name, value) in settings {
        start = start.message(1, &Message::new().text(1, name).message(2, &struct_value(value)));
    }
    start.double(5, time)
}

/// `google.protobuf.Value` of a setting; what is neither number nor truth value is a text.
fn struct_value(value: &Value) -> Message {
    match value {
        Value::Number(number) => Message::new().double(2, number.as_f64().unwrap_or(f64::NAN)),
        Value::Bool(truth) => Message::new().integer(4, u64::from(*truth)),
        Value::String(text) => Message::new().text(3, text),
        other => Message::new().text(3, &other.to_string()),
    }
}

/// Settings inside settings get names with dots.
fn flatten(prefix: &str, config: &Map<String, Value>, settings: &mut Vec<(String, Value)>) {
    for (key, value) in config {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Object(inner) => flatten(&name, inner, settings),
            other => settings.push((name, other.clone())),
        }
    }
}

fn markdown(table: &Table) -> String {
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = row(table.columns.iter().map(|column| cell(column)).collect());
    text += &row(table.columns.iter().map(|_| "---".to_owned()).collect());
    for values in table.rows.iter().take(SHOWN_ROWS) {
        let shown = |value: &Value| value.as_str().map_or_else(|| cell(&value.to_string()), cell);
        text += &row(values.iter().map(shown).collect());
    }
    if table.rows.len() > SHOWN_ROWS {
        text += &format!("\n{SHOWN_ROWS} of {} rows\n", table.rows.len());
    }
    text
}

/// A text that stays inside its cell.
fn cell(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_LETTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.replace('|', "\\|").replace('\n', " ")
}
