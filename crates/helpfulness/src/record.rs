//! Annotated responses, and the files that hold them.
//!
//! A file holds one record a line. The published program writes the records of a conversation as one array a line, and its sample is one
//! array of such arrays: all three forms are read.

use std::fmt;
use std::path::Path;

use esconv_data::{read_text, write_python_lines};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::labels::NOT_ANNOTATED;
use crate::{HelpfulnessError, LabelTable};

/// Responses to one context, with what annotators say of them. The order of the fields is that of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HelpfulnessRecord {
    /// What the seeker feels, as the file has it; empty where it has none.
    #[serde(rename = "emotion_type", default)]
    pub emotion: String,
    /// What the conversation is about, as the file has it; empty where it has none.
    #[serde(rename = "problem_type", default)]
    pub problem: String,
    /// The seeker's description of their situation. The published files take it for the conversation's id, but it is not unique.
    #[serde(rename = "dialog_id", alias = "situation", default)]
    pub situation: String,
    /// What the seeker said before the responses.
    pub context: Vec<String>,
    /// The responses.
    pub responses: Vec<AnnotatedResponse>,
    /// Which conversation of its corpus it is from. Published files do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<ConversationId>,
}

/// A conversation's number in its corpus, from 0, or its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ConversationId {
    /// The number.
    Number(usize),
    /// The name.
    Name(String),
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A response and its annotations; in files one array, the text first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", try_from = "Vec<String>")]
pub struct AnnotatedResponse {
    /// What is said.
    pub text: String,
    /// One place for each annotator, in the same order throughout a file; `None` where there is no annotation (`-`).
    pub annotations: Vec<Option<String>>,
}

impl From<AnnotatedResponse> for Vec<String> {
    fn from(response: AnnotatedResponse) -> Self {
        let label = |annotation: Option<String>| annotation.unwrap_or_else(|| NOT_ANNOTATED.to_owned());
        std::iter::once(response.text).chain(response.annotations.into_iter().map(label)).collect()
    }
}

impl TryFrom<Vec<String>> for AnnotatedResponse {
    type Error = &'static str;

    fn try_from(row: Vec<String>) -> Result<Self, Self::Error> {
        let mut row = row.into_iter();
        let text = row.next().ok_or("a response without a text")?;
        let annotations: Vec<_> = row.map(|label| (label != NOT_ANNOTATED).then_some(label)).collect();
        match annotations.is_empty() {
            true => Err("a response needs at least one annotation behind its text"),
            false => Ok(Self { text, annotations }),
        }
    }
}

impl HelpfulnessRecord {
    /// What the seeker said, joined by blanks.
    pub fn context_text(&self) -> String {
        self.context.join(" ")
    }

    /// Which conversation it is from, as well as can be told: its number or name, else the situation.
    pub fn conversation_name(&self) -> String {
        self.conversation.as_ref().map_or_else(|| self.situation.clone(), ToString::to_string)
    }

    /// What is wrong with a record, told with its place among others and its conversation.
    pub(crate) fn problem(&self, number: usize, problem: impl fmt::Display) -> HelpfulnessError {
        HelpfulnessError::Invalid(format!("record {} (of `{}`): {problem}", number + 1, self.conversation_name()))
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.context.is_empty() || self.responses.is_empty() {
            return Err("`context` and `responses` need at least one entry each");
        }
        match self.conversation_name().is_empty() {
            true => Err("neither `conversation` nor `dialog_id` says which conversation it is from"),
            false => Ok(()),
        }
    }
}

/// The records of a file, and the table of labels that its header gives, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFile {
    /// The records in the order of the file; at least one.
    pub records: Vec<HelpfulnessRecord>,
    /// What the labels mean.
    pub labels: Option<LabelTable>,
}

impl RecordFile {
    /// Reads JSON Lines with one record on each line, or all records of a conversation in an array on each line; or one JSON document of such
    /// arrays. A [`LabelTable`] may stand first.
    ///
    /// # Errors
    /// The file can't be read, or something in it is no record, or there is none; the line is named.
    pub fn read(path: &Path) -> Result<Self, HelpfulnessError> {
        let text = read_text(path)?;
        let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let mut file = Self { records: Vec::new(), labels: None };
        let mut place = Place { text: &text, offset: 0, line: 1 };
        loop {
            let line = place.line_of_value_at(values.byte_offset());
            let at = |line, problem| HelpfulnessError::Line { path: path.into(), line, problem };
            match values.next() {
                None => break,
                Some(Ok(value)) => file.add(value).map_err(|problem| at(line, problem))?,
                Some(Err(error)) => return Err(at(error.line(), format!("not JSON: {error}"))),
            }
        }
        match file.records.is_empty() {
            true => Err(HelpfulnessError::file(path, "holds no record: expected one JSON object a line")),
            false => Ok(file),
        }
    }

