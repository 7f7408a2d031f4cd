//! Responses and references from text files, JSON Lines and run folders.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::Error;

/// Fields of a row that hold a response, the first that is there.
const RESPONSE_FIELDS: [&str; 6] = ["hypothesis", "hyp", "response", "model_response", "prediction", "text"];
/// Fields that hold references.
const REFERENCE_FIELDS: [&str; 6] = ["references", "refs", "reference", "ref", "gold", "target"];
/// Fields that hold the text of a row in a file of references.
const REFERENCE_FILE_FIELDS: [&str; 8] =
    ["references", "refs", "reference", "ref", "gold", "target", "response", "text"];
/// Fields that name a row.
const ID_FIELDS: [&str; 3] = ["example", "id", "index"];
/// The file of records in a run folder.
const RUN_FILE: &str = "continuations.jsonl";

/// A response with all that its row says.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Names the row: its example or id and, where there are several per example, strategy and layout; else its number.
    pub id: String,
    /// What references are found by.
    key: String,
    /// The conversation it belongs to.
    pub conversation: Option<String>,
    /// The response.
    pub hypothesis: String,
    /// Its references.
    pub references: Vec<String>,
    fields: Value,
}

impl Row {
    /// A field of the row as text; `?` if it has none.
    pub fn field(&self, name: &str) -> String {
        match &self.fields[name] {
            Value::Null => "?".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Reads responses.
///
/// # Errors
/// The file can't be read, or a row has no response.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, Error> {
    let rows = read(path)?;
    let rows = rows.into_iter().enumerate().map(|(number, fields)| {
        let hypothesis = text_in(&fields, &RESPONSE_FIELDS).ok_or_else(|| {
            refuse(path, number, format!("no response; expected one of {}", RESPONSE_FIELDS.join(", ")))
        })?;
        let key = text_in(&fields, &ID_FIELDS).unwrap_or_else(|| number.to_string());
        let parts = ["strategy", "layout"].map(|field| fields[field].as_str().unwrap_or_default());
        let id = [&[key.as_str()][..], &parts.map(|part| part)[..]].concat().join("\u{1f}");
        Ok(Row {
            id: id.trim_end_matches('\u{1f}').to_owned(),
            key,
            conversation: text_in(&fields, &["conversation", "conv_id"]),
            hypothesis,
            references: texts_in(&fields, &REFERENCE_FIELDS),
            fields,
        })
    });
    rows.collect()
}

/// Adds the references of a file: by id where both sides have ids, else line by line.
///
/// # Errors
/// The file can't be read, has other rows than the responses, or a row has no text.
pub(super) fn with_references(rows: &mut [Row], hypotheses: &Path, path: &Path) -> Result<(), Error> {
    let mut texts = Vec::new();
    let mut by_id: BTreeMap<String, usize> = BTreeMap::new();
    for (number, fields) in read(path)?.into_iter().enumerate() {
        let found = texts_in(&fields, &REFERENCE_FILE_FIELDS);
        if found.is_empty() {
            let problem = format!("no reference; expected one of {}", REFERENCE_FILE_FIELDS.join(", "));
            return Err(refuse(path, number, problem));
        }
        by_id.extend(text_in(&fields, &ID_FIELDS).map(|id| (id, number)));
        texts.push(found);
    }
    let matches_by_id = !by_id.is_empty() && rows.iter().all(|row| by_id.contains_key(&row.key));
    if !matches_by_id && texts.len() != rows.len() {
        let problem = format!(
            "{} references for the {} responses of {}, and ids do not match either",
            texts.len(),
            rows.len(),
            hypotheses.display()
        );
        return Err(Error::Resource { path: path.to_owned(), problem });
    }
    for (number, row) in rows.iter_mut().enumerate() {
        let at = if matches_by_id { by_id[&row.key] } else { number };
        row.references.extend(texts[at].iter().cloned());
    }
    Ok(())
}

/// The rows of a file: JSON objects as they are, lines of text as objects with the field `text`.
fn read(path: &Path) -> Result<Vec<Value>, Error> {
    let file = if path.is_dir() { path.join(RUN_FILE) } else { path.to_owned() };
    let problem = |problem: String| Error::Resource { path: file.clone(), problem };
    let bytes = std::fs::read(&file).map_err(|error| problem(error.to_string()))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| problem(format!("not UTF-8 (byte {}): convert the file", error.utf8_error().valid_up_to())))?;
    let is_json = file.extension().is_some_and(|extension| extension == "jsonl" || extension == "json");
    if !is_json {
        return Ok(text.lines().map(|line| serde_json::json!({ "text": line })).collect());
    }
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).map_err(|error| problem(format!("not a JSON array: {error}")));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| match serde_json::from_str(line) {
            Ok(Value::String(text)) => Ok(serde_json::json!({ "text": text })),
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(refuse(&file, number, "neither an object nor a string".into())),
            Err(error) => Err(refuse(&file, number, format!("not JSON: {error}"))),
        })
        .collect()
}

fn refuse(path: &Path, number: usize, problem: String) -> Error {
    Error::Resource { path: path.to_owned(), problem: format!("row {}: {problem}", number + 1) }
}

fn text_in(fields: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match &fields[*name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

fn texts_in(fields: &Value, names: &[&str]) -> Vec<String> {
    let found = names.iter().map(|name| &fields[*name]).find(|value| value.is_string() || value.is_array());
    match found {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => texts.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}
