//! Responses and references from text files, JSON Lines and run folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llm_runtime::input_file;
use serde_json::{Map, Value, json};

use crate::corpus::Item;
use crate::error::Error;

/// Fields of a row that hold a response; the first that has a text counts.
const RESPONSE_FIELDS: [&str; 6] = ["hypothesis", "hyp", "response", "model_response", "prediction", "text"];
/// Fields of a row of responses that hold its references.
const REFERENCE_FIELDS: [&str; 6] = ["references", "refs", "reference", "ref", "gold", "target"];
/// Fields that hold the text of a row in a file of references.
const REFERENCE_FILE_FIELDS: [&str; 8] =
    ["references", "refs", "reference", "ref", "gold", "target", "response", "text"];
/// Fields that name a row.
const ID_FIELDS: [&str; 3] = ["example", "id", "index"];
/// The file of records in a run folder.
const RUN_FILE: &str = "continuations.jsonl";

/// A response with all that is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The response.
    pub hypothesis: String,
    /// Its references.
    pub references: Vec<String>,
    /// What references are found by.
    key: Key,
    fields: Map<String, Value>,
    /// What the first file of references says of it.
    reference_fields: Map<String, Value>,
}

/// What a row is found by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Its example or id.
    Name(String),
    /// Its place, from 0: in its file, or in the file that it answers.
    Place(usize),
}

impl Row {
    /// A field of the row as text, or else of its reference's row.
    pub fn field(&self, name: &str) -> Option<String> {
        [&self.fields, &self.reference_fields].into_iter().find_map(|fields| written(fields.get(name)?))
    }

    /// Names the row among the responses of a system: its example or number and, where a system answers each several times, the strategy.
    pub fn id(&self) -> String {
        let key = match &self.key {
            Key::Name(name) => name.clone(),
            Key::Place(place) => format!("row {}", place + 1),
        };
        match self.fields.get("strategy").and_then(Value::as_str) {
            Some(strategy) => format!("{key}, {strategy}"),
            None => key,
        }
    }

    /// The conversation it belongs to, where that is known.
    pub fn conversation(&self) -> Option<String> {
        self.field("conversation").or_else(|| self.field("conv_id"))
    }

    /// What is scored.
    pub fn item(&self) -> Item {
        Item { hypothesis: self.hypothesis.clone(), references: self.references.clone() }
    }
}

/// Reads responses; with a layout only those of that layout.
///
/// # Errors
/// The file can't be read, holds no responses of the layout, or a row has no response.
pub fn read_rows(path: &Path, layout: Option<&str>) -> Result<Vec<Row>, Error> {
    let table = Table::read(path)?;
    let mut rows = Vec::new();
    for (place, fields) in table.rows.iter().enumerate() {
        let is_chosen = layout.is_none_or(|layout| fields.get("layout").and_then(Value::as_str) == Some(layout));
        if is_chosen {
            rows.push(table.response(place, fields)?);
        }
    }
    match layout {
        Some(layout) if rows.is_empty() => {
            Err(table.problem(format!("no response has the layout {layout} (layouts: {})", table.layouts())))
        }
        _ => Ok(rows),
    }
}

/// Adds the references of a file: by name where both sides have names, else by place.
///
/// # Errors
/// The file can't be read, a row has no text, or responses and references do not fit together.
pub(super) fn add_references(rows: &mut [Row], hypotheses: &Path, path: &Path) -> Result<(), Error> {
    let table = Table::read(path)?;
    let places = table.places_of(rows, hypotheses)?;
    for (row, place) in rows.iter_mut().zip(places) {
        let fields = &table.rows[place];
        row.references.extend(table.references(place, fields)?);
        if row.reference_fields.is_empty() {
            row.reference_fields.clone_from(fields);
        }
    }
    Ok(())
}

/// A file's rows: JSON objects as they are, lines of text as objects with the field `text`.
struct Table {
    file: PathBuf,
    rows: Vec<Map<String, Value>>,
    /// The line or element of each row, for errors.
    numbers: Vec<usize>,
}

