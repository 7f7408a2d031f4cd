//! Annotated responses, and the files that hold them.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::labels::annotation_of;
use crate::{HelpfulnessError, LabelTable};

/// Responses to one context, with what annotators say of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelpfulnessRecord {
    /// Which conversation it is from: the file's `conversation`, else its `dialog_id`.
    pub conversation: String,
    /// The seeker's description of their situation. In the published files it is what `dialog_id` holds.
    pub situation: String,
    /// What the seeker feels, as the file has it; empty where it has none.
    pub emotion: String,
    /// What the conversation is about, as the file has it; empty where it has none.
    pub problem: String,
    /// What the seeker said before the responses.
    pub context: Vec<String>,
    /// The responses.
    pub responses: Vec<AnnotatedResponse>,
}

/// A response and its annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnotatedResponse {
    /// What is said.
    pub text: String,
    /// One place for each annotator, in the same order throughout a file; `None` where there is no annotation (`-`).
    pub annotations: Vec<Option<String>>,
}

impl HelpfulnessRecord {
    /// What the seeker said, joined by blanks.
    pub fn context_text(&self) -> String {
        self.context.join(" ")
    }
}

/// The records of a file, and the table of labels that its header gives, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFile {
    /// The records in the order of the file.
    pub records: Vec<HelpfulnessRecord>,
    /// What the labels mean.
    pub labels: Option<LabelTable>,
}

impl RecordFile {
    /// Reads JSON Lines with one record on each line, or all records of a conversation in an array on each line; or one JSON document of such
    /// arrays. A first line `{"classes": 2, "labels": {"good": 0, "bad": 1}}` is a header.
    ///
    /// # Errors
    /// The file can't be read, or something in it is no record; the line and the record are named.
    pub fn read(path: &Path) -> Result<Self, HelpfulnessError> {
        let text = std::fs::read_to_string(path).map_err(HelpfulnessError::io(path))?;
        let mut file = Self { records: Vec::new(), labels: None };
        if let Some(document) = whole_document(&text) {
            file.add(document).map_err(|problem| HelpfulnessError::file(path, problem))?;
            return Ok(file);
        }
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let of_line = |problem| HelpfulnessError::Line { path: path.into(), line: number + 1, problem };
            let value = serde_json::from_str(line).map_err(|error| of_line(format!("not JSON: {error}")))?;
            file.add(value).map_err(of_line)?;
        }
        Ok(file)
    }

    /// Adds a record, all of an array, or a header.
    fn add(&mut self, value: Value) -> Result<(), String> {
        match value {
            Value::Array(values) => values.into_iter().try_for_each(|value| self.add(value)),
            Value::Object(ref fields) if fields.contains_key("labels") && self.is_empty() => {
                let table = serde_json::from_value(value).map_err(|error| format!("no table of labels: {error}"))?;
                self.labels = Some(table);
                Ok(())
            }
            value => {
                let record =
                    record_of(value).map_err(|problem| format!("record {}: {problem}", self.records.len() + 1))?;
                self.records.push(record);
                Ok(())
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.labels.is_none()
    }
}

/// A file that is one JSON document over several lines.
fn whole_document(text: &str) -> Option<Value> {
    let first = text.lines().find(|line| !line.trim().is_empty())?;
    if serde_json::from_str::<Value>(first).is_ok() {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// A record as files have it.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    conversation: Option<Value>,
    #[serde(default)]
    situation: Option<String>,
    #[serde(default)]
    emotion_type: String,
    #[serde(default)]
    problem_type: String,
    dialog_id: Option<String>,
    context: Vec<String>,
    responses: Vec<Vec<String>>,
}

fn record_of(value: Value) -> Result<HelpfulnessRecord, String> {
    let fields: Fields = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let conversation = match fields.conversation {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(other) => return Err(format!("`conversation` is {other}: expected a name or a number")),
    };
    let conversation = conversation
        .or_else(|| fields.dialog_id.clone())
        .ok_or("neither `conversation` nor `dialog_id` says which conversation it is from")?;
    let situation = fields.situation.or(fields.dialog_id).unwrap_or_default();
    let responses = fields.responses.into_iter().map(response_of).collect::<Result<_, _>>()?;
    Ok(HelpfulnessRecord {
        conversation,
        situation,
        emotion: fields.emotion_type,
        problem: fields.problem_type,
        context: fields.context,
        responses,
    })
}

/// A response stands before its annotations.
fn response_of(row: Vec<String>) -> Result<AnnotatedResponse, String> {
    let mut row = row.into_iter();
    let text = row.next().ok_or("a response without a text: expected a text and its annotations")?;
    Ok(AnnotatedResponse { text, annotations: row.map(annotation_of).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"emotion_type": "sadness", "problem_type": "job crisis", "dialog_id": "I lost it.", "context": ["Hello.", "I am sad."], "responses": [["Tell me.", "Affirm", "-"]]}"#;

    fn read(text: &str) -> Result<RecordFile, HelpfulnessError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.txt");
        std::fs::write(&path, text).unwrap();
        RecordFile::read(&path)
    }

    #[test]
    fn objects_arrays_and_documents_hold_the_same_records() {
        let line = RECORD.replace('\n', " ");
        let lines = read(&format!("{line}\n\n{line}\n")).unwrap();
        assert_eq!(lines.records.len(), 2);
        let record = &lines.records[0];
        assert_eq!((record.conversation.as_str(), record.situation.as_str()), ("I lost it.", "I lost it."));
        assert_eq!(record.context_text(), "Hello. I am sad.");
        assert_eq!(record.responses[0].annotations, [Some("Affirm".to_owned()), None]);
        for other in [format!("[{line}, {line}]\n"), format!("[\n[{line}],\n[\n{line}\n]\n]")] {
            assert_eq!(read(&other).unwrap(), lines, "{other}");
        }
        assert!(read("").unwrap().records.is_empty());
    }

    #[test]
    fn a_header_says_what_labels_mean() {
        let file = read(&format!("{{\"classes\": 2, \"labels\": {{\"good\": 0, \"bad\": 1}}}}\n{RECORD}\n")).unwrap();
        assert_eq!(file.labels.unwrap().class(Some("bad")).unwrap(), Some(1));
        assert_eq!(file.records.len(), 1);
    }

    #[test]
    fn a_conversation_may_have_a_number_beside_its_situation() {
        let line = RECORD.replacen('{', r#"{"conversation": 17, "#, 1);
        let record = read(&line).unwrap().records.remove(0);
        assert_eq!((record.conversation.as_str(), record.situation.as_str()), ("17", "I lost it."));
    }

    #[test]
    fn what_is_no_record_is_named() {
        let cases = [
            (format!("{RECORD}\n{{"), "records.txt, line 2: not JSON"),
            (format!("{RECORD}\n7"), "records.txt, line 2: record 2: invalid type"),
            (r#"{"context": [], "responses": []}"#.to_owned(), "record 1: neither `conversation` nor `dialog_id`"),
            (r#"{"dialog_id": "x", "context": [], "responses": [[]]}"#.to_owned(), "a response without a text"),
            (r#"{"dialog_id": "x", "context": "y", "responses": []}"#.to_owned(), "line 1: record 1: invalid type"),
            (
                r#"{"conversation": [], "dialog_id": "x", "context": [], "responses": []}"#.to_owned(),
                "a name or a number",
            ),
            (r#"{"classes": 1, "labels": {"x": 0}}"#.to_owned(), "no table of labels"),
        ];
        for (text, expected) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(RecordFile::read(Path::new("absent")).is_err());
    }
}
