//! Offline run folders that `wandb sync` uploads.
//!
//! The file `run-ID.wandb` is a LevelDB log of protocol buffer records: header, run, history, files, summary, exit. Records are
//! written at once, so that a run that was killed can be uploaded up to there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use llm_runtime::seeded_stream;
use rand::RngExt;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::checksum::crc32;
use super::protobuf::Message;
use super::{At, Table, Tracker, TrackingError, host_name};

/// Bytes of a block of the log, counted from the start of the file.
const BLOCK: usize = 32 << 10;
/// Bytes of a chunk's head: checksum, length, type.
const HEAD: usize = 7;

/// Fields of the message `Record`.
mod field {
    pub(super) const NUMBER: u32 = 1;
    pub(super) const HISTORY: u32 = 2;
    pub(super) const SUMMARY: u32 = 3;
    pub(super) const FILES: u32 = 6;
    pub(super) const RUN: u32 = 17;
    pub(super) const EXIT: u32 = 18;
    pub(super) const HEADER: u32 = 21;
    pub(super) const INFO: u32 = 200;
}

/// Writes one offline run folder.
pub struct WandbOffline {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    id: String,
    project: String,
    name: String,
    /// Bytes written so far: blocks are counted from the start of the file.
    written: usize,
    records: u64,
    /// Number of history rows.
    rows: u64,
    start: f64,
    summary: BTreeMap<String, Value>,
}

impl WandbOffline {
    /// Begins a folder `offline-run-DATE_TIME-ID` in `parent`. A resumed run gets a folder and an id of its own: one upload does not touch
    /// another's history.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn open(parent: &Path, project: &str, name: &str, at: At) -> Result<Self, TrackingError> {
        let id = run_id(at, name);
        let folder = parent.join(format!("offline-run-{}-{id}", compact_utc(at.time)));
        fs::create_dir_all(folder.join("files")).map_err(TrackingError::of(&folder))?;
        let path = folder.join(format!("run-{id}.wandb"));
        let mut file = File::create_new(&path).map_err(TrackingError::of(&path))?;
        let head = [b':', b'W', b'&', b'B', 0xe1, 0xbe, 0];
        file.write_all(&head).map_err(TrackingError::of(&path))?;
        let (project, name) = (project.to_owned(), name.to_owned());
        let (written, records, rows, start) = (head.len(), 0, 0, at.time);
        let summary = BTreeMap::new();
        let mut own = Self { folder, path, file, id, project, name, written, records, rows, start, summary };
        let version = Message::new().text(1, concat!("solace ", env!("CARGO_PKG_VERSION"))).text(2, "0.70.0");
        own.record(field::HEADER, Message::new().message(1, version))?;
        Ok(own)
    }

    /// The folder to upload: `wandb sync FOLDER`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn record(&mut self, kind: u32, body: Message) -> Result<(), TrackingError> {
        self.records += 1;
        let info = Message::new().text(1, &self.id);
        let record = Message::new().number(field::NUMBER, self.records).message(kind, body).message(field::INFO, info);
        let framed = framed(&record.into_bytes(), self.written);
        self.file.write_all(&framed).map_err(TrackingError::of(&self.path))?;
        self.written += framed.len();
        Ok(())
    }

    /// A row of the history; its values are the summary until others come.
    fn history(&mut self, at: At, values: Vec<(String, Value)>) -> Result<(), TrackingError> {
        let own = [
            ("_step".to_owned(), json!(self.rows)),
            ("_timestamp".to_owned(), json!(at.time)),
            ("_runtime".to_owned(), json!(at.time - self.start)),
            ("train/global_step".to_owned(), json!(at.step)),
        ];
        let mut row = Message::new();
        for (key, value) in own.into_iter().chain(values) {
            row = row.message(1, item(&key, &value));
            self.summary.insert(key, value);
        }
        let row = row.message(2, Message::new().number(1, self.rows));
        self.rows += 1;
        self.record(field::HISTORY, row)
    }
}

/// A key with a JSON value.
fn item(key: &str, value: &Value) -> Message {
    Message::new().text(1, key).text(16, &value.to_string())
}

/// Names as the web pages group them: `train/…` unless a set is named.
fn mapped(name: &str) -> String {
    match name.strip_prefix("eval_") {
        Some(rest) => format!("eval/{rest}"),
        None if name.contains('/') => name.to_owned(),
        None => format!("train/{name}"),
    }
}

impl Tracker for WandbOffline {
    fn config(&mut self, at: At, config: &Map<String, Value>) -> Result<(), TrackingError> {
        let entries = config.iter().fold(Message::new(), |entries, (key, value)| entries.message(1, item(key, value)));
        let nanoseconds = (at.time.fract() * 1e9) as u64;
        let start = Message::new().number(1, at.time as u64).number(2, nanoseconds);
        let run = Message::new()
            .text(1, &self.id)
            .text(3, &self.project)
            .message(4, entries)
            .text(8, &self.name)
            .text(13, &host_name())
            .message(17, start);
        self.record(field::RUN, run)
    }

