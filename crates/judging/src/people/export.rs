//! What annotators said, as Label Studio exports it.

use std::collections::BTreeMap;
use std::path::Path;

use llm_runtime::input_file;
use serde_json::Value;

use super::STRONGEST;
use super::tasks::AnnotationKey;
use crate::error::Error;

/// What one annotator said of one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Preference {
    /// The task; answers of several annotators to one task have the same.
    pub task: String,
    /// The conversation.
    pub conversation: String,
    /// The strategy.
    pub strategy: String,
    /// The systems on the left and on the right.
    pub systems: [String; 2],
    /// Numbers of their answers: SRA, say.
    pub values: Option<[f64; 2]>,
    /// −4 (the left one is better by far) to 4 (the right one is).
    pub preference: i32,
    /// Who said it.
    pub annotator: String,
}

/// What is in an export.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Annotations {
    /// What annotators said.
    pub preferences: Vec<Preference>,
    /// Annotations that were handed in without a preference.
    pub unanswered: usize,
}

/// Reads Label Studio's JSON export of tasks made by [`super::AnnotationTasks`]; the key tells what annotators saw. Cancelled annotations are left out.
///
/// # Errors
/// The file can't be read or is no such export, a task is not in the key, or a preference is not from −4 to 4.
pub fn read_annotations(path: &Path, key: &AnnotationKey) -> Result<Annotations, Error> {
    let mut found = Annotations::default();
    for (row, task) in rows(path)?.iter().enumerate() {
        let refuse = |problem: String| Error::Format { path: path.to_owned(), row: Some(row + 1), problem };
        let name = task["data"]["task"].as_str().ok_or_else(|| refuse("the task has no `data.task`".into()))?;
        let entry = key.tasks.get(name).ok_or_else(|| refuse(format!("task {name} is not in the key")))?;
        let annotations =
            task["annotations"].as_array().ok_or_else(|| refuse("the task has no `annotations`".into()))?;
        for annotation in annotations.iter().filter(|annotation| annotation["was_cancelled"] != true) {
            let results =
                annotation["result"].as_array().ok_or_else(|| refuse("an annotation has no `result`".into()))?;
            let Some(answer) = results.iter().find(|result| result["from_name"] == "preference") else {
                found.unanswered += 1;
                continue;
            };
            found.preferences.push(Preference {
                task: name.to_owned(),
                conversation: entry.conversation.clone(),
                strategy: entry.strategy.clone(),
                systems: entry.systems.clone(),
                values: entry.values,
                preference: preference(&answer["value"]["choices"][0]).map_err(&refuse)?,
                annotator: annotator(annotation),
            });
        }
    }
    Ok(found)
}

/// Reads rows as the published comparison has them: flat objects with `conv_id`, `strategy`, `file_names` (left, right), `model1_sra`, `model2_sra`,
/// `model-preference` and `annotator`. A system is the folder of its file.
///
/// # Errors
/// The file can't be read, or a row lacks a field.
pub fn read_published_comparison(path: &Path) -> Result<Vec<Preference>, Error> {
    let read = |(row, value): (usize, &Value)| {
        let refuse = |problem: String| Error::Format { path: path.to_owned(), row: Some(row + 1), problem };
        let text =
            |field: &str| value[field].as_str().ok_or_else(|| refuse(format!("`{field}` is missing or no text")));
        let number =
            |field: &str| value[field].as_f64().ok_or_else(|| refuse(format!("`{field}` is missing or no number")));
        let file = |at: usize| {
            value["file_names"][at].as_str().ok_or_else(|| refuse("`file_names` must be two file names".into()))
        };
        let (task, strategy) = (text("conv_id")?, text("strategy")?);
        Ok(Preference {
            task: task.to_owned(),
            conversation: task.strip_suffix(strategy).unwrap_or(task).trim_end_matches('_').to_owned(),
            strategy: strategy.to_owned(),
            systems: [folder(file(0)?), folder(file(1)?)],
            values: Some([number("model1_sra")?, number("model2_sra")?]),
            preference: preference(&value["model-preference"]).map_err(&refuse)?,
            annotator: named(&value["annotator"]),
        })
    };
    rows(path)?.iter().enumerate().map(read).collect()
}

fn rows(path: &Path) -> Result<Vec<Value>, Error> {
    let text = input_file::read_text(path).map_err(Error::io(path))?;
    serde_json::from_str(&text).map_err(|error| Error::Format {
        path: path.to_owned(),
        row: None,
        problem: format!("not a JSON array of tasks: {error}"),
    })
}

/// A whole number from −4 to 4, as text or as number.
fn preference(value: &Value) -> Result<i32, String> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64().and_then(|number| i32::try_from(number).ok()),
    };
    number
        .filter(|number: &i32| number.abs() <= STRONGEST)
        .ok_or_else(|| format!("the preference is {value}; expected a whole number from -{STRONGEST} to {STRONGEST}"))
}

fn annotator(annotation: &Value) -> String {
    let by = &annotation["completed_by"];
    match by {
        Value::Object(person) => named(person.get("email").or_else(|| person.get("id")).unwrap_or(&Value::Null)),
        other => named(other),
    }
}

fn named(value: &Value) -> String {
    match value {
        Value::String(name) => name.clone(),
        Value::Null => "unknown".to_owned(),
        other => other.to_string(),
    }
}

/// The folder that a file lies in.
fn folder(file: &str) -> String {
    let parts: Vec<&str> = file.split('/').filter(|part| !part.is_empty()).collect();
    parts.len().checked_sub(2).map_or(file, |at| parts[at]).to_owned()
}

/// Preferences by task and annotator: a row per task, a column per annotator.
pub(super) fn by_task(preferences: &[Preference]) -> Vec<Vec<Option<f64>>> {
    let mut annotators: Vec<&str> = preferences.iter().map(|row| row.annotator.as_str()).collect();
    annotators.sort_unstable();
    annotators.dedup();
    let mut tasks: BTreeMap<&str, Vec<Option<f64>>> = BTreeMap::new();
    for row in preferences {
        let column = annotators.binary_search(&row.annotator.as_str()).unwrap_or(0);
        tasks.entry(&row.task).or_insert_with(|| vec![None; annotators.len()])[column] =
            Some(f64::from(row.preference));
    }
    tasks.into_values().collect()
}
