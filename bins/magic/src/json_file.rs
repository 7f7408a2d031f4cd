//! JSON arrays as Python's `json.dump` lays them out (indented, not escaped, no line end at the end), and how they are read.

use std::path::Path;

use llm_runtime::input_file;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::ser::PrettyFormatter;
use strategy_prompting::write_atomically;

use crate::error::Error;

/// Blanks per level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indent {
    /// Prompts and inferred strategies.
    Two,
    /// Samples and motivations.
    Four,
}

/// Writes a value, whole or not at all.
///
/// # Errors
/// The file can't be written; an older one then stays.
pub fn write_json(path: &Path, value: &(impl Serialize + ?Sized), indent: Indent) -> Result<(), Error> {
    let blanks: &[u8] = match indent {
        Indent::Two => b"  ",
        Indent::Four => b"    ",
    };
    let written = write_atomically(path, |writer| {
        let mut serializer = serde_json::Serializer::with_formatter(writer, PrettyFormatter::with_indent(blanks));
        let io = |error: serde_json::Error| strategy_prompting::Error::Io { path: path.into(), source: error.into() };
        value.serialize(&mut serializer).map_err(io)
    });
    Ok(written?)
}

/// Reads an array whose entries are each a `T`; `what` names one, for the error.
///
/// # Errors
/// The file can't be read, is no JSON array, or an entry is no `T`; the error tells its number.
pub fn read_array<T: DeserializeOwned>(path: &Path, what: &str) -> Result<Vec<T>, Error> {
    let text = input_file::read_text(path).map_err(Error::io(path))?;
    let entries: Vec<Value> =
        serde_json::from_str(&text).map_err(|error| Error::format(path, format!("not a JSON array: {error}")))?;
    let entry = |(number, entry): (usize, Value)| {
        let problem = |error| Error::format(path, format!("entry {number} (counted from 0) is no {what}: {error}"));
        T::deserialize(entry).map_err(problem)
    };
    entries.into_iter().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_pythons_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let value = serde_json::json!([{"a": ["é \"\\ \u{1} \u{7f} \u{2028} / \t"], "b": [], "c": null}]);
        write_json(&path, &value, Indent::Four).unwrap();
        let expected = "[\n    {\n        \"a\": [\n            \"é \\\"\\\\ \\u0001 \u{7f} \u{2028} / \\t\"\n        ],\n        \"b\": [],\n        \"c\": null\n    }\n]";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn a_wrong_entry_is_told_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "[\"a\", 7]").unwrap();
        let error = read_array::<String>(&path, "text").unwrap_err().to_string();
        assert!(error.contains("a.json: entry 1 (counted from 0) is no text"), "{error}");
        std::fs::write(&path, "{}").unwrap();
        assert!(read_array::<String>(&path, "text").unwrap_err().to_string().contains("not a JSON array"));
    }
}
