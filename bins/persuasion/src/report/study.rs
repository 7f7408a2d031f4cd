//! The page of a search: its best trial, all trials, and how the parameters matter.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ReportError;
use super::json_lines::{number, read_if_there};
use super::markup::{escaped, shown};
use super::page::{Page, absent, table};
use super::run_files::folder_name;

/// A search, as its results tell it.
#[derive(Debug)]
pub struct StudyFiles {
    folder: PathBuf,
    name: String,
    results: Results,
}

/// `study_results.json`.
#[derive(Debug, Deserialize)]
struct Results {
    #[serde(default)]
    best_trial: Option<TrialRow>,
    all_trials: Vec<TrialRow>,
}

#[derive(Debug, Clone, Deserialize)]
struct TrialRow {
    number: u64,
    #[serde(default, deserialize_with = "number")]
    value: Option<f64>,
    #[serde(default)]
    state: Option<String>,
    params: Map<String, Value>,
}

impl StudyFiles {
    /// Whether a folder is that of a search.
    pub fn is_study(folder: &Path) -> bool {
        ["journal.jsonl", "study_results.json"].iter().any(|name| folder.join(name).is_file())
    }

    /// Reads the folder of a search.
    ///
    /// # Errors
    /// It has no results yet, or they are damaged.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let path = folder.join("study_results.json");
        let Some(content) = read_if_there(&path)? else {
            let problem =
                "study_results.json is not there: the search writes it when it ends; go on with it and ask again";
            return Err(ReportError::format(folder, problem));
        };
        let results = serde_json::from_slice(&content)
            .map_err(|error| ReportError::line(&path, error.line(), format!("not the results of a search: {error}")))?;
        Ok(Self { folder: folder.to_owned(), name: folder_name(folder), results })
    }
}

/// A search as one page that needs nothing else.
pub fn study_page(study: &StudyFiles) -> String {
    let trials = &study.results.all_trials;
    let head = format!(
        "<h1>{}</h1>\n<p class=\"lead\">{} trials.</p>\n<p class=\"folder\">{}</p>",
        escaped(&study.name),
        trials.len(),
        escaped(&study.folder.display().to_string())
    );
    Page::new(format!("{} · persuasion search", study.name), head)
        .section("best", "Best trial", &best(study))
        .section("trials", "Trials", &all(trials))
        .html()
}

fn best(study: &StudyFiles) -> String {
    let Some(trial) = &study.results.best_trial else { return absent("No trial has finished.") };
    let value = trial.value.map_or_else(|| "–".to_owned(), shown);
    let rows: Vec<_> = trial.params.iter().map(|(name, value)| [name.clone(), told(value)]).collect();
    let folder = format!("trials/{:04}", trial.number);
    format!(
        "<p class=\"headline\">Trial {}: <strong>{value}</strong>; its run is in {}</p>{}",
        trial.number,
        escaped(&folder),
        table(&["Parameter", "Value"].map(str::to_owned), &rows, false)
    )
}

fn all(trials: &[TrialRow]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in trials.iter().flat_map(|trial| trial.params.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let has_states = trials.iter().any(|trial| trial.state.is_some());
    let mut heads = vec!["Trial".to_owned(), "value".to_owned()];
    heads.extend(has_states.then(|| "state".to_owned()));
    heads.extend(names.iter().map(|name| (*name).to_owned()));
    let row = |trial: &TrialRow| {
        let mut cells = vec![trial.number.to_string(), trial.value.map_or_else(|| "–".to_owned(), shown)];
        cells.extend(has_states.then(|| trial.state.clone().unwrap_or_default()));
        cells.extend(names.iter().map(|name| trial.params.get(*name).map_or_else(|| "–".to_owned(), told)));
        cells
    };
    table(&heads, &trials.iter().map(row).collect::<Vec<_>>(), true)
}

fn told(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), shown),
        other => other.to_string(),
    }
}
