//! JSON laid out as Python's `json.dumps` does it: blanks behind commas and colons, nothing beyond ASCII.
//!
//! So dialogues and records that are written here equal the published files byte for byte, and their hashes can be compared.

use std::io::{self, Write};
use std::path::Path;

use llm_runtime::output_file;
use serde::Serialize;
use serde_json::ser::Formatter;

use crate::error::Error;

/// Writes one value a line, laid out as Python's `json.dumps` does it; the file appears whole or not at all.
///
/// # Errors
/// The file can't be written; an older one then stays.
pub fn write_python_lines<T: Serialize>(path: &Path, values: impl IntoIterator<Item = T>) -> Result<(), Error> {
    let written = output_file::fill(path, |writer| {
        for value in values {
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut *writer, PythonFormatter))?;
            writer.write_all(b"\n")?;
        }
        Ok(())
    });
    written.map_err(Error::io(path))
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for letter in fragment.chars() {
            // Python escapes DEL as little as we do: it is ASCII.
            if letter.is_ascii() {
                writer.write_all(&[letter as u8])?;
                continue;
            }
            for unit in letter.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_pythons_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.txt");
        let value = serde_json::json!({"a": ["é\"\\\u{1}\u{7f}/\n", 7], "b": {}, "c": [], "d": "😀"});
        write_python_lines(&path, [&value, &serde_json::json!([1, 2])]).unwrap();
        let expected = concat!(
            r#"{"a": ["\u00e9\"\\\u0001"#,
            "\u{7f}",
            r#"/\n", 7], "b": {}, "c": [], "d": "\ud83d\ude00"}"#,
            "\n[1, 2]\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
