//! The page of a search: its best trial, all trials, and how values follow from parameters.

use charts::escaped;
use std::path::{Path, PathBuf};

use hyper_search::{ImportanceOptions, Snapshot, Trial, TrialState, importance};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::ReportError;
use super::figures::in_both_themes;
use super::json_lines::{number, read_if_there};
use super::markup::{duration, shown};
use super::page::{Page, absent, table};
use super::run_files::folder_name;
use crate::best_trial::best_trial;

const JOURNAL: &str = "journal.jsonl";
const RESULTS: &str = "study_results.json";
/// What the objective is called in pictures.
const VALUE: &str = "value";
const MISSING: &str = "–";

/// A search, by its journal or, where that is not there, by its results.
#[derive(Debug)]
pub struct StudyFiles {
    folder: PathBuf,
    name: String,
    best: Option<TrialRow>,
    trials: Vec<TrialRow>,
    snapshot: Option<Snapshot>,
}

/// A trial as the page shows it, and as it stands in the results.
#[derive(Debug, Clone, Deserialize)]
struct TrialRow {
    number: u64,
    #[serde(default, deserialize_with = "number")]
    value: Option<f64>,
    params: Map<String, Value>,
    #[serde(default)]
    state: Option<String>,
    #[serde(skip)]
    steps: Option<usize>,
    #[serde(skip)]
    seconds: Option<f64>,
    #[serde(skip)]
    remark: Option<String>,
}

impl StudyFiles {
    /// Whether a folder is that of a search.
    pub fn is_study(folder: &Path) -> bool {
        [JOURNAL, RESULTS].iter().any(|name| folder.join(name).is_file())
    }

    /// Reads the folder of a search, also of one that is going on.
    ///
    /// # Errors
    /// There is no search in it, or its journal or its results are damaged.
    pub fn read(folder: &Path) -> Result<Self, ReportError> {
        let name = folder_name(folder);
        if folder.join(JOURNAL).is_file() {
            let snapshot = Snapshot::read(folder)?;
            let history = snapshot.history();
            let best = best_trial(&history).map(TrialRow::of);
            let trials = history.trials.iter().map(TrialRow::of).collect();
            return Ok(Self { folder: folder.to_owned(), name, best, trials, snapshot: Some(snapshot) });
        }
        #[derive(Deserialize)]
        struct Results {
            #[serde(default)]
            best_trial: Option<TrialRow>,
            all_trials: Vec<TrialRow>,
        }
        let path = folder.join(RESULTS);
        let Some(content) = read_if_there(&path)? else {
            let problem = format!("there is no search in this folder ({JOURNAL} and {RESULTS} are missing)");
            return Err(ReportError::format(folder, problem));
        };
        let Results { best_trial, all_trials } = serde_json::from_slice(&content)
            .map_err(|error| ReportError::line(&path, error.line(), format!("not the results of a search: {error}")))?;
        Ok(Self { folder: folder.to_owned(), name, best: best_trial, trials: all_trials, snapshot: None })
    }
}

impl TrialRow {
    fn of(trial: &Trial) -> Self {
        let state = match trial.state {
            TrialState::Running => "running",
            TrialState::Complete => "complete",
            TrialState::Pruned => "pruned",
            TrialState::Failed => "failed",
            TrialState::Waiting => "waiting",
        };
        Self {
            number: trial.number,
            value: trial.value,
            params: trial.external_parameters(),
            state: Some(state.to_owned()),
            steps: Some(trial.reports.len()),
            // A clock may be set back meanwhile.
            seconds: trial.started.zip(trial.ended).map(|(started, ended)| (ended - started).max(0.0)),
            remark: trial.failure().map(str::to_owned),
        }
    }