impl Table {
    fn read(path: &Path) -> Result<Self, Error> {
        let is_run = path.is_dir();
        let file = if is_run { path.join(RUN_FILE) } else { path.to_owned() };
        let mut table = Self { file, rows: Vec::new(), numbers: Vec::new() };
        let text = table.text()?;
        // A run that goes on, or was killed, may end in half a line.
        let whole = if is_run { text.rfind('\n').map_or(0, |end| end + 1) } else { text.len() };
        let text = &text[..whole];
        let is_json = table.file.extension().is_some_and(|extension| extension == "jsonl" || extension == "json");
        if !is_json {
            table.add_texts(text);
        } else if text.trim_start().starts_with('[') {
            table.add_array(text)?;
        } else {
            table.add_lines(text)?;
        }
        if table.rows.is_empty() { Err(table.problem("there is nothing in it".into())) } else { Ok(table) }
    }

    fn text(&self) -> Result<String, Error> {
        input_file::read_text(&self.file).map_err(|error| self.problem(error.to_string()))
    }

    fn add_texts(&mut self, text: &str) {
        for (number, line) in text.lines().enumerate() {
            self.rows.push(row_of_text(line.to_owned()));
            self.numbers.push(number + 1);
        }
    }

    fn add_lines(&mut self, text: &str) -> Result<(), Error> {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let value = serde_json::from_str(line).map_err(|error| {
                self.row_problem(number + 1, format!("not JSON ({error}); expected an object a line, or one array"))
            })?;
            self.add(number + 1, value)?;
        }
        Ok(())
    }

    fn add_array(&mut self, text: &str) -> Result<(), Error> {
        let values: Vec<Value> =
            serde_json::from_str(text).map_err(|error| self.problem(format!("not a JSON array: {error}")))?;
        values.into_iter().enumerate().try_for_each(|(number, value)| self.add(number + 1, value))
    }

    fn add(&mut self, number: usize, value: Value) -> Result<(), Error> {
        let row = match value {
            Value::Object(fields) => fields,
            Value::String(text) => row_of_text(text),
            _ => return Err(self.row_problem(number, "neither an object nor a text".into())),
        };
        self.rows.push(row);
        self.numbers.push(number);
        Ok(())
    }

    fn response(&self, place: usize, fields: &Map<String, Value>) -> Result<Row, Error> {
        let hypothesis = RESPONSE_FIELDS.iter().find_map(|name| fields.get(*name)?.as_str()).ok_or_else(|| {
            let fields = RESPONSE_FIELDS.join("`, `");
            self.problem_at(place, format!("no response: one of the fields `{fields}` must hold a text"))
        })?;
        let references = match self.texts(place, fields, &REFERENCE_FIELDS)? {
            Some(texts) => texts,
            None => last_answer(fields).filter(|_| fields.contains_key("model_response")).into_iter().collect(),
        };
        Ok(Row {
            hypothesis: hypothesis.to_owned(),
            references,
            key: key(place, fields),
            fields: fields.clone(),
            reference_fields: Map::new(),
        })
    }

    /// The texts of a row in a file of references.
    fn references(&self, place: usize, fields: &Map<String, Value>) -> Result<Vec<String>, Error> {
        let found = self.texts(place, fields, &REFERENCE_FILE_FIELDS)?;
        found.or_else(|| last_answer(fields).map(|answer| vec![answer])).ok_or_else(|| {
            let fields = REFERENCE_FILE_FIELDS.join("`, `");
            self.problem_at(place, format!("no reference: one of the fields `{fields}` must hold a text or texts"))
        })
    }

    /// The texts of the first of these fields that has any.
    fn texts(&self, place: usize, fields: &Map<String, Value>, names: &[&str]) -> Result<Option<Vec<String>>, Error> {
        for name in names {
            let texts = match fields.get(*name) {
                Some(Value::String(text)) => vec![text.clone()],
                Some(Value::Array(texts)) if !texts.is_empty() => {
                    let texts: Option<Vec<String>> = texts.iter().map(|text| Some(text.as_str()?.to_owned())).collect();
                    texts.ok_or_else(|| self.problem_at(place, format!("`{name}` holds something that is no text")))?
                }
                _ => continue,
            };
            return Ok(Some(texts));
        }
        Ok(None)
    }

    /// The rows that these responses' references stand in.
    fn places_of(&self, rows: &[Row], hypotheses: &Path) -> Result<Vec<usize>, Error> {
        let is_named = |key: &Key| matches!(key, Key::Name(_));
        let keys: Vec<Key> = self.rows.iter().enumerate().map(|(place, fields)| key(place, fields)).collect();
        if keys.iter().all(is_named) && rows.iter().all(|row| is_named(&row.key)) {
            return self.places_by_name(rows, hypotheses, keys);
        }
        let is_of_run = |row: &Row| row.fields.contains_key("example") && row_answered(&row.fields).is_none();
        if rows.iter().any(is_of_run) {
            return Err(self.problem(format!(
                "its rows have no `example` or `id`, but a run's responses come in any order: {} needs references with \
                 the ids of its examples, as `prepare` writes them",
                hypotheses.display()
            )));
        }
        self.places_by_number(rows, hypotheses)
    }

    fn places_by_name(&self, rows: &[Row], hypotheses: &Path, keys: Vec<Key>) -> Result<Vec<usize>, Error> {
        let mut places = BTreeMap::new();
        for (place, key) in keys.into_iter().enumerate() {
            if let Some(other) = places.insert(key, place) {
                let problem = format!("has the same name as row {}", self.numbers[other]);
                return Err(self.problem_at(place, problem));
            }
        }
        let missing: Vec<String> = rows.iter().filter(|row| !places.contains_key(&row.key)).map(Row::id).collect();
        match missing.first() {
            Some(first) => Err(self.problem(format!(
                "no reference for `{first}`, nor for {} more of the {} responses of {}",
                missing.len() - 1,
                rows.len(),
                hypotheses.display()
            ))),
            None => Ok(rows.iter().map(|row| places[&row.key]).collect()),
        }
    }

    /// Line by line, or by the rows' own account of which line they answer.
    fn places_by_number(&self, rows: &[Row], hypotheses: &Path) -> Result<Vec<usize>, Error> {
        let answers: Option<Vec<usize>> = rows.iter().map(|row| row_answered(&row.fields)).collect();
        let fits = match &answers {
            Some(places) => places.iter().all(|place| *place < self.rows.len()),
            None => rows.len() == self.rows.len(),
        };
        if fits {
            return Ok(answers.unwrap_or_else(|| (0..rows.len()).collect()));
        }
        let (references, responses) = (self.rows.len(), rows.len());
        let hypotheses = hypotheses.display();
        Err(self.problem(format!("{references} references do not fit the {responses} responses of {hypotheses}")))
    }

    fn layouts(&self) -> String {
        let mut layouts: Vec<&str> = self.rows.iter().filter_map(|fields| fields.get("layout")?.as_str()).collect();
        layouts.sort_unstable();
        layouts.dedup();
        if layouts.is_empty() { "none are named".into() } else { layouts.join(", ") }
    }

    fn problem_at(&self, place: usize, problem: String) -> Error {
        self.row_problem(self.numbers.get(place).copied().unwrap_or(place + 1), problem)
    }

    fn row_problem(&self, number: usize, problem: String) -> Error {
        self.problem(format!("row {number}: {problem}"))
    }

    fn problem(&self, problem: String) -> Error {
        Error::Resource { path: self.file.clone(), problem }
    }
}

fn row_of_text(text: String) -> Map<String, Value> {
    Map::from_iter([("text".to_owned(), json!(text))])
}

fn key(place: usize, fields: &Map<String, Value>) -> Key {
    let name = ID_FIELDS.iter().find_map(|name| match fields.get(*name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    name.map_or_else(|| Key::Place(row_answered(fields).unwrap_or(place)), Key::Name)
}

/// Which row of its file a generated answer is about, from 0.
fn row_answered(fields: &Map<String, Value>) -> Option<usize> {
    usize::try_from(fields.get("row")?.as_u64()?).ok()
}

/// The reference of a chat: its last message, if it is the assistant's.
fn last_answer(fields: &Map<String, Value>) -> Option<String> {
    let last = fields.get("messages")?.as_array()?.last()?;
    (last["role"] == "assistant").then(|| last["content"].as_str().map(str::to_owned)).flatten()
}

/// A value as a label: several texts (the strategies of a turn, say) are joined.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => Some(values.iter().filter_map(written).collect::<Vec<_>>().join(" + ")),
        other => Some(other.to_string()),
    }
}
