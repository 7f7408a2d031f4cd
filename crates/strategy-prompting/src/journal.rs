//! The journal of a run: an append-only file of finished records that survives any kill.
//!
//! A folder holds `run.json` (what is run: settings, texts, model), `continuations.jsonl` (one finished record per line,
//! in the order of finishing), `failures.jsonl` (requests of the last run that could not be served) and `.lock`. A record
//! is one write of one whole line; a line that a kill tore is cut off at the next opening and made again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use llm_runtime::{ModelIdentity, output_file};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::digest;
use crate::error::Error;
use crate::instruction::StrategyText;
use crate::record::{CREATED_BY, ContinuationRecord, InstructionSource};
use crate::sweep::{SweepPlan, SweepSettings};

/// Name of the file of finished records.
pub const CONTINUATIONS: &str = "continuations.jsonl";
/// Name of the file of requests that could not be served.
pub const FAILURES: &str = "failures.jsonl";
/// Name of the manifest.
pub const MANIFEST: &str = "run.json";
const LOCK: &str = ".lock";

/// After so many records the file is also forced onto the disk; a kill of the process alone loses nothing anyway.
const RECORDS_PER_SYNC: usize = 32;

/// What a folder's run is: all that decides its records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Name and version of the program that began the run.
    pub created_by: String,
    /// Hex SHA-256 over all that follows but the model's name.
    pub plan_sha256: String,
    /// How many records a whole run has.
    pub items: usize,
    /// What was asked.
    pub settings: SweepSettings,
    /// The instruction template.
    pub instruction: InstructionSource,
    /// Name of the strategy set.
    pub strategy_set: String,
    /// The strategies, in their order.
    pub strategies: Vec<StrategyText>,
    /// Hex SHA-256 over the examples.
    pub data_sha256: String,
    /// The model.
    pub model: ModelIdentity,
}

impl RunManifest {
    /// The manifest of a plan that a model is to run.
    ///
    /// # Errors
    /// The settings can't be written as JSON.
    pub fn new(plan: &SweepPlan, model: &ModelIdentity) -> Result<Self, Error> {
        let mut manifest = Self {
            created_by: CREATED_BY.to_owned(),
            plan_sha256: String::new(),
            items: plan.len(),
            settings: plan.settings().clone(),
            instruction: plan.template().into(),
            strategy_set: plan.strategy_set().to_owned(),
            strategies: plan.strategies().to_vec(),
            data_sha256: plan.data_sha256().to_owned(),
            model: model.clone(),
        };
        let decisive = serde_json::to_vec(&manifest.decisive()?).map_err(Error::json("the manifest"))?;
        manifest.plan_sha256 = llm_runtime::hex(&digest("run-manifest", &[&decisive]));
        Ok(manifest)
    }

    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// The file can't be read or is no manifest.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).map_err(Error::io(&path))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::Format { path, problem: format!("not the manifest of a run: {error}") })
    }

    fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(self).map_err(Error::json("the manifest"))?;
        text.push(b'\n');
        output_file::write(&path, &text).map_err(Error::io(&path))
    }

    /// What must be equal for a run to be resumed. A model with a hash may have moved to another path.
    fn decisive(&self) -> Result<Value, Error> {
        let mut value = serde_json::to_value(self).map_err(Error::json("the manifest"))?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("created_by");
            fields.remove("plan_sha256");
        }
        if !self.model.sha256.is_empty()
            && let Some(model) = value.get_mut("model").and_then(Value::as_object_mut)
        {
            model.remove("name");
        }
        Ok(value)
    }

    /// Whether the run of a folder is a share of this one: it is the run that `share` says, which is the plan of its settings over the same data, and the method of both is the
    /// same, that is all but which examples are continued.
    ///
    /// # Errors
    /// It is not (the error lists the differences), or the folder holds no run.
    pub fn check_share(&self, share: &Self, folder: &Path) -> Result<(), Error> {
        share.check_same_run(&Self::read(folder)?, folder)?;
        let method = |manifest: &Self| -> Result<Value, Error> {
            let mut value = manifest.decisive()?;
            if let Some(fields) = value.as_object_mut() {
                fields.retain(|name, _| !["items", "data_sha256"].contains(&name.as_str()));
            }
            if let Some(settings) = value.get_mut("settings").and_then(Value::as_object_mut) {
                settings.retain(|name, _| !["shard", "limit", "turns"].contains(&name.as_str()));
            }
            Ok(value)
        };
        refuse_differences(&method(share)?, &method(self)?, folder)
    }

    fn check_same_run(&self, found: &Self, folder: &Path) -> Result<(), Error> {
        refuse_differences(&found.decisive()?, &self.decisive()?, folder)?;
        if found.created_by != self.created_by {
            tracing::warn!("{}: begun by {}, resumed by {}", folder.display(), found.created_by, self.created_by);
        }
        Ok(())
    }
}

