//! Rows of JSON Lines files, as a run that may still be going on, or was killed, leaves them.

use std::io::ErrorKind;
use std::path::Path;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::ReportError;

/// The rows of a file, each with its line's number; `None` where there is no such file. A last line that was cut while it was
/// written is passed over.
pub(super) fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Option<Vec<(usize, T)>>, ReportError> {
    let Some(content) = read_if_there(path)? else { return Ok(None) };
    let mut rows = Vec::new();
    for (index, line) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(row) => rows.push((index + 1, row)),
            Err(error) if error.is_eof() && !line.ends_with(b"\n") => {}
            Err(error) => return Err(ReportError::line(path, index + 1, plain(&error, line))),
        }
    }
    Ok(Some(rows))
}

/// The bytes of a file, if there is one.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ReportError::io(path)(error)),
    }
}

/// What is wrong with a line. Its number is told with the file, so the one that serde counts would only mislead.
fn plain(error: &serde_json::Error, line: &[u8]) -> String {
    if std::str::from_utf8(line).is_err() {
        return "not UTF-8 text: the file is damaged or not of a run".into();
    }
    let told = error.to_string();
    match told.rsplit_once(" at line ") {
        Some((problem, _)) => format!("{problem} (column {})", error.column()),
        None => told,
    }
}

/// A number, also one that JSON does not have: `"NaN"`, `"Infinity"`, `"-Infinity"`. `null` is no number.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        value => {
            number_of(&value).map(Some).ok_or_else(|| D::Error::custom(format!("a number was expected, not {value}")))
        }
    }
}

/// What a JSON value says as a number.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// A name that may be written as a number.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(name) => Ok(name),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(D::Error::custom(format!("a name was expected, not {other}"))),
    }
}

/// A text, or the turns of a chat one below the other.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct Turn {
        role: String,
        content: String,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Text {
        Plain(String),
        Chat(Vec<Turn>),
    }
    let text =
        Text::deserialize(deserializer).map_err(|_| D::Error::custom("a text or the turns of a chat were expected"))?;
    Ok(match text {
        Text::Plain(text) => text,
        Text::Chat(turns) => {
            let turns = turns.iter().map(|turn| format!("{}: {}", turn.role, turn.content));
            turns.collect::<Vec<_>>().join("\n\n")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Row {
        #[serde(deserialize_with = "name")]
        id: String,
        #[serde(default, deserialize_with = "number")]
        value: Option<f64>,
    }

    fn rows_of(content: &[u8]) -> Result<Option<Vec<(usize, Row)>>, ReportError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        read_rows(file.path())
    }

    #[test]
    fn a_last_line_that_was_cut_is_passed_over_wherever_it_was_cut() {
        let whole = "{\"id\": 7, \"value\": 1.5}\n\n{\"id\": \"ä\", \"value\": \"-Infinity\"}".as_bytes();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 2;
        let rows = rows_of(whole).unwrap().unwrap();
        assert_eq!(rows[0], (1, Row { id: "7".into(), value: Some(1.5) }));
        assert_eq!(rows[1], (3, Row { id: "ä".into(), value: Some(f64::NEG_INFINITY) }));
        for end in first..whole.len() {
            assert_eq!(rows_of(&whole[..end]).unwrap().unwrap().len(), 1, "cut at {end}");
        }
    }

    #[test]
    fn a_damaged_line_is_told_with_its_number() {
        let told = |content: &[u8]| rows_of(content).unwrap_err().to_string();
        assert!(told(b"{\"id\": 1}\n{\"id\": 2, \"value\"\n{\"id\": 3}\n").contains(", line 2: "));
        assert!(told(b"{\"id\": 1}\n{\"value\": 2}\n").contains(", line 2: missing field `id`"));
        assert!(told(b"{\"id\": 1, \"value\": \"much\"}\n").contains("line 1: a number was expected, not \"much\""));
        assert!(told(b"{\"id\": \"\xff\"}\n").contains("not UTF-8"));
        assert!(told(b"what is this").contains(", line 1: "));
    }

    #[test]
    fn no_file_is_told_apart_from_an_empty_one() {
        assert_eq!(read_rows::<Row>(Path::new("/no/such/file")).unwrap(), None);
        assert_eq!(rows_of(b"").unwrap(), Some(Vec::new()));
    }
}
