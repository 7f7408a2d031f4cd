//! The file of adherence rows: one JSON line per response, appended as soon as it is scored.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::adherence::{AdherenceRow, scored_by};
use crate::error::Error;
use crate::record::ContinuationRecord;

/// Reads the rows of a file. A last line that a kill tore is left out.
///
/// # Errors
/// The file can't be read, or a line is no row.
pub fn read_adherence(path: &Path) -> Result<Vec<AdherenceRow>, Error> {
    let text = std::fs::read(path).map_err(Error::io(path))?;
    rows_of(path, &text[..whole_lines(&text)])
}

/// Where the last whole line ends.
fn whole_lines(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1)
}

fn rows_of(path: &Path, text: &[u8]) -> Result<Vec<AdherenceRow>, Error> {
    let lines = text.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| Error::Line {
                path: path.to_owned(),
                line: number + 1,
                problem: format!("not a row of `sra adherence`: {error}"),
            })
        })
        .collect()
}

/// A file of rows that grows.
#[derive(Debug)]
pub struct AdherenceFile {
    path: PathBuf,
    file: File,
    rows: Vec<AdherenceRow>,
    /// Who made the response, and the record's id.
    scored: HashSet<(String, String)>,
}

impl AdherenceFile {
    /// Opens a new file, or, to resume, one that the same model has begun. A torn last line is cut off.
    ///
    /// # Errors
    /// The file exists and `resume` is not set, it holds rows that another model scored, or it can't be read or written.
    pub fn open(path: &Path, resume: bool, scored_by: &str) -> Result<Self, Error> {
        let exists = path.exists();
        if exists && !resume {
            let problem = "the file exists already: resume it, or choose another".to_owned();
            return Err(Error::Format { path: path.to_owned(), problem });
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::io(path))?;
        let text = if exists { std::fs::read(path).map_err(Error::io(path))? } else { Vec::new() };
        let whole = whole_lines(&text);
        file.set_len(whole as u64).map_err(Error::io(path))?;
        let rows = rows_of(path, &text[..whole])?;
        if let Some(other) = rows.iter().find(|row| row.scored_by != scored_by) {
            let problem = format!("holds rows scored by {}, not by {scored_by}: choose another file", other.scored_by);
            return Err(Error::Format { path: path.to_owned(), problem });
        }
        let scored = rows.iter().map(key).collect();
        Ok(Self { path: path.to_owned(), file, rows, scored })
    }

    /// Whether a record is scored already.
    pub fn contains(&self, record: &ContinuationRecord) -> bool {
        let by = |made_by: String| self.scored.contains(&(made_by, record.id.clone()));
        by(scored_by(&record.model)) || by(String::new())
    }

    /// Adds a row, as one write of one whole line.
    ///
    /// # Errors
    /// The row can't be written; those before it are safe.
    pub fn append(&mut self, row: AdherenceRow) -> Result<(), Error> {
        let mut line = serde_json::to_vec(&row).map_err(Error::json("an adherence row"))?;
        line.push(b'\n');
        let kept = self.rows.len();
        let path = &self.path;
        self.file.write_all(&line).map_err(|source| Error::Journal { path: path.clone(), kept, source })?;
        self.scored.insert(key(&row));
        self.rows.push(row);
        Ok(())
    }

    /// All rows, those of earlier runs first.
    pub fn rows(&self) -> &[AdherenceRow] {
        &self.rows
    }
}

fn key(row: &AdherenceRow) -> (String, String) {
    (row.made_by.clone(), row.id.clone())
}