/// What to do with a folder that holds a run already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExistingRun {
    /// It is an error.
    #[default]
    Refuse,
    /// Go on where it ended, if it is the same run.
    Resume,
}

/// A request that could not be served, one line of `failures.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The id its record would have had.
    pub id: String,
    /// The example's id.
    pub example: String,
    /// The strategy's label.
    pub strategy: String,
    /// The layout's name.
    pub layout: String,
    /// Why it failed.
    pub error: String,
}

/// An open run folder. While it is open no other process can open it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    finished: HashSet<String>,
    unsynced: usize,
    is_broken: bool,
    failures_path: PathBuf,
    failures: Option<File>,
    // Held for the lock on it.
    _lock: File,
}

impl Journal {
    /// Opens or begins the run of a folder. A torn last line is cut off with a logged notice; all complete lines stay.
    ///
    /// # Errors
    /// The folder can't be written, another process has it open, it holds a run and `existing` refuses that, it holds a
    /// different run (the error lists the differences), or a complete line is no record.
    pub fn open(folder: &Path, manifest: &RunManifest, existing: ExistingRun) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let lock = lock_folder(folder)?;
        let path = folder.join(CONTINUATIONS);
        settle_manifest(folder, &path, manifest, existing)?;
        let Finished { ids, length } = read_finished(&path)?;
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(Error::io(&path))?;
        cut_torn_line(&file, &path, length)?;
        let failures_path = folder.join(FAILURES);
        forget_failures(&failures_path)?;
        Ok(Self {
            path,
            file,
            length,
            finished: ids,
            unsynced: 0,
            is_broken: false,
            failures_path,
            failures: None,
            _lock: lock,
        })
    }

    /// The file of finished records.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many records are finished.
    pub fn len(&self) -> usize {
        self.finished.len()
    }

    /// Whether no record is finished.
    pub fn is_empty(&self) -> bool {
        self.finished.is_empty()
    }

    /// Whether the record of that id is finished.
    pub fn contains(&self, id: &str) -> bool {
        self.finished.contains(id)
    }

    /// Takes over the finished records of another folder that belong to `plan` and are not there yet, byte for byte. Whether that folder's run is a share of this one is for
    /// [`RunManifest::check_share`] to say. `bring` is told each id before, to fetch what belongs to the record. Gives their number. A torn last line is left out.
    ///
    /// # Errors
    /// A complete line is no record, `bring` fails, or as for [`Self::append`].
    pub fn take_over(
        &mut self,
        folder: &Path,
        plan: &SweepPlan,
        bring: &dyn Fn(&str) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let wanted = plan.items().map(|item| item.id()).collect::<Result<HashSet<_>, _>>()?;
        let before = self.len();
        each_record(&folder.join(CONTINUATIONS), |id, line| {
            if !wanted.contains(&id) || self.contains(&id) {
                return Ok(());
            }
            bring(&id)?;
            self.append_line(&id, line)
        })?;
        Ok(self.len() - before)
    }

    /// Appends a finished record: one write of one whole line.
    ///
    /// # Errors
    /// The record is there already, or it could not be written; then what the attempt left is cut off again, the
    /// records before it stay, and the journal takes no more.
    pub fn append(&mut self, record: &ContinuationRecord) -> Result<(), Error> {
        if self.finished.contains(&record.id) {
            return Err(Error::Contract(format!("the record {} was finished twice", record.id)));
        }
        let mut line = serde_json::to_vec(record).map_err(Error::json("a continuation record"))?;
        line.push(b'\n');
        self.append_line(&record.id, &line)
    }

    fn append_line(&mut self, id: &str, line: &[u8]) -> Result<(), Error> {
        if self.is_broken {
            return Err(self.failed(io::Error::other("an earlier record could not be written")));
        }
        if let Err(source) = self.file.write_all(line) {
            self.is_broken = true;
            // Opening cuts a torn line off as well, should this fail too.
            let _ = self.file.set_len(self.length);
            return Err(self.failed(source));
        }
        self.length += line.len() as u64;
        self.finished.insert(id.to_owned());
        self.unsynced += 1;
        if self.unsynced >= RECORDS_PER_SYNC { self.sync() } else { Ok(()) }
    }

    /// Notes a request that could not be served. It is not finished: a resumed run tries it again.
    ///
    /// # Errors
    /// The failure could not be written.
    pub fn append_failure(&mut self, failure: &FailureRecord) -> Result<(), Error> {
        let mut line = serde_json::to_vec(failure).map_err(Error::json("a failure"))?;
        line.push(b'\n');
        let path = &self.failures_path;
        let file = match &mut self.failures {
            Some(file) => file,
            empty => empty.insert(File::create(path).map_err(Error::io(path))?),
        };
        file.write_all(&line).map_err(Error::io(path))
    }

    /// Forces all records onto the disk.
    ///
    /// # Errors
    /// The system could not write them; then the journal takes no more.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.unsynced = 0;
        self.file.sync_data().map_err(|source| {
            self.is_broken = true;
            self.failed(source)
        })
    }

    /// Forces all records onto the disk and closes the folder.
    ///
    /// # Errors
    /// As for [`Self::sync`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.sync()
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Journal { path: self.path.clone(), kept: self.finished.len(), source }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if self.unsynced > 0
            && let Err(error) = self.file.sync_data()
        {
            tracing::error!("{}: {error}", self.path.display());
        }
    }
}