    /// Adds a record, all of an array, or the header.
    fn add(&mut self, value: Value) -> Result<(), String> {
        match value {
            Value::Array(values) => values.into_iter().try_for_each(|value| self.add(value)),
            Value::Object(ref fields) if fields.contains_key("labels") && self.is_empty() => {
                self.labels = Some(serde_json::from_value(value).map_err(|error| error.to_string())?);
                Ok(())
            }
            Value::Object(_) => {
                let record = HelpfulnessRecord::deserialize(value).map_err(|error| format!("not a record: {error}"))?;
                record.check().map_err(|problem| format!("not a record: {problem}"))?;
                self.records.push(record);
                Ok(())
            }
            other => Err(format!("expected a record or a list of records, found {other}")),
        }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.labels.is_none()
    }
}

/// Writes one record a line, byte for byte as the published program lays them out.
///
/// # Errors
/// The file can't be written; an older one then stays.
pub fn write_records<'a>(
    path: &Path,
    records: impl IntoIterator<Item = &'a HelpfulnessRecord>,
) -> Result<(), HelpfulnessError> {
    Ok(write_python_lines(path, records)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"emotion_type": "fear", "problem_type": "job crisis", "dialog_id": "They don't call back.", "context": ["Hi.", "I wait."], "responses": [["Tell me.", "Affirm", "-"]]}"#;

    fn read(text: &str) -> Result<RecordFile, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("esc_data.txt");
        std::fs::write(&path, text).unwrap();
        RecordFile::read(&path).map_err(|error| error.to_string())
    }

    #[test]
    fn objects_arrays_and_arrays_of_arrays_are_read() {
        let one = read(RECORD).unwrap().records;
        let [record] = one.as_slice() else { panic!("{one:?}") };
        assert_eq!((record.conversation.as_ref(), record.situation.as_str()), (None, "They don't call back."));
        assert_eq!(
            (record.conversation_name(), record.context_text()),
            (record.situation.clone(), "Hi. I wait.".into())
        );
        assert_eq!(record.responses[0].annotations, [Some("Affirm".to_owned()), None]);
        for text in [
            format!("{RECORD}\n\n{RECORD}\r\n"),
            format!("[{RECORD},\n{RECORD}]\n"),
            format!("[{RECORD}]\n[{RECORD}]"),
            format!("[\n[{RECORD}], [\n{RECORD}], []]"),
        ] {
            assert_eq!(read(&text).unwrap().records, [record.clone(), record.clone()], "{text}");
        }
    }

    #[test]
    fn a_header_says_what_labels_mean() {
        let header = r#"{"classes": ["fine", "bad"], "labels": {"Affirm": "fine", "no": "bad"}}"#;
        let file = read(&format!("{header}\n{RECORD}\n")).unwrap();
        assert_eq!(file.labels.unwrap().class(Some("no")).unwrap(), Some(1));
        assert_eq!(file.records.len(), 1);
    }

    #[test]
    fn a_conversation_has_a_number_or_a_name() {
        for (id, expected) in [("17", ConversationId::Number(17)), ("\"b\"", ConversationId::Name("b".into()))] {
            let line = RECORD.replacen('{', &format!("{{\"conversation\": {id}, "), 1);
            let record = read(&line).unwrap().records.remove(0);
            assert_eq!(record.conversation_name(), expected.to_string());
            assert_eq!(record.conversation, Some(expected));
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("esc_data.txt");
        let mut record = read(RECORD).unwrap().records.remove(0);
        record.conversation = Some(ConversationId::Number(7));
        write_records(&path, [&record]).unwrap();
        assert_eq!(RecordFile::read(&path).unwrap().records, [record]);
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
            (
                RECORD.replace(", \"Affirm\", \"-\"", ""),
                "line 1: not a record: a response needs at least one annotation",
            ),
            (RECORD.replace("\"Tell me.\", \"Affirm\", \"-\"", ""), "line 1: not a record: a response without a text"),
            (RECORD.replace("[\"Hi.\", \"I wait.\"]", "[]"), "line 1: not a record: `context`"),
            (RECORD.replace("[\"Hi.\", \"I wait.\"]", "\"Hi.\""), "line 1: not a record: invalid type"),
            (RECORD.replace("They don't call back.", ""), "neither `conversation` nor `dialog_id`"),
            (RECORD.replacen('{', "{\"conversation\": [], ", 1), "line 1: not a record: data did not match"),
            (r#"{"classes": ["x"], "labels": {"a": "x"}}"#.to_owned(), "line 1: not a table of labels"),
        ] {
            let told = read(&text).unwrap_err();
            assert!(told.contains(says) && told.contains("esc_data.txt"), "{says}: {told}");
        }
        assert!(RecordFile::read(Path::new("absent")).is_err());
    }
}