    fn scalars(&mut self, at: At, values: &[(&str, f64)]) -> Result<(), TrackingError> {
        // JSON knows no infinity; the service takes these texts for it.
        let number = |value: f64| match value {
            _ if value.is_finite() => json!(value),
            _ if value.is_nan() => json!("NaN"),
            _ if value > 0.0 => json!("Infinity"),
            _ => json!("-Infinity"),
        };
        let mut row: Vec<(String, Value)> = values.iter().map(|(name, value)| (mapped(name), number(*value))).collect();
        row.push(("train/epoch".into(), json!(at.epoch)));
        self.history(at, row)
    }

    fn text(&mut self, at: At, name: &str, text: &str) -> Result<(), TrackingError> {
        self.history(at, vec![(mapped(name), json!(text))])
    }

    fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrackingError> {
        let contents = json!({"columns": table.columns, "data": table.rows}).to_string();
        let digest = hex(&Sha256::digest(&contents));
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let inside = format!("media/table/{plain}_{}_{}.table.json", self.rows, &digest[..20]);
        let path = self.folder.join("files").join(&inside);
        let parent = self.folder.join("files/media/table");
        fs::create_dir_all(&parent).map_err(TrackingError::of(&parent))?;
        fs::write(&path, &contents).map_err(TrackingError::of(&path))?;
        self.record(field::FILES, Message::new().message(1, Message::new().text(1, &inside).number(3, 2)))?;
        let entry = json!({
            "_type": "table-file",
            "path": inside,
            "sha256": digest,
            "size": contents.len(),
            "ncols": table.columns.len(),
            "nrows": table.rows.len(),
        });
        self.history(at, vec![(mapped(name), entry)])
    }

    fn finish(&mut self, _at: At, exit_code: u8) -> Result<(), TrackingError> {
        let summary = std::mem::take(&mut self.summary);
        let summary = summary.iter().fold(Message::new(), |all, (key, value)| all.message(1, item(key, value)));
        self.record(field::SUMMARY, summary)?;
        let exit = if exit_code == 0 { Message::new() } else { Message::new().number(1, exit_code.into()) };
        self.record(field::EXIT, exit)?;
        self.file.sync_all().map_err(TrackingError::of(&self.path))
    }
}

/// A record in chunks that do not cross blocks; `written` bytes stand before it in the file.
fn framed(record: &[u8], written: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = record;
    let mut is_first = true;
    loop {
        let left = BLOCK - (written + out.len()) % BLOCK;
        if left < HEAD {
            out.resize(out.len() + left, 0);
            continue;
        }
        let (chunk, after) = rest.split_at(rest.len().min(left - HEAD));
        let kind: u8 = match (is_first, after.is_empty()) {
            (true, true) => 1,
            (true, false) => 2,
            (false, false) => 3,
            (false, true) => 4,
        };
        out.extend(crc32(&[&[kind], chunk]).to_le_bytes());
        out.extend((chunk.len() as u16).to_le_bytes());
        out.push(kind);
        out.extend(chunk);
        (rest, is_first) = (after, false);
        if rest.is_empty() {
            return out;
        }
    }
}

/// Eight lower-case letters and digits, drawn from time, process and name.
fn run_id(at: At, name: &str) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut generator = seeded_stream(at.time.to_bits(), &format!("{name}/{}", std::process::id()));
    (0..8).map(|_| char::from(LETTERS[generator.random_range(0..LETTERS.len())])).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `YYYYMMDD_HHMMSS` of a Unix time, UTC.
fn compact_utc(time: f64) -> String {
    let seconds = time.max(0.0) as u64;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March put the leap day last; 719,468 days lie between 0000-03-01 and 1970-01-01.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(compact_utc(0.0), "19700101_000000");
        assert_eq!(compact_utc(951_827_696.0), "20000229_123456");
        assert_eq!(compact_utc(1_795_225_599.9), "20261121_014639");
    }

    /// Reads a log back the way LevelDB does.
    fn unframed(log: &[u8], before: usize) -> Vec<Vec<u8>> {
        let (mut at, mut records, mut open) = (0, Vec::new(), Vec::new());
        while at < log.len() {
            let left = BLOCK - (before + at) % BLOCK;
            if left < HEAD {
                assert!(log[at..at + left].iter().all(|byte| *byte == 0));
                at += left;
                continue;
            }
            let length = usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
            assert!(HEAD + length <= left, "a chunk crosses a block");
            let (kind, data) = (log[at + 6], &log[at + HEAD..at + HEAD + length]);
            assert_eq!(log[at..at + 4], crc32(&[&[kind], data]).to_le_bytes());
            assert_eq!(open.is_empty(), kind == 1 || kind == 2 || length == 0 && open.is_empty());
            open.extend(data);
            if kind == 1 || kind == 4 {
                records.push(std::mem::take(&mut open));
            }
            at += HEAD + length;
        }
        records
    }

    #[test]
    fn records_are_cut_at_blocks() {
        let mut log = vec![0; HEAD];
        let mut expected = Vec::new();
        // The first record leaves 3 bytes of its block, the next ones span several.
        for length in [BLOCK - 2 * HEAD - 3, 10, 100_000, BLOCK - HEAD, 0, 5] {
            let record: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let framed = framed(&record, log.len());
            log.extend(framed);
            expected.push(record);
        }
        assert_eq!(unframed(&log[HEAD..], HEAD), expected);
    }
}
