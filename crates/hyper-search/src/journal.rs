//! The append-only file that the processes of a study share.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::SearchError;
use crate::record::Line;

/// The journal's name in the folder of its study.
pub(crate) const FILE: &str = "journal.jsonl";
/// Whoever appends holds a lock on this file; the system releases it if the process ends in any way.
const LOCK: &str = "journal.lock";

/// A journal, and how far this process has read it.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    lock_path: PathBuf,
    lock: File,
    /// Where the first line begins that was not read yet.
    offset: u64,
    /// How many lines were read.
    lines: u64,
}

impl Journal {
    /// Opens the journal of a study, or begins an empty one. What a killed process has left of a line is cut off.
    ///
    /// # Errors
    ///
    /// If the folder can't be written.
    pub(crate) fn open(folder: &Path) -> Result<Self, SearchError> {
        fs::create_dir_all(folder).map_err(SearchError::io(folder))?;
        let (path, lock_path) = (folder.join(FILE), folder.join(LOCK));
        let file = options().append(true).open(&path).map_err(SearchError::io(&path))?;
        let lock = options().append(true).open(&lock_path).map_err(SearchError::io(&lock_path))?;
        let journal = Self { path, file, lock_path, lock, offset: 0, lines: 0 };
        journal.locked(|journal| journal.cut_torn_line().map(drop))?;
        Ok(journal)
    }

    /// Appends lines, all of them or none, and forces them onto the disk.
    ///
    /// # Errors
    ///
    /// If they could not be written.
    pub(crate) fn append(&self, lines: &[Line]) -> Result<(), SearchError> {
        let mut bytes = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut bytes, line)
                .map_err(|error| SearchError::Search(format!("a record of the journal: {error}")))?;
            bytes.push(b'\n');
        }
        self.locked(|journal| {
            let length = journal.cut_torn_line()?;
            let mut file = &journal.file;
            let written = file.write_all(&bytes).and_then(|()| file.sync_data());
            if written.is_err() {
                // The next who appends cuts a torn line off as well, should this fail too.
                let _ = file.set_len(length);
            }
            written.map_err(SearchError::io(&journal.path))
        })
    }

    /// The complete lines that were not read yet, with their numbers.
    ///
    /// # Errors
    ///
    /// If the file can't be read, or a complete line is no record.
    pub(crate) fn read(&mut self) -> Result<Vec<(u64, Line)>, SearchError> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.offset))
            .and_then(|_| file.read_to_end(&mut bytes))
            .map_err(SearchError::io(&self.path))?;
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let mut lines = Vec::new();
        for line in bytes.get(..complete).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            let number = self.lines + 1;
            let record = serde_json::from_slice(line).map_err(|error| {
                let advice = "it was changed from outside, or a newer program has written it";
                SearchError::format(&self.path, number, format!("not a record of a study ({error}); {advice}"))
            })?;
            lines.push((number, record));
            self.lines = number;
            self.offset += line.len() as u64;
        }
        Ok(lines)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn locked<T>(&self, act: impl FnOnce(&Self) -> Result<T, SearchError>) -> Result<T, SearchError> {
        self.lock.lock().map_err(SearchError::io(&self.lock_path))?;
        let acted = act(self);
        self.lock.unlock().map_err(SearchError::io(&self.lock_path))?;
        acted
    }

    /// Cuts off what follows the last line's end; under the lock no one is about to write the rest. The answer is the file's length.
    fn cut_torn_line(&self) -> Result<u64, SearchError> {
        let complete = self.complete_length().map_err(SearchError::io(&self.path))?;
        let length = self.file.metadata().map_err(SearchError::io(&self.path))?.len();
        if complete < length {
            self.file.set_len(complete).map_err(SearchError::io(&self.path))?;
        }
        Ok(complete)
    }

    /// Where the last line ends, sought from the file's end.
    fn complete_length(&self) -> std::io::Result<u64> {
        const BLOCK: u64 = 4096;
        let mut file = &self.file;
        let mut end = file.metadata()?.len();
        while end > 0 {
            let begin = end.saturating_sub(BLOCK);
            let mut block = Vec::new();
            file.seek(SeekFrom::Start(begin))?;
            file.take(end - begin).read_to_end(&mut block)?;
            if let Some(place) = block.iter().rposition(|byte| *byte == b'\n') {
                return Ok(begin + place as u64 + 1);
            }
            end = begin;
        }
        Ok(0)
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).read(true);
    options
}
