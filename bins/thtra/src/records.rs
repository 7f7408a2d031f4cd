//! Helpfulness records: answers to a seeker's words, and what annotators say about each; and their files.
//!
//! A file holds one record a line. The published program writes the records of a conversation as one array a line, and its sample is one
//! array of such arrays: all three forms are read.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, read_text};
use crate::python_json::write_lines;

/// One context and the answers that were annotated. The order of the fields is that of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelpfulnessRecord {
    /// The seeker's emotion.
    pub emotion_type: String,
    /// The seeker's problem.
    pub problem_type: String,
    /// The seeker's summary of what happened. The published files use it as the conversation's id, but it is not unique.
    #[serde(rename = "dialog_id")]
    pub situation: String,
    /// What was said before; with ESConv one text, the seeker's.
    pub context: Vec<String>,
    /// The answers.
    pub responses: Vec<AnnotatedResponse>,
    /// Number of the conversation in its corpus, from 0. Published files lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<usize>,
}

/// An answer and one label of each annotator; in files one array, the text first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", try_from = "Vec<String>")]
pub struct AnnotatedResponse {
    /// What is answered.
    pub text: String,
    /// Fine labels, see [`crate::LabelTable`].
    pub labels: Vec<String>,
}

impl From<AnnotatedResponse> for Vec<String> {
    fn from(response: AnnotatedResponse) -> Self {
        std::iter::once(response.text).chain(response.labels).collect()
    }
}

impl TryFrom<Vec<String>> for AnnotatedResponse {
    type Error = &'static str;

    fn try_from(mut texts: Vec<String>) -> Result<Self, Self::Error> {
        if texts.len() < 2 {
            return Err("a response needs its text and at least one label");
        }
        let labels = texts.split_off(1);
        Ok(Self { text: texts.swap_remove(0), labels })
    }
}

/// Reads the records of a file.
///
/// # Errors
/// The file can't be read, is no JSON, holds something else than records, or none; the error names the line.
pub fn read_records(path: &Path) -> Result<Vec<HelpfulnessRecord>, Error> {
    let text = read_text(path)?;
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    let mut records = Vec::new();
    let mut place = Place { text: &text, offset: 0, line: 1 };
    loop {
        let line = place.line_of_value_at(values.byte_offset());
        match values.next() {
            None => break,
            Some(Ok(value)) => add_records(value, &mut records).map_err(|problem| Error::line(path, line, problem))?,
            Some(Err(error)) => return Err(Error::line(path, error.line(), format!("not JSON: {error}"))),
        }
    }
    match records.is_empty() {
        true => Err(Error::format(path, "holds no record: expected one JSON object a line (see `thtra process`)")),
        false => Ok(records),
    }
}

/// Writes one record a line.
///
/// # Errors
/// The file can't be written; an older one then stays.
pub fn write_records<'a>(path: &Path, records: impl IntoIterator<Item = &'a HelpfulnessRecord>) -> Result<(), Error> {
    write_lines(path, records)
}

/// Counts lines on the way through a text.
struct Place<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Place<'_> {
    /// The line on which the value behind `offset` begins.
    fn line_of_value_at(&mut self, offset: usize) -> usize {
        let rest = self.text.get(offset..).unwrap_or_default();
        let start = offset + rest.len() - rest.trim_start().len();
        let passed = self.text.get(self.offset..start).unwrap_or_default();
        self.line += passed.matches('\n').count();
        self.offset = start;
        self.line
    }
}

fn add_records(value: Value, records: &mut Vec<HelpfulnessRecord>) -> Result<(), String> {
    match value {
        Value::Array(values) => values.into_iter().try_for_each(|value| add_records(value, records)),
        Value::Object(_) => {
            let record = HelpfulnessRecord::deserialize(value).map_err(|error| format!("not a record: {error}"))?;
            if record.context.is_empty() || record.responses.is_empty() {
                return Err("not a record: `context` and `responses` need at least one entry each".into());
            }
            records.push(record);
            Ok(())
        }
        other => Err(format!("expected a record or a list of records, found {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"emotion_type": "fear", "problem_type": "job crisis", "dialog_id": "They don't call back.", "context": ["Hi"], "responses": [["Hello", "Warn", "Affirm"]]}"#;

    fn read(text: &str) -> Result<Vec<HelpfulnessRecord>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("esc_data.txt");
        std::fs::write(&path, text).unwrap();
        read_records(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn objects_arrays_and_arrays_of_arrays_are_read() {
        let one = read(RECORD).unwrap();
        assert_eq!((one.len(), one[0].conversation), (1, None));
        assert_eq!(one[0].responses[0].text, "Hello");
        assert_eq!(one[0].responses[0].labels, ["Warn", "Affirm"]);
        for text in [
            format!("{RECORD}\n\n{RECORD}\r\n"),
            format!("[{RECORD},\n{RECORD}]\n"),
            format!("[{RECORD}]\n[{RECORD}]"),
            format!("[[{RECORD}], [{RECORD}], []]"),
        ] {
            assert_eq!(read(&text).unwrap(), [one[0].clone(), one[0].clone()], "{text}");
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("esc_data.txt");
        let records = [HelpfulnessRecord { conversation: Some(7), ..read(RECORD).unwrap().remove(0) }];
        write_records(&path, &records).unwrap();
        assert_eq!(read_records(&path).unwrap(), records);
        let numbered = RECORD.replace("]]}", "]], \"conversation\": 7}") + "\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), numbered);
    }

    #[test]
    fn what_is_no_record_is_told_with_its_line() {
        for (text, says) in [
            (String::new(), "holds no record"),
            (format!("{RECORD}\n{RECORD}\n{{\"a\": 1}}\n"), "line 3: not a record: missing field"),
            (format!("{RECORD}\n\n7"), "line 3: expected a record or a list of records, found 7"),
            (format!("{RECORD}\n{}", &RECORD[..50]), "line 2: not JSON"),
            (RECORD.replace(", \"Warn\", \"Affirm\"", ""), "line 1: not a record: a response needs its text"),
            (RECORD.replace("[\"Hi\"]", "[]"), "line 1: not a record: `context`"),
        ] {
            let told = read(&text).unwrap_err();
            assert!(told.contains(says) && told.contains("esc_data.txt"), "{says}: {told}");
        }
    }
}
