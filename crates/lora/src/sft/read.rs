//! Reading training files: a JSON array or JSON Lines, told apart by their first character.

use std::path::Path;
use std::sync::Arc;

use llm_runtime::input_file;
use serde_json::Value;

use super::columns::{ColumnMap, RecordKind};
use super::error::SftError;
use super::fields::content;
use super::record::{Place, Position, SftRecord};

/// How records stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FileLayout {
    /// An array if the first character that is no blank is `[`, else lines.
    #[default]
    Detect,
    /// One JSON array of objects.
    Array,
    /// One object a line; blank lines are passed over.
    Lines,
}

/// What happens to a record that can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadRecords {
    /// The first one ends the work with its error.
    #[default]
    Fail,
    /// It is left out and listed.
    Skip,
}

/// How to read a file.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Array or lines.
    pub layout: FileLayout,
    /// The kind of all records. By default the renamed columns tell it, else each record's own fields.
    pub kind: Option<RecordKind>,
    /// The file's names of the fields.
    pub columns: ColumnMap,
    /// What happens to bad records.
    pub bad_records: BadRecords,
}

/// The records of a file.
#[derive(Debug, Default)]
pub struct RecordSet {
    /// The good ones, in the file's order.
    pub records: Vec<SftRecord>,
    /// Why each of the others was left out; empty with [`BadRecords::Fail`].
    pub skipped: Vec<SftError>,
}

/// Reads a training file. Fields that no record kind knows are ignored.
///
/// # Errors
/// The file can't be read, is not UTF-8, is no JSON, or holds no record; with [`BadRecords::Fail`] also the first record
/// that is not of its kind. A syntax error in an array is always an error, since nothing after it can be trusted.
pub fn read_records(path: &Path, options: &ReadOptions) -> Result<RecordSet, SftError> {
    let text = input_file::read_text(path).map_err(|source| SftError::Io { path: path.to_owned(), source })?;
    parse_records(path, &text, options)
}

/// As [`read_records`], from text. `path` names it in errors.
///
/// # Errors
/// As [`read_records`].
pub fn parse_records(path: &Path, text: &str, options: &ReadOptions) -> Result<RecordSet, SftError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let is_array = match options.layout {
        FileLayout::Detect => text.trim_start().starts_with('['),
        FileLayout::Array => true,
        FileLayout::Lines => false,
    };
    let mut reader = Reader { file: Arc::from(path), options, set: RecordSet::default() };
    if is_array {
        reader.array(text)?
    } else {
        reader.lines(text)?
    }
    if reader.set.records.is_empty() && reader.set.skipped.is_empty() {
        return Err(reader.refused("there are no records: expected a JSON array of objects or one object a line"));
    }
    Ok(reader.set)
}

struct Reader<'a> {
    file: Arc<Path>,
    options: &'a ReadOptions,
    set: RecordSet,
}

impl Reader<'_> {
    fn array(&mut self, text: &str) -> Result<(), SftError> {
        let items: Vec<Value> = serde_json::from_str(text).map_err(|error| {
            self.refused(&format!("not a JSON array of objects: {error}; repair the file, or read it as JSON Lines"))
        })?;
        for (number, item) in items.iter().enumerate() {
            let place = self.place(Position::Item(number + 1));
            self.take(place, item)?;
        }
        Ok(())
    }

    fn lines(&mut self, text: &str) -> Result<(), SftError> {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let place = self.place(Position::Line(number + 1));
            match serde_json::from_str::<Value>(line) {
                Ok(row) => self.take(place, &row)?,
                Err(error) => {
                    let problem = format!("not JSON: {error}; expected one whole object in this line");
                    self.leave_out(SftError::Record { place, problem })?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, place: Place, row: &Value) -> Result<(), SftError> {
        match content(row, self.options.kind, &self.options.columns) {
            Ok(content) => {
                self.set.records.push(SftRecord { place, content });
                Ok(())
            }
            Err(problem) => self.leave_out(SftError::Record { place, problem }),
        }
    }

    fn leave_out(&mut self, error: SftError) -> Result<(), SftError> {
        match self.options.bad_records {
            BadRecords::Fail => Err(error),
            BadRecords::Skip => {
                self.set.skipped.push(error);
                Ok(())
            }
        }
    }

    fn place(&self, position: Position) -> Place {
        Place { file: Arc::clone(&self.file), position }
    }

    fn refused(&self, problem: &str) -> SftError {
        SftError::Format { path: self.file.to_path_buf(), problem: problem.to_owned() }
    }
}