fn lock_folder(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { folder: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
    }
}

fn settle_manifest(folder: &Path, journal: &Path, manifest: &RunManifest, existing: ExistingRun) -> Result<(), Error> {
    let has_manifest = folder.join(MANIFEST).exists();
    if !has_manifest && journal.exists() {
        return Err(Error::Format {
            path: journal.to_owned(),
            problem: format!(
                "the folder holds records but no {MANIFEST}; choose another folder, or put {MANIFEST} back"
            ),
        });
    }
    if !has_manifest {
        return manifest.write(folder);
    }
    if existing == ExistingRun::Refuse {
        return Err(Error::AlreadyStarted { folder: folder.to_owned() });
    }
    manifest.check_same_run(&RunManifest::read(folder)?, folder)
}

/// What a journal holds: ids, and the length of its complete lines.
struct Finished {
    ids: HashSet<String>,
    length: u64,
}

#[derive(Deserialize)]
struct RecordId {
    id: String,
}

fn read_finished(path: &Path) -> Result<Finished, Error> {
    let mut ids = HashSet::new();
    let length = each_record(path, |id, _| {
        ids.insert(id);
        Ok(())
    })?;
    Ok(Finished { ids, length })
}

/// Shows the id and the line of each record of a journal, if there is one; gives the length of its complete lines.
fn each_record(path: &Path, mut show: impl FnMut(String, &[u8]) -> Result<(), Error>) -> Result<u64, Error> {
    let mut length = 0;
    if !path.exists() {
        return Ok(length);
    }
    if !path.is_file() {
        return Err(Error::Format {
            path: path.to_owned(),
            problem: "not a regular file; choose another folder".into(),
        });
    }
    let mut lines = BufReader::new(File::open(path).map_err(Error::io(path))?);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).map_err(Error::io(path))?;
        if line.last() != Some(&b'\n') {
            break;
        }
        length += read as u64;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let id = id_of(&line).map_err(|problem| Error::Line {
            path: path.to_owned(),
            line: number,
            problem: format!("not a continuation record ({problem}); delete the line to have its record made again"),
        })?;
        show(id, &line)?;
    }
    Ok(length)
}

/// The id of a record's line. Texts of other fields are not read by that, so that bytes that are none would stay unnoticed.
fn id_of(line: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(line).map_err(|_| "not UTF-8 text")?;
    let RecordId { id } = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(id)
}

fn cut_torn_line(file: &File, path: &Path, complete: u64) -> Result<(), Error> {
    let length = file.metadata().map_err(Error::io(path))?.len();
    if length == complete {
        return Ok(());
    }
    tracing::warn!("{}: cut off an unfinished last line of {} bytes", path.display(), length - complete);
    file.set_len(complete).map_err(Error::io(path))
}

fn forget_failures(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Io { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}

fn refuse_differences(found: &Value, now: &Value, folder: &Path) -> Result<(), Error> {
    let mut differences = Vec::new();
    collect_differences("", found, now, &mut differences);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::DifferentRun { manifest: folder.join(MANIFEST), differences: differences.join("\n  ") })
}

/// One line per leaf in which two JSON values differ.
fn collect_differences(field: &str, found: &Value, now: &Value, differences: &mut Vec<String>) {
    match (found, now) {
        (Value::Object(left), Value::Object(right)) => {
            let only_right = right.keys().filter(|key| !left.contains_key(*key));
            for key in left.keys().chain(only_right) {
                let inner = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
                let get = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                collect_differences(&inner, &get(left), &get(right), differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                collect_differences(&format!("{field}[{index}]"), left, right, differences);
            }
        }
        _ if found != now => {
            differences.push(format!("{field}: {} in the folder, {} now", shown(found), shown(now)));
        }
        _ => {}
    }
}

fn shown(value: &Value) -> String {
    const LONGEST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
