//! A run folder as the W&B client leaves it when it works offline: `offline-run-YYYYMMDD_HHMMSS-ID/` with
//! `run-ID.wandb` and `files/`. `wandb sync FOLDER` uploads it.
//!
//! `run-ID.wandb` is a log ([`super::wandb_log`]) of `Record` messages; field numbers are those of the client's
//! `wandb_internal.proto`. Rows of the history are numbered by `_step`; W&B takes each number once and in order, and a
//! training and an evaluation record may share a step, so `_step` counts rows and `train/global_step` is the x axis.
//!
//! A run that goes on does so in the same file, cut back to the checkpoint. A second folder with the same run id would
//! not do: the client uploads each file from line 0 of the run's history, over what the first file had put there.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use llm_runtime::sha256_of;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::protobuf::{Field, Message, bytes_of, fields};
use super::wandb_log::{RecordLog, StoredRecord, read_records};
use super::{At, Start, Table, Tracker, TrackingError, clock, dashboard_name};

/// W&B shows no more rows of a table; the table file holds the first so many. The event log has all.
pub const MOST_TABLE_ROWS: usize = 10_000;

const FOLDER_PREFIX: &str = "offline-run-";
const GLOBAL_STEP: &str = "train/global_step";
const EPOCH: &str = "train/epoch";
/// The oldest client that can read the records.
const OLDEST_CLIENT: &str = "0.70.0";
const ID_LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ID_LENGTH: usize = 8;
/// Hex digits of a table's SHA-256 in its file name.
const HASH_DIGITS: usize = 20;

/// Field numbers of `Record`.
mod record {
    pub(super) const NUMBER: u32 = 1;
    pub(super) const HISTORY: u32 = 2;
    pub(super) const SUMMARY: u32 = 3;
    pub(super) const CONFIG: u32 = 5;
    pub(super) const FILES: u32 = 6;
    pub(super) const METRIC: u32 = 12;
    pub(super) const RUN: u32 = 17;
    pub(super) const EXIT: u32 = 18;
    pub(super) const HEADER: u32 = 21;
    pub(super) const INFO: u32 = 200;
}

/// Under which names W&B shows a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WandbRun {
    /// The project.
    pub project: String,
    /// The run's name.
    pub name: String,
}

/// An open run folder for W&B. Scalars are named as [`dashboard_name`] says; each row of the history also has
/// `train/global_step` and `train/epoch`. Texts and tables keep their names. Messages are not recorded.
///
/// The summary is kept up to date with each row, so that the folder of a run that was killed can be uploaded as well;
/// W&B shows such a run as failed.
#[derive(Debug)]
pub struct WandbOffline {
    folder: PathBuf,
    log: RecordLog,
    id: String,
    /// Records in the log.
    records: u64,
    /// Rows of the history.
    rows: u64,
    started: f64,
    known_names: Vec<String>,
    is_finished: bool,
}

impl WandbOffline {
    /// Begins a run folder in `folder`, or goes on in the newest one that it holds: rows of later steps, an ending and
    /// a torn record are cut off, and if the folder had been uploaded, its mark is removed, so that `wandb sync` takes
    /// it again. Without a usable folder a run that goes on gets a new one.
    ///
    /// # Errors
    /// The folder can't be read or written, or the run's log is none.
    pub fn open(folder: &Path, run: &WandbRun, start: Start) -> Result<Self, TrackingError> {
        if let Start::AfterStep(step) = start
            && let Some(resumed) = Self::resume(folder, step)?
        {
            return Ok(resumed);
        }
        Self::create(folder, run)
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The run's id: eight lower-case letters and digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    fn create(parent: &Path, run: &WandbRun) -> Result<Self, TrackingError> {
        let started = clock::now();
        let id = new_id(parent, started);
        let folder = parent.join(format!("{FOLDER_PREFIX}{}-{id}", clock::compact_utc(started as u64)));
        let files = folder.join("files");
        fs::create_dir_all(&files).map_err(TrackingError::io(&files, "make the run's folder"))?;
        let log = RecordLog::create(&folder.join(format!("run-{id}.wandb")))?;
        let mut opened =
            Self { folder, log, id, records: 0, rows: 0, started, known_names: Vec::new(), is_finished: false };
        opened.append(record::HEADER, &header())?;
        opened.append(record::RUN, &run_record(&opened.id, run, started))?;
        Ok(opened)
    }

