//! Pruners against Optuna 5.0.0 and 3.6.1: the golden family `hypersearch`.

use golden_files::family;
use hyper_search::{
    Checks, Direction, NoPruner, Outcome, Percentile, Pruner, SearchError, Study, StudyOptions, SuccessiveHalving,
    TrialState, Verdict,
};
use serde_json::Value;

use crate::common::Scatter;

/// Runs one trial after the other along its curve; the answer is where each is given up.
pub(crate) fn pruned_at(
    curves: &[Vec<f64>],
    direction: Direction,
    name: &str,
    pruner: impl Pruner + 'static,
) -> Vec<Option<u64>> {
    let study = Study::in_memory(StudyOptions::new(direction, Scatter).name(name).pruner(pruner)).unwrap();
    let sign = if direction == Direction::Maximize { -1.0 } else { 1.0 };
    let count = curves.len() as u64;
    let mut steps = Vec::new();
    let run = |trial: &mut hyper_search::ActiveTrial| -> Result<Outcome, SearchError> {
        let curve = &curves[trial.number() as usize];
        for (step, value) in (0..).zip(curve) {
            trial.report(step, sign * value)?;
            if trial.should_prune()? {
                steps.push(Some(step));
                return Ok(Outcome::Pruned);
            }
        }
        steps.push(None);
        Ok(Outcome::Complete(sign * curve.last().unwrap()))
    };
    study.optimize(count, run).unwrap();
    let states: Vec<_> = study.trials().unwrap().iter().map(|trial| trial.state).collect();
    let expected = |step: &Option<u64>| if step.is_some() { TrialState::Pruned } else { TrialState::Complete };
    assert_eq!(states, steps.iter().map(expected).collect::<Vec<_>>());
    steps
}

/// A pruner that is chosen when the test runs.
pub(crate) struct Chosen(pub(crate) Box<dyn Pruner>);

impl Pruner for Chosen {
    fn decide(&self, history: &hyper_search::History<'_>, trial: &hyper_search::Trial) -> Result<Verdict, SearchError> {
        self.0.decide(history, trial)
    }
}

fn pruner_of(settings: &Value) -> Chosen {
    let whole = |name: &str, default: u64| settings.get(name).map_or(default, |value| value.as_u64().unwrap());
    let kind = settings["kind"].as_str().unwrap();
    Chosen(match kind {
        "median" | "percentile" => Box::new(Percentile {
            percentile: settings.get("percentile").map_or(50.0, |value| value.as_f64().unwrap()),
            startup_trials: whole("n_startup_trials", 5) as usize,
            checks: Checks { warmup: whole("n_warmup_steps", 0), interval: whole("interval_steps", 1) },
            min_trials: whole("n_min_trials", 1) as usize,
        }),
        "sha" => Box::new(SuccessiveHalving {
            min_resource: settings.get("min_resource").map(|value| value.as_u64().unwrap()),
            reduction_factor: whole("reduction_factor", 4),
            early_stopping_rate: whole("min_early_stopping_rate", 0) as u32,
            bootstrap: whole("bootstrap_count", 0) as usize,
        }),
        "nop" => Box::new(NoPruner),
        other => panic!("the golden pruner `{other}` is not known"),
    })
}

pub(crate) fn direction_of(name: &Value) -> Direction {
    match name.as_str().unwrap() {
        "minimize" => Direction::Minimize,
        "maximize" => Direction::Maximize,
        other => panic!("the direction `{other}` is not known"),
    }
}

#[test]
fn golden_hypersearch_pruners_decide_as_optuna_does() {
    let Some(folder) = family("hypersearch") else { return };
    let golden: Value = serde_json::from_slice(&std::fs::read(folder.join("pruners.json")).unwrap()).unwrap();
    let curves: Vec<Vec<f64>> = serde_json::from_value(golden["curves"].clone()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let steps = pruned_at(&curves, direction_of(&case["direction"]), "golden", pruner_of(&case["params"]));
        let expected: Vec<Option<u64>> = serde_json::from_value(case["pruned_at_step"].clone()).unwrap();
        assert_eq!(steps, expected, "{} {}", case["pruner"], case["direction"]);
    }
}
