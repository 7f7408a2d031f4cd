//! A file's records, each with the line where it begins; one that can't be read doesn't hide those behind it.

use std::path::Path;

use serde_json::{Map, Value};

use super::problem::{BadRecord, Problem};
use crate::DpoError;

/// A record's line, from 1, and its fields or why it has none.
pub(super) type Record = (u64, Result<Map<String, Value>, Problem>);

/// How records stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// A JSON array of objects.
    Array,
    /// An object in each line.
    Lines,
    /// A header and rows.
    Csv,
}

impl Layout {
    /// By the path's ending; `.json` may be either kind of JSON. Where the ending says nothing, by the first letter.
    pub(super) fn of(path: &Path, bytes: &[u8]) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        match (ending.as_str(), first) {
            ("csv", _) => Self::Csv,
            ("jsonl" | "ndjson", _) => Self::Lines,
            (_, Some(b'[')) => Self::Array,
            ("json", _) | (_, Some(b'{')) => Self::Lines,
            _ => Self::Csv,
        }
    }
}

/// All records of a file.
///
/// # Errors
/// The layout is broken: an array without end, a CSV file without header.
pub(super) fn records(path: &Path, bytes: &[u8]) -> Result<Vec<Record>, DpoError> {
    const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    match Layout::of(path, bytes) {
        Layout::Array => array(path, bytes),
        Layout::Lines => Ok(lines(bytes)),
        Layout::Csv => csv_rows(path, bytes),
    }
}

fn lines(bytes: &[u8]) -> Vec<Record> {
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    let filled = lines.filter(|(line, _)| !line.trim_ascii().is_empty());
    filled.map(|(line, number)| (number, object(line))).collect()
}

/// Splits an array at its own commas, so that every record is read for itself.
fn array(path: &Path, bytes: &[u8]) -> Result<Vec<Record>, DpoError> {
    let broken =
        |line, problem: &str| DpoError::Format { path: path.into(), line: Some(line), problem: problem.into() };
    let mut records = Vec::new();
    let mut scan = ArrayScan::default();
    let mut element: Option<(u64, usize)> = None;
    let mut line = 1;
    for (at, byte) in bytes.iter().enumerate() {
        let event = scan.step(*byte);
        match event {
            Event::Closed | Event::Comma => match element.take() {
                Some((line, start)) => records.push((line, object(&bytes[start..at]))),
                None if event == Event::Closed && records.is_empty() => {}
                None => return Err(broken(line, "a record was expected before this comma or bracket")),
            },
            Event::Inside if element.is_none() && !byte.is_ascii_whitespace() => element = Some((line, at)),
            Event::Behind => return Err(broken(line, "there is more behind the array's end")),
            Event::Inside | Event::Outside => {}
        }
        line += u64::from(*byte == b'\n');
    }
    match scan.is_closed {
        true => Ok(records),
        false => Err(broken(line, "the array has no end: the file seems to have been cut off")),
    }
}

/// Where a byte of an array stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Before the array, at its bracket, or white behind it.
    Outside,
    /// In an element, or white beside it.
    Inside,
    /// Between elements.
    Comma,
    /// The array's end.
    Closed,
    /// Something follows the array.
    Behind,
}

/// Follows brackets and strings; all that matters is ASCII, so that texts may be anything.
#[derive(Default)]
struct ArrayScan {
    depth: usize,
    is_text: bool,
    is_escaped: bool,
    is_closed: bool,
}

impl ArrayScan {
    fn step(&mut self, byte: u8) -> Event {
        if self.is_closed {
            return if byte.is_ascii_whitespace() { Event::Outside } else { Event::Behind };
        }
        if self.is_text {
            self.is_text = byte != b'"' || self.is_escaped;
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            return Event::Inside;
        }
        match byte {
            b'[' | b'{' => {
                self.depth += 1;
                if self.depth == 1 { Event::Outside } else { Event::Inside }
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                self.is_closed = self.depth == 0;
                if self.is_closed { Event::Closed } else { Event::Inside }
            }
            b',' if self.depth == 1 => Event::Comma,
            b'"' => {
                self.is_text = true;
                Event::Inside
            }
            _ if self.depth == 0 => Event::Outside,
            _ => Event::Inside,
        }
    }
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let text = utf8(bytes)?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(other) => {
            Err(Problem::new(BadRecord::NotAnObject, format!("a JSON object was expected, not {}", kind(&other))))
        }
        Err(error) => {
            Err(Problem::new(BadRecord::NotAnObject, format!("this is not a JSON object: {}", plain(&error))))
        }
    }
}

/// Without serde's own place, which counts from the record's beginning.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]).to_owned()
}

/// What a JSON value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let text = format!("byte {byte:#04x} ({at} bytes into the record) is not UTF-8: convert the file");
        Problem::new(BadRecord::NotUtf8, text)
    })
}

fn csv_rows(path: &Path, bytes: &[u8]) -> Result<Vec<Record>, DpoError> {
    let broken = |line, problem: String| DpoError::Format { path: path.into(), line, problem };
    // Rows of another length are a problem of theirs alone.
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
    let headers = reader.byte_headers().map_err(|error| broken(Some(1), error.to_string()))?.clone();
    let names = headers.iter().map(|name| utf8(name).map(|name| name.trim().to_owned())).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|problem| broken(Some(1), problem.text))?;
    if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
        return Err(broken(Some(1), format!("two columns are called `{}`", twice.1)));
    }
    let mut records = Vec::new();
    let mut row = csv::ByteRecord::new();
    while reader.read_byte_record(&mut row).map_err(|error| broken(None, error.to_string()))? {
        let line = row.position().map_or(0, csv::Position::line);
        records.push((line, cells(&names, &row)));
    }
    Ok(records)
}

fn cells(names: &[String], row: &csv::ByteRecord) -> Result<Map<String, Value>, Problem> {
    if row.len() != names.len() {
        let text = format!("{} cells, but the header has {}: is a quotation mark missing?", row.len(), names.len());
        return Err(Problem::new(BadRecord::WrongCells, text));
    }
    let cell = |(name, cell): (&String, &[u8])| Ok((name.clone(), Value::from(utf8(cell)?)));
    names.iter().zip(row).map(cell).collect()
}