    fn resume(parent: &Path, step: u64) -> Result<Option<Self>, TrackingError> {
        let Some(folder) = newest_run(parent)? else { return Ok(None) };
        let Some(id) = run_id(&folder) else { return Ok(None) };
        let path = folder.join(format!("run-{id}.wandb"));
        if !path.exists() {
            return Ok(None);
        }
        let mut stored = read_records(&path)?;
        let valid = stored.iter().position(|stored| is_outdated(&stored.payload, step));
        stored.truncate(valid.unwrap_or(stored.len()));
        let (Some(started), Some(last)) = (stored.iter().find_map(start_time), stored.last()) else { return Ok(None) };
        remove_if_there(&path.with_extension("wandb.synced"))?;
        Ok(Some(Self {
            log: RecordLog::reopen(&path, last.end)?,
            id,
            records: stored.len() as u64,
            rows: stored.iter().filter(|stored| !bytes_of(&stored.payload, record::HISTORY.into()).is_empty()).count()
                as u64,
            started,
            known_names: Vec::new(),
            is_finished: false,
            folder,
        }))
    }

    /// Appends a record of that kind.
    fn append(&mut self, kind: u32, content: &Message) -> Result<(), TrackingError> {
        if self.is_finished {
            return Err(TrackingError::Finished { path: self.log.path().to_owned() });
        }
        let info = Message::new().text(1, &self.id);
        let record = Message::new()
            .integer(record::NUMBER, self.records + 1)
            .message(kind, content)
            .message(record::INFO, &info);
        self.log.append(record.as_bytes())?;
        self.records += 1;
        Ok(())
    }

    /// Adds a row to the history and its values to the summary.
    fn add_row(&mut self, at: At, values: &[(String, String)]) -> Result<(), TrackingError> {
        for (name, _) in values {
            self.define(name)?;
        }
        let mut items = values.to_vec();
        let mut add = |name: &str, value: String| {
            if !items.iter().any(|(known, _)| known == name) {
                items.push((name.to_owned(), value));
            }
        };
        add(GLOBAL_STEP, at.step.to_string());
        add(EPOCH, json_number(at.epoch));
        add("_step", self.rows.to_string());
        add("_timestamp", json_number(at.time));
        add("_runtime", json_number((at.time - self.started).max(0.0)));
        let step = Message::new().integer(1, self.rows);
        self.append(record::HISTORY, &entries(&items).message(2, &step))?;
        self.rows += 1;
        self.append(record::SUMMARY, &entries(&items))
    }

    /// Tells W&B, before a name's first value, to draw it over the steps of training.
    fn define(&mut self, name: &str) -> Result<(), TrackingError> {
        if self.known_names.iter().any(|known| known == name) {
            return Ok(());
        }
        // `MetricOptions`: the x axis goes with the value, and this was asked for.
        let options = Message::new().integer(1, 1).integer(3, 1);
        self.append(record::METRIC, &Message::new().text(1, name).text(4, GLOBAL_STEP).message(6, &options))?;
        self.known_names.push(name.to_owned());
        Ok(())
    }

    /// Writes the file of a table; its path is relative to `files`.
    fn write_table(&self, name: &str, content: &[u8], sha256: &str) -> Result<String, TrackingError> {
        let fit = |letter: char| if letter.is_ascii_alphanumeric() || "-_".contains(letter) { letter } else { '_' };
        let name: String = name.chars().map(fit).collect();
        let relative = format!("media/table/{name}_{}_{}.table.json", self.rows, &sha256[..HASH_DIGITS]);
        let path = self.folder.join("files").join(&relative);
        let folder = self.folder.join("files/media/table");
        fs::create_dir_all(&folder).map_err(TrackingError::io(&folder, "make the folder of tables"))?;
        let mut file = File::create(&path).map_err(TrackingError::io(&path, "make the table's file"))?;
        file.write_all(content).map_err(TrackingError::io(&path, "write the table"))?;
        Ok(relative)
    }
}

impl Tracker for WandbOffline {
    fn config(&mut self, config: &Map<String, Value>) -> Result<(), TrackingError> {
        let items: Vec<_> = config.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
        self.append(record::CONFIG, &entries(&items))
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        let values: Vec<_> = values.iter().map(|(name, value)| (dashboard_name(name), json_number(*value))).collect();
        self.add_row(at, &values)
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        self.add_row(at, &[(name.to_owned(), Value::from(text).to_string())])
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        table.check(name)?;
        let rows = &table.rows[..table.rows.len().min(MOST_TABLE_ROWS)];
        let content = json!({"columns": table.columns, "data": rows}).to_string();
        let sha256 = sha256_of(&content);
        let path = self.write_table(name, content.as_bytes(), &sha256)?;
        // `FilesItem` with the type of media files.
        let file = Message::new().text(1, &path).integer(3, 2);
        self.append(record::FILES, &Message::new().message(1, &file))?;
        let value = json!({
            "_type": "table-file", "path": path, "sha256": sha256, "size": content.len(),
            "ncols": table.columns.len(), "nrows": rows.len(),
        });
        self.add_row(at, &[(name.to_owned(), value.to_string())])
    }

