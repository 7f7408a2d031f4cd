//! What a search tells at its end: `study_results.json`, and a table.

use std::path::Path;

use command_line::Failure;
use hyper_search::{Study, Trial, TrialState};
use llm_runtime::output_file;
use persuasion::best_trial::best_trial;
use serde::Serialize;
use serde_json::{Map, Value};

use super::WANDB_RUN;

/// The file in the study's folder.
const RESULTS_FILE: &str = "study_results.json";

/// As the published searches wrote it, with the states beside; a trial without a value has null.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    best_trial: Option<Row>,
    all_trials: Vec<Row>,
}

#[derive(Debug, Clone, Serialize)]
struct Row {
    number: u64,
    value: Option<f64>,
    params: Map<String, Value>,
    wandb_run_id: Option<String>,
    state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    attributes: Map<String, Value>,
}

/// What a search found, in numbers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SearchOutcome {
    /// The best trial's value.
    pub(crate) best: f64,
    /// The values of all complete trials, by number.
    pub(crate) complete: Vec<f64>,
    /// Trials that were given up.
    pub(crate) pruned: usize,
}

impl Results {
    /// The results in numbers; `None` if no trial is complete.
    pub(crate) fn outcome(&self) -> Option<SearchOutcome> {
        let of = |state| self.all_trials.iter().filter(move |row| row.state == state_name(state));
        Some(SearchOutcome {
            best: self.best_trial.as_ref()?.value?,
            complete: of(TrialState::Complete).filter_map(|row| row.value).collect(),
            pruned: of(TrialState::Pruned).count(),
        })
    }
}

impl From<&Trial> for Row {
    fn from(trial: &Trial) -> Self {
        let value = |(name, internal): &(String, f64)| {
            let distribution = trial.distributions.get(name)?;
            Some((name.clone(), distribution.external(*internal)))
        };
        Self {
            number: trial.number,
            value: trial.value,
            params: trial.parameters.iter().filter_map(value).collect(),
            wandb_run_id: trial.attributes.get(WANDB_RUN).and_then(Value::as_str).map(str::to_owned),
            state: state_name(trial.state),
            reason: trial.failure().map(str::to_owned),
            attributes: trial.attributes.clone(),
        }
    }
}

fn state_name(state: TrialState) -> &'static str {
    match state {
        TrialState::Running => "running",
        TrialState::Complete => "complete",
        TrialState::Pruned => "pruned",
        TrialState::Failed => "failed",
        TrialState::Waiting => "waiting",
    }
}

/// Writes the results of all trials so far.
pub(super) fn write(study: &Study, folder: &Path) -> Result<Results, Failure> {
    let results = study.with_history(|history| Results {
        best_trial: best_trial(history).map(Row::from),
        all_trials: history.trials.iter().map(Row::from).collect(),
    })?;
    let text = serde_json::to_vec_pretty(&results).map_err(Failure::work)?;
    let path = folder.join(RESULTS_FILE);
    // Several processes may end at once.
    output_file::write(&path, text).map_err(Failure::at(&path))?;
    Ok(results)
}

/// One line per trial, the best one marked.
pub(super) fn print(results: &Results, metric: &str) {
    println!("{:>5}  {:<9} {:>12}  parameters", "trial", "state", metric.rsplit('/').next().unwrap_or(metric));
    for row in &results.all_trials {
        let mark = if results.best_trial.as_ref().is_some_and(|best| best.number == row.number) { "*" } else { " " };
        let value = row.value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
        let shown = |(name, value): (&String, &Value)| match value.as_f64() {
            Some(number) if number != 0.0 && number.abs() < 1e-3 => format!("{name} {number:.3e}"),
            _ => format!("{name} {}", value.to_string().trim_matches('"')),
        };
        let parameters: Vec<String> = row.params.iter().map(shown).collect();
        println!("{mark}{:>4}  {:<9} {value:>12}  {}", row.number, row.state, parameters.join(", "));
        if let Some(reason) = &row.reason {
            println!("{:7}{reason}", "");
        }
    }
}
