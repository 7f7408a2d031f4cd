//! Responses with their strategies, from everything that holds some.

use std::path::{Path, PathBuf};

use command_line::{Failure, dialogues};
use llm_runtime::input_file;
use serde_json::Value;
use strategy_prompting::{ContinuationRecord, Layout, TornLine, UNCONDITIONAL, read_records, tidy_response};

use crate::adherence::records_file;

/// A response.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Response {
    /// Its id; where there is none, file and line.
    pub(super) id: String,
    pub(super) text: String,
    /// The strategy it was asked for or is known to follow.
    pub(super) strategy: Option<String>,
    /// What it belongs to; where that is not told, its own id.
    pub(super) conversation: String,
    /// Of a generated response.
    pub(super) layout: Option<Layout>,
}

/// All responses of files, run folders, corpora and built-in dialogues.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Vec<Response>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        let found = read(path)?;
        if found.is_empty() {
            return Err(Failure::work(format!("{}: no response is in it", path.display())));
        }
        all.extend(found);
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<Response>, Failure> {
    let name = path.to_string_lossy();
    let is_built_in = ["demo", "demo-train"].contains(&name.split(':').next().unwrap_or_default());
    if path.is_dir() || is_built_in {
        return if is_built_in { examples(path) } else { records(&records_file(path)) };
    }
    let text = input_file::read_text(path).map_err(|error| Failure::work(format!("{name}: {error}")))?;
    match rows(path, beginning(&text))?.first() {
        Some((_, row)) if row.get("finish_reason").is_some() => records(path),
        Some((_, row)) if row.get("dialog").is_some() && row.get("response").is_none() => examples(path),
        _ => rows(path, &text)?.iter().map(|(place, row)| response(place, row)).collect(),
    }
}

/// What tells the kind of file: the first line, or a whole JSON array.
fn beginning(text: &str) -> &str {
    let start = text.len() - text.trim_start().len();
    let end = text[start..].find('\n').map_or(text.len(), |length| start + length);
    if text[start..].starts_with('[') { text } else { &text[..end] }
}

/// Continuations, as their post-processing leaves them.
fn records(path: &Path) -> Result<Vec<Response>, Failure> {
    let response = |record: ContinuationRecord| Response {
        text: tidy_response(&record.text, &record.strategy),
        strategy: (record.strategy != UNCONDITIONAL).then_some(record.strategy),
        conversation: record.conversation,
        layout: Some(record.layout),
        id: record.id,
    };
    read_records(path, TornLine::Skip)?.map(|record| Ok(response(record?))).collect()
}

/// What supporters of dialogues really said, with the first strategy of each turn.
fn examples(path: &Path) -> Result<Vec<Response>, Failure> {
    let response = |example: esconv_data::Example| Response {
        id: example.id,
        text: example.response.trim().to_owned(),
        strategy: example.strategy.into_iter().next(),
        conversation: example.conversation,
        layout: None,
    };
    Ok(dialogues::examples(path)?.into_iter().map(response).collect())
}

/// The objects of a JSON array or of JSON Lines, each with its place for messages.
fn rows(path: &Path, text: &str) -> Result<Vec<(String, Value)>, Failure> {
    let not_json = |place: String, error: serde_json::Error| Failure::work(format!("{place}: not JSON: {error}"));
    if text.trim_start().starts_with('[') {
        let rows: Vec<Value> =
            serde_json::from_str(text).map_err(|error| not_json(path.display().to_string(), error))?;
        let place = |(number, row)| (format!("{}, item {}", path.display(), number + 1), row);
        return Ok(rows.into_iter().enumerate().map(place).collect());
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let place = format!("{}, line {}", path.display(), number + 1);
            match serde_json::from_str(line) {
                Ok(row) => Ok((place, row)),
                Err(error) => Err(not_json(place, error)),
            }
        })
        .collect()
}

fn response(place: &str, row: &Value) -> Result<Response, Failure> {
    let text = ["sentence", "text", "response"].into_iter().find_map(|name| row[name].as_str());
    let last_message = || row["messages"].as_array()?.last()?["content"].as_str();
    let text = text.or_else(last_message).ok_or_else(|| {
        Failure::work(format!("{place}: none of `sentence`, `text`, `response` and `messages` holds a text"))
    })?;
    let strategy = match ["strategy", "label"].into_iter().map(|name| &row[name]).find(|value| !value.is_null()) {
        None => None,
        Some(Value::String(name)) if name == UNCONDITIONAL => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        // A turn that follows several strategies counts as the first.
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            names.first().and_then(Value::as_str).map(str::to_owned)
        }
        Some(other) => return Err(Failure::work(format!("{place}: the label is {other}: expected a name"))),
    };
    let named = |name: &str| row[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let id = named("id").unwrap_or_else(|| place.to_owned());
    Ok(Response {
        text: text.trim().to_owned(),
        strategy,
        conversation: named("conversation").unwrap_or_else(|| id.clone()),
        layout: None,
        id,
    })
}

/// What was left out of a set of labelled responses.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub(super) struct LeftOut {
    /// Responses without a text.
    pub(super) empty: usize,
    /// Responses without a strategy.
    pub(super) unlabelled: usize,
    /// Responses with a strategy that is none of the classes.
    pub(super) unknown: usize,
}

impl LeftOut {
    pub(super) fn total(&self) -> usize {
        self.empty + self.unlabelled + self.unknown
    }
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "left out: {} without a text, {} without a strategy, {} with one that is none of the classes",
            self.empty, self.unlabelled, self.unknown
        )
    }
}

/// The responses that have a text and a strategy.
pub(super) fn usable(responses: Vec<Response>, left_out: &mut LeftOut) -> Vec<(Response, String)> {
    let usable = |response: Response| match (&response.strategy, response.text.is_empty()) {
        (_, true) => {
            left_out.empty += 1;
            None
        }
        (None, _) => {
            left_out.unlabelled += 1;
            None
        }
        (Some(strategy), _) => {
            let strategy = strategy.clone();
            Some((response, strategy))
        }
    };
    responses.into_iter().filter_map(usable).collect()
}

/// The strategies that occur, each once, in the order of their names.
pub(super) fn labels(responses: &[(Response, String)]) -> Vec<String> {
    let mut labels: Vec<String> = responses.iter().map(|(_, strategy)| strategy.clone()).collect();
    labels.sort();
    labels.dedup();
    labels
}

/// The responses whose strategy is one of the classes, with its number.
pub(super) fn numbered(
    responses: Vec<(Response, String)>,
    labels: &[String],
    left_out: &mut LeftOut,
) -> Vec<(Response, usize)> {
    let numbered = |(response, strategy): (Response, String)| {
        let class = labels.iter().position(|label| *label == strategy);
        left_out.unknown += usize::from(class.is_none());
        Some((response, class?))
    };
    responses.into_iter().filter_map(numbered).collect()
}