    fn message(&mut self, _at: At, _text: &str) -> Result<(), TrackingError> {
        Ok(())
    }

    fn finish(&mut self, exit_code: u8) -> Result<(), TrackingError> {
        let runtime = json!({"runtime": (clock::now() - self.started).max(0.0) as u64});
        self.append(record::SUMMARY, &entries(&[("_wandb".to_owned(), runtime.to_string())]))?;
        let exit = if exit_code == 0 { Message::new() } else { Message::new().integer(1, exit_code.into()) };
        self.append(record::EXIT, &exit)?;
        self.is_finished = true;
        self.log.sync()
    }
}

fn header() -> Message {
    let producer = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));
    Message::new().message(1, &Message::new().text(1, producer).text(2, OLDEST_CLIENT))
}

fn run_record(id: &str, run: &WandbRun, started: f64) -> Message {
    let nanoseconds = (started.fract() * 1e9) as u64;
    let started = Message::new().integer(1, started as u64).integer(2, nanoseconds);
    let named = Message::new().text(1, id).text(3, &run.project).text(8, &run.name);
    named.text(13, &clock::host_name()).message(17, &started)
}

/// Keys and values as history, summary and configuration hold them.
fn entries(items: &[(String, String)]) -> Message {
    items
        .iter()
        .fold(Message::new(), |entries, (key, value)| entries.message(1, &Message::new().text(1, key).text(16, value)))
}

/// A number as W&B's JSON has it, which knows NaN and the infinities.
fn json_number(value: f64) -> String {
    match value {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ if value.is_nan() => "NaN".to_owned(),
        _ => Value::from(value).to_string(),
    }
}

/// The newest run folder, by its name, which begins with the date.
fn newest_run(parent: &Path) -> Result<Option<PathBuf>, TrackingError> {
    if !parent.exists() {
        return Ok(None);
    }
    let entries = fs::read_dir(parent).map_err(TrackingError::io(parent, "list the run folders"))?;
    Ok(entries.flatten().map(|entry| entry.path()).filter(|path| run_id(path).is_some()).max())
}

fn run_id(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?.strip_prefix(FOLDER_PREFIX)?;
    name.split_once('-').map(|(_, id)| id.to_owned())
}

/// Whether from this record on nothing counts for a run that goes on after `step`.
fn is_outdated(payload: &[u8], step: u64) -> bool {
    let is_exit = !bytes_of(payload, record::EXIT.into()).is_empty();
    is_exit || bytes_of(payload, record::HISTORY.into()).iter().any(|row| global_step(row) > Some(step))
}

fn global_step(row: &[u8]) -> Option<u64> {
    let is_step = |item: &&[u8]| bytes_of(item, 1) == [GLOBAL_STEP.as_bytes()];
    let item = bytes_of(row, 1).into_iter().find(is_step)?;
    let value = bytes_of(item, 16).into_iter().next()?;
    str::from_utf8(value).ok()?.parse().ok()
}

/// When the run began, if the record says so.
fn start_time(stored: &StoredRecord) -> Option<f64> {
    let run = bytes_of(&stored.payload, record::RUN.into()).into_iter().next()?;
    let time = bytes_of(run, 17).into_iter().next()?;
    let number_of = |(found, field), wanted| match field {
        Field::Integer(value) if found == wanted => Some(value as f64),
        _ => None,
    };
    let parts = fields(time)?;
    let part = |wanted| parts.iter().find_map(|part| number_of(*part, wanted)).unwrap_or_default();
    Some(part(1) + part(2) * 1e-9)
}

/// An id that no other run has: letters from a hash of place, time and process.
fn new_id(parent: &Path, time: f64) -> String {
    let source = format!("{}|{time}|{}|{}", parent.display(), std::process::id(), clock::host_name());
    let letter = |byte: &u8| char::from(ID_LETTERS[usize::from(*byte) % ID_LETTERS.len()]);
    Sha256::digest(source.as_bytes()).iter().take(ID_LENGTH).map(letter).collect()
}

fn remove_if_there(path: &Path) -> Result<(), TrackingError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(TrackingError::io(path, "remove the mark of an upload")(source))
        }
        _ => Ok(()),
    }
}
