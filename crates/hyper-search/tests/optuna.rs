//! Studies that come from Optuna's journals and go there. `data/optuna/make.py` has made those of Optuna.

use std::path::{Path, PathBuf};

use hyper_search::{ActiveTrial, Direction, Outcome, SearchError, Study, StudyOptions, Trial, TrialState};
use serde_json::{Value, json};

use crate::common::Scatter;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/optuna").join(name)
}

fn empty(direction: Direction) -> Study {
    Study::in_memory(StudyOptions::new(direction, Scatter).name("second")).unwrap()
}

#[test]
fn a_journal_of_optuna_is_read_as_optuna_reads_it() {
    let study = empty(Direction::Maximize);
    assert_eq!(study.import_optuna(data("study.log"), Some("second")).unwrap(), 10);
    let told: Value = serde_json::from_slice(&std::fs::read(data("study.json")).unwrap()).unwrap();
    let trials = study.trials().unwrap();
    for (trial, told) in trials.iter().zip(told["trials"].as_array().unwrap()) {
        let (state, failure) = match told["state"].as_str().unwrap() {
            "COMPLETE" if told["value"].is_string() => (TrialState::Failed, Some("its value is not finite")),
            "COMPLETE" => (TrialState::Complete, None),
            "PRUNED" => (TrialState::Pruned, None),
            "FAIL" => (TrialState::Failed, None),
            "WAITING" => (TrialState::Waiting, None),
            _ => (TrialState::Failed, Some("it was running when it was taken over")),
        };
        assert_eq!((trial.state, trial.failure()), (state, failure), "{told}");
        assert_eq!(Value::Object(trial.external_parameters()), told["params"]);
        if state == TrialState::Waiting {
            assert_eq!(trial.system_attributes["fixed_params"], json!({"rate": 2e-5}));
            continue;
        }
        assert_eq!(trial.value, told["value"].as_f64());
        assert_eq!(Value::Object(trial.attributes.clone()), told["user_attrs"]);
        for (step, value) in &trial.reports {
            let told = &told["reports"][step.to_string()];
            assert_eq!(*value, told.as_f64().unwrap_or(f64::INFINITY));
        }
        assert_eq!(trial.reports.len(), told["reports"].as_object().unwrap().len());
        assert!((trial.started.unwrap() - told["started"].as_f64().unwrap()).abs() < 1e-5);
        let ended = told["ended"].as_f64();
        assert!(ended.is_none_or(|ended| (trial.ended.unwrap() - ended).abs() < 1e-5));
    }
    let next = study.ask().unwrap();
    assert_eq!(next.number(), 9);
    next.fail("enough").unwrap();
}

#[test]
fn what_is_exported_is_imported_again() {
    let study = empty(Direction::Minimize);
    let run = |trial: &mut ActiveTrial| -> Result<Outcome, SearchError> {
        let x = trial.float("x", 0.1..=0.7)?;
        trial.int("n", 1..=3)?;
        trial.categorical("c", &[0.1, 0.25])?;
        trial.report(2, x)?;
        trial.set_attribute("note", "a\nb")?;
        match trial.number() % 3 {
            0 => Ok(Outcome::Complete(x)),
            1 => Ok(Outcome::Pruned),
            _ => Err(SearchError::Search("on purpose".into())),
        }
    };
    study.optimize(6, run).unwrap();
    study.enqueue([("x", json!(0.5))]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optuna.log");
    study.export_optuna(&path).unwrap();
    let again = empty(Direction::Minimize);
    assert_eq!(again.import_optuna(&path, None).unwrap(), 7);
    let without_times = |study: &Study| -> Vec<Trial> {
        let known = study.trials().unwrap();
        known.into_iter().map(|trial| Trial { started: None, ended: None, ..trial }).collect()
    };
    assert_eq!(without_times(&study), without_times(&again));
}

#[test]
fn journals_that_do_not_fit_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("optuna.log");
    let study_line = r#"{"op_code": 0, "worker_id": "w", "study_name": "a", "directions": [1]}"#;
    let trial_line = r#"{"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": null}"#;
    for (lines, problem) in [
        (vec![], "holds the studies []; say which"),
        (vec!["{}"], "line 1: has no `op_code`"),
        (vec!["[1"], "line 1: not an operation"),
        (vec![r#"{"op_code": 77}"#], "the operation 77 is not known"),
        (vec![trial_line], "there is no study 0 yet"),
        (vec![study_line, r#"{"op_code": 7, "trial_id": 0, "step": 1}"#], "line 2: there is no trial 0 yet"),
        (vec![study_line, trial_line, r#"{"op_code": 7, "trial_id": 0, "step": -1}"#], "`step` is no whole number"),
        (vec![study_line, trial_line, r#"{"op_code": 6, "trial_id": 0, "state": 9}"#], "9 is no state"),
        (
            vec![
                study_line,
                trial_line,
                r#"{"op_code": 5, "trial_id": 0, "param_name": "x", "param_value_internal": 7, "distribution": "{\"name\": \"IntDistribution\", \"attributes\": {\"low\": 1, \"high\": 2, \"step\": 1, \"log\": false}}"}"#,
            ],
            "line 3: the parameter `x` has the value 7",
        ),
        (vec![r#"{"op_code": 0, "study_name": "a", "directions": [2]}"#], "has the directions [Maximize]"),
        (vec![r#"{"op_code": 0, "study_name": "a", "directions": [1, 1]}"#], "has the directions [Minimize, Minimize]"),
        (vec![r#"{"op_code": 0, "study_name": "a", "directions": [0]}"#], "0 is no direction"),
        (vec![study_line, r#"{"op_code": 1, "study_id": 0}"#], "holds the studies []"),
    ] {
        std::fs::write(&path, lines.join("\n")).unwrap();
        let study = empty(Direction::Minimize);
        let told = study.import_optuna(&path, None).unwrap_err().to_string();
        assert!(told.contains(problem) && told.contains("optuna.log"), "{told}");
        assert!(study.trials().unwrap().is_empty());
    }
    let told = empty(Direction::Minimize).import_optuna(data("study.log"), Some("third")).unwrap_err().to_string();
    assert!(told.contains(r#"holds no study `third`; it holds ["empty", "second"]"#), "{told}");
}