    fn cell(&self, column: &Column<'_>) -> String {
        let known = match column {
            Column::Number => Some(self.number.to_string()),
            Column::Value => self.value.map(shown),
            Column::State => self.state.clone(),
            Column::Parameter(name) => self.params.get(*name).map(told),
            Column::Reports => self.steps.map(|count| count.to_string()),
            Column::Time => self.seconds.map(duration),
            Column::Remark => Some(self.remark.clone().unwrap_or_default()),
        };
        known.unwrap_or_else(|| MISSING.to_owned())
    }
}

/// A column of the table of trials.
enum Column<'a> {
    Number,
    Value,
    State,
    Parameter(&'a str),
    Reports,
    Time,
    Remark,
}

impl Column<'_> {
    fn title(&self) -> String {
        match self {
            Self::Number => "Trial",
            Self::Value => VALUE,
            Self::State => "state",
            Self::Parameter(name) => name,
            Self::Reports => "reports",
            Self::Time => "time",
            Self::Remark => "remark",
        }
        .to_owned()
    }
}

/// A search as one page that needs nothing else.
pub fn study_page(study: &StudyFiles) -> String {
    let head = format!(
        "<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<p class=\"folder\">{}</p>",
        escaped(&study.name),
        counts(&study.trials),
        escaped(&study.folder.display().to_string())
    );
    Page::new(format!("{} · persuasion search", study.name), head)
        .section("best", "Best trial", &best(study))
        .section("figures", "Figures", &figures(study))
        .section("trials", "Trials", &all(&study.trials))
        .html()
}

fn counts(trials: &[TrialRow]) -> String {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for state in trials.iter().filter_map(|trial| trial.state.as_deref()) {
        match states.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => states.push((state, 1)),
        }
    }
    let told: Vec<String> = states.iter().map(|(state, count)| format!("{count} {}", escaped(state))).collect();
    match told.is_empty() {
        true => format!("{} trials", trials.len()),
        false => format!("{} trials: {}", trials.len(), told.join(", ")),
    }
}

fn best(study: &StudyFiles) -> String {
    let Some(trial) = &study.best else { return absent("No trial is complete.") };
    let rows: Vec<_> = trial.params.iter().map(|(name, value)| [name.clone(), told(value)]).collect();
    format!(
        "<p class=\"headline\">Trial {}: <strong>{}</strong>; its run is in trials/{:04}</p>{}",
        trial.number,
        trial.value.map_or_else(|| MISSING.to_owned(), shown),
        trial.number,
        table(&["Parameter", "Value"].map(str::to_owned), &rows, false)
    )
}

fn figures(study: &StudyFiles) -> String {
    let Some(snapshot) = &study.snapshot else { return String::new() };
    let history = snapshot.history();
    let mut figures = vec![history.history_figure(VALUE), history.parallel_figure(VALUE), history.slice_figure(VALUE)];
    // Of fewer than two complete trials nothing can be told.
    if let Ok(shares) = importance(&history, &ImportanceOptions::default()) {
        figures.push(history.importance_figure(&shares));
    }
    let pictures: String = figures.iter().map(in_both_themes).collect();
    format!("<div class=\"charts wide\">{pictures}</div>")
}

fn all(trials: &[TrialRow]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in trials.iter().flat_map(|trial| trial.params.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let has = |of: fn(&TrialRow) -> bool| trials.iter().any(of);
    let mut columns = vec![Column::Number, Column::Value];
    columns.extend(has(|trial| trial.state.is_some()).then_some(Column::State));
    columns.extend(names.into_iter().map(Column::Parameter));
    columns.extend(has(|trial| trial.steps.is_some()).then_some(Column::Reports));
    columns.extend(has(|trial| trial.seconds.is_some()).then_some(Column::Time));
    columns.extend(has(|trial| trial.remark.is_some()).then_some(Column::Remark));
    let heads: Vec<String> = columns.iter().map(Column::title).collect();
    let rows: Vec<Vec<String>> =
        trials.iter().map(|trial| columns.iter().map(|column| trial.cell(column)).collect()).collect();
    table(&heads, &rows, true)
}

fn told(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), shown),
        other => other.to_string(),
    }
}
