//! Files that grow by whole rows: one JSON line each, appended as soon as it is known, so that a long job resumes.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use llm_runtime::{input_file, is_torn_row};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// What a row is about and who made it; rows of different makers are not mixed in one file.
pub struct RowKind<R> {
    /// What a row is called in errors, e.g. `row of sra adherence`.
    pub name: &'static str,
    /// How each begins as JSON: its first field, e.g. `{"id":`. Only what begins so is cut off as torn.
    pub beginning: &'static str,
    /// What it is about; unique in a file.
    pub id: fn(&R) -> String,
    /// Who made it: a model's hash or name, and whatever else decides the row.
    pub made_by: fn(&R) -> &str,
}

impl<R> Clone for RowKind<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for RowKind<R> {}

/// Reads the rows of a file. A last line that a kill tore is left out.
///
/// # Errors
/// The file can't be read, or a line is no row.
pub fn read_rows<R: DeserializeOwned>(path: &Path, kind: RowKind<R>) -> Result<Vec<R>, Error> {
    let text = input_file::read(path).map_err(Error::io(path))?;
    rows_of(path, &text[..whole_lines(&text)], kind)
}

/// Where the last whole line ends.
fn whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
}

fn rows_of<R: DeserializeOwned>(path: &Path, text: &[u8], kind: RowKind<R>) -> Result<Vec<R>, Error> {
    let lines = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| Error::Line {
                path: path.to_owned(),
                line: number + 1,
                problem: format!("not a {}: {error}", kind.name),
            })
        })
        .collect()
}

/// A file of rows that grows.
pub struct RowFile<R> {
    path: PathBuf,
    file: File,
    /// What an attempt has left could not be cut off.
    is_torn: bool,
    kind: RowKind<R>,
    rows: Vec<R>,
    ids: HashSet<String>,
}

impl<R: Serialize + DeserializeOwned> RowFile<R> {
    /// Opens a new or empty file, or, to resume, one that the same maker has begun, and keeps other processes from appending to it. A torn last line is cut off.
    ///
    /// # Errors
    /// The file exists and `resume` is not set, another process appends to it, it holds rows of another maker, or it can't be read or written.
    pub fn open(path: &Path, resume: bool, made_by: &str, kind: RowKind<R>) -> Result<Self, Error> {
        let exists = path.exists();
        // A call that failed before its first row leaves an empty one: nothing is lost in it.
        if exists && !resume && std::fs::metadata(path).is_ok_and(|file| !file.is_file() || file.len() > 0) {
            let problem = "the file exists already: resume it, or choose another".to_owned();
            return Err(Error::Format { path: path.to_owned(), problem });
        }
        if exists && !path.is_file() {
            // A folder can't be written, a pipe would be waited for, and rows in a device are gone.
            let problem = "it is no file: choose another".to_owned();
            return Err(Error::Format { path: path.to_owned(), problem });
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
        lock(path, &file)?;
        let text = if exists { std::fs::read(path).map_err(Error::io(path))? } else { Vec::new() };
        let (whole, tail) = text.split_at(whole_lines(&text));
        let rows = rows_of(path, whole, kind)?;
        if !is_torn_row(tail, kind.beginning) {
            let problem = format!("its last line is no {}: choose another file", kind.name);
            return Err(Error::Format { path: path.to_owned(), problem });
        }
        if let Some(other) = rows.iter().find(|row| (kind.made_by)(row) != made_by) {
            let problem =
                format!("holds rows made by {}, not by {made_by}: choose another file", (kind.made_by)(other));
            return Err(Error::Format { path: path.to_owned(), problem });
        }
        // Only now is it known that the file is ours.
        file.set_len(whole.len() as u64).map_err(Error::io(path))?;
        let ids = rows.iter().map(kind.id).collect();
        Ok(Self { path: path.to_owned(), file, is_torn: false, kind, rows, ids })
    }

    /// Whether a row of this id is there already.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Adds a row, as one write of one whole line.
    ///
    /// # Errors
    /// The row can't be written; those before it are safe, and it can be tried again once there is room.
    pub fn append(&mut self, row: R) -> Result<(), Error> {
        let mut line = serde_json::to_vec(&row).map_err(Error::json(self.kind.name))?;
        line.push(b'\n');
        let kept = self.rows.len();
        self.write_whole(&line).map_err(|source| Error::Journal { path: self.path.clone(), kept, source })?;
        self.ids.insert((self.kind.id)(&row));
        self.rows.push(row);
        Ok(())
    }

    /// Writes a line or, where that fails, nothing: the next row must not begin in the middle of this one.
    fn write_whole(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.is_torn {
            return Err(std::io::Error::other("an earlier row could not be written"));
        }
        let length = self.file.metadata()?.len();
        self.file.write_all(line).inspect_err(|_| {
            // Opening cuts a torn line off as well, should this fail too.
            self.is_torn = self.file.set_len(length).is_err();
        })
    }

    /// All rows, those of earlier runs first.
    pub fn rows(&self) -> &[R] {
        &self.rows
    }
}

/// Two processes that each write what they see missing would write it twice.
fn lock(path: &Path, file: &File) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let problem = "another process appends to it: wait until that has ended, or choose another file".to_owned();
            Err(Error::Format { path: path.to_owned(), problem })
        }
        Err(TryLockError::Error(error)) => Err(Error::io(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Serialize)]
    struct Row {
        id: String,
        maker: String,
    }

    const ROWS: RowKind<Row> =
        RowKind { name: "row of a test", beginning: r#"{"id":"#, id: |row| row.id.clone(), made_by: |row| &row.maker };

    #[test]
    fn what_is_not_ours_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let ours = r#"{"id":"a","maker":"m"}"#;
        for foreign in ["sk-0123456789", r#"{"key": 1}"#, &format!("{ours}\nnotes"), r#"{"id":"a","maker":"other"}"#] {
            std::fs::write(&path, format!("{foreign}{}", if foreign.contains("other") { "\n" } else { "" })).unwrap();
            let before = std::fs::read(&path).unwrap();
            assert!(RowFile::open(&path, true, "m", ROWS).is_err(), "{foreign}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
        std::fs::write(&path, format!("{ours}\n")).unwrap();
        let _open = RowFile::open(&path, true, "m", ROWS).unwrap();
        let problem = RowFile::open(&path, true, "m", ROWS).err().unwrap().to_string();
        assert!(problem.contains("another process"), "{problem}");
    }

    #[test]
    fn only_an_empty_file_is_written_to_without_being_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        drop(RowFile::open(&path, false, "m", ROWS).unwrap());
        let mut rows = RowFile::open(&path, false, "m", ROWS).unwrap();
        rows.append(Row { id: "a".into(), maker: "m".into() }).unwrap();
        drop(rows);
        let problem = RowFile::open(&path, false, "m", ROWS).err().unwrap().to_string();
        assert!(problem.contains("exists already"), "{problem}");
    }

    #[test]
    fn a_torn_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let ours = r#"{"id":"a","maker":"m"}"#;
        std::fs::write(&path, format!("{ours}\n{}", &ours[..9])).unwrap();
        assert_eq!(RowFile::open(&path, true, "m", ROWS).unwrap().rows().len(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{ours}\n"));
    }
}
