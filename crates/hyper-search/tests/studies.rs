//! Studies in one process: parameters, outcomes, enqueued and released trials, resuming.

use std::ops::RangeInclusive;
use std::path::Path;

use hyper_search::{
    ActiveTrial, Direction, Distribution, GridAxis, GridSampler, Outcome, SearchError, Study, StudyOptions, TpeOptions,
    TpeSampler, Trial, TrialState,
};
use serde_json::{Value, json};

use crate::common::Scatter;

fn options() -> StudyOptions {
    StudyOptions::minimize(Scatter).name("test")
}

fn square(trial: &mut ActiveTrial) -> Result<f64, SearchError> {
    let x = trial.float("x", -10.0..=10.0)?;
    Ok((x - 2.0).powi(2))
}

fn states(study: &Study) -> Vec<TrialState> {
    study.trials().unwrap().iter().map(|trial| trial.state).collect()
}

#[test]
fn a_study_remembers_what_its_trials_said() {
    let study = Study::in_memory(options()).unwrap();
    let run = |trial: &mut ActiveTrial| -> Result<f64, SearchError> {
        let rate = trial.log_float("rate", 1e-6..=1e-4)?;
        let share = trial.stepped_float("share", 0.0..=0.5, 0.1)?;
        let epochs = trial.int("epochs", 2..=5)?;
        let width = trial.stepped_int("width", 8..=64, 8)?;
        let depth = trial.log_int("depth", 1..=32)?;
        let kind = trial.categorical("kind", &["cosine", "linear"])?;
        trial.set_attribute("kind in words", format!("a {kind} one"))?;
        trial.report(3, rate)?;
        trial.report(1, 0.5)?;
        Ok(share + (epochs + width + depth) as f64)
    };
    study.optimize(5, run).unwrap();
    let trials = study.trials().unwrap();
    assert_eq!(trials.len(), 5);
    for trial in &trials {
        let names: Vec<_> = trial.parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["rate", "share", "epochs", "width", "depth", "kind"]);
        let seen = trial.external_parameters();
        let kind = seen["kind"].as_str().unwrap();
        assert_eq!(trial.attributes["kind in words"], format!("a {kind} one"));
        assert_eq!(trial.last_report(), seen["rate"].as_f64().map(|rate| (3, rate)));
        assert_eq!(seen["width"].as_i64().unwrap() % 8, 0);
        assert!(trial.started.unwrap() <= trial.ended.unwrap());
    }
    let best = trials.iter().min_by(|left, right| left.value.unwrap().total_cmp(&right.value.unwrap())).unwrap();
    assert_eq!(study.best().unwrap().as_ref(), Some(best));
}

#[test]
fn spaces_are_what_the_objective_asks_for() {
    let study = Study::in_memory(options()).unwrap();
    let run = |trial: &mut ActiveTrial| -> Result<f64, SearchError> {
        match trial.categorical("method", &["forest", "line"])? {
            "forest" => trial.int("trees", 1..=9).map(|trees| trees as f64),
            _ => trial.float("slope", 0.0..=1.0),
        }
    };
    study.optimize(8, run).unwrap();
    let names = |trial: &hyper_search::Trial| trial.parameters[1].0.clone();
    let trials = study.trials().unwrap();
    for trial in &trials {
        let expected = if trial.external_parameters()["method"] == "forest" { "trees" } else { "slope" };
        assert_eq!(names(trial), expected);
    }
    assert!(trials.iter().any(|trial| names(trial) == "trees") && trials.iter().any(|trial| names(trial) == "slope"));
}

#[test]
fn asking_again_gives_the_same_value_and_other_ranges_are_refused() {
    let study = Study::in_memory(options()).unwrap();
    let mut trial = study.ask().unwrap();
    let first = trial.float("x", 0.0..=1.0).unwrap();
    assert_eq!(trial.float("x", 0.0..=1.0).unwrap(), first);
    assert_eq!(trial.state().parameters.len(), 1);
    for (told, problem) in [
        (trial.float("x", 5.0..=6.0).unwrap_err(), "is none of"),
        (trial.int("x", 0..=1).unwrap_err(), "was a real number before, now it is a whole number"),
        (trial.log_float("x", 0.1..=1.0).unwrap_err(), "now it is the logarithm of a real number"),
        (trial.int("n", RangeInclusive::new(2, 1)).unwrap_err(), "expected the smaller first"),
        (trial.categorical::<&str>("c", &[]).unwrap_err(), "it has no choices"),
    ] {
        assert!(told.to_string().contains(problem), "{told}");
    }
    trial.categorical("c", &["a", "b"]).unwrap();
    let told = trial.categorical("c", &["a", "c"]).unwrap_err().to_string();
    assert!(told.contains(r#"had the choices ["a","b"] before, now ["a","c"]"#), "{told}");
    trial.complete(first).unwrap();
}

#[test]
fn failures_have_reasons_and_no_values() {
    let study = Study::in_memory(options()).unwrap();
    let run = |trial: &mut ActiveTrial| match trial.number() {
        0 => Err(String::from("out of memory")),
        1 => Ok(f64::NAN),
        2 => Ok(f64::INFINITY),
        number => Ok(number as f64),
    };
    study.optimize(4, run).unwrap();
    let trials = study.trials().unwrap();
    let failures: Vec<_> = trials.iter().map(|trial| trial.failure()).collect();
    assert_eq!(failures, [Some("out of memory"), Some("its value is NaN"), Some("its value is inf"), None]);
    let values: Vec<_> = trials.iter().map(|trial| trial.value).collect();
    assert_eq!(values, [None, None, None, Some(3.0)]);
    assert_eq!(study.best().unwrap().unwrap().number, 3);
}

#[test]
fn a_trial_that_is_dropped_or_panics_has_failed() {
    let study = Study::in_memory(options()).unwrap();
    drop(study.ask().unwrap());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        study.optimize(2, |_| -> Result<f64, SearchError> { panic!("on purpose") })
    }));
    assert!(panicked.is_err());
    study.optimize(3, square).unwrap();
    let failures: Vec<_> = study.trials().unwrap().iter().map(|trial| trial.failure().map(String::from)).collect();
    let expected = [Some("it was dropped before it ended"), Some("the objective panicked"), None];
    assert_eq!(failures, expected.map(|reason| reason.map(String::from)));
}

#[test]
fn the_best_is_the_largest_of_a_study_that_maximizes() {
    let study = Study::in_memory(StudyOptions::maximize(Scatter)).unwrap();
    assert!(study.best().unwrap().is_none());
    study.optimize(5, |trial| Ok::<_, SearchError>([1.0, 5.0, 5.0, -7.0, 2.0][trial.number() as usize])).unwrap();
    assert_eq!((study.best().unwrap().unwrap().number, study.direction()), (1, Direction::Maximize));
}

#[test]
fn what_violates_constraints_is_never_the_best() {
    let study = Study::in_memory(options()).unwrap();
    let run = |trial: &mut ActiveTrial| -> Result<f64, SearchError> {
        let number = trial.number() as f64;
        trial.constrain(&[-1.0, 1.5 - number])?;
        Ok(number)
    };
    study.optimize(2, run).unwrap();
    assert!(study.best().unwrap().is_none());
    study.optimize(4, run).unwrap();
    assert_eq!(study.best().unwrap().unwrap().number, 2);
    assert_eq!(study.trials().unwrap()[0].violation(), 1.5);
}

/// An array, as Optuna wrote it before 5.0, and an attribute for each constraint, as it writes them since.
#[test]
fn constraints_are_read_in_all_forms() {
    let mut trial = Trial::waiting(0);
    for (name, value, violation) in [
        ("constraints", json!([0.5, -3.0]), 0.5),
        ("constraints:memory", json!(2.0), 2.5),
        ("constraints:time", json!(-1.0), 2.5),
        ("constraints_of_another", json!(9.0), 2.5),
    ] {
        trial.system_attributes.insert(name.into(), value);
        assert_eq!(trial.violation(), violation, "{name}");
    }
}

#[test]
fn a_search_over_a_grid_ends_with_the_grid() {
    let axes = vec![GridAxis::all("n", &Distribution::int(1, 2)).unwrap()];
    let study = Study::in_memory(StudyOptions::minimize(GridSampler::new(axes, 1).unwrap())).unwrap();
    let run = |trial: &mut ActiveTrial| trial.int("n", 1..=2).map(|n| n as f64);
    study.optimize(100, run).unwrap();
    let values: Vec<_> = study.trials().unwrap().iter().filter_map(|trial| trial.value).collect();
    assert_eq!((values.len(), values.iter().sum::<f64>()), (2, 3.0));
    // Who asks for a trial all the same is told why there is none.
    let told = study.ask().err().unwrap().to_string();
    assert_eq!(study.trials().unwrap()[2].failure(), Some(told.as_str()));
}

#[test]
fn a_resumed_search_by_tpe_is_as_an_uninterrupted_one() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let tpe = || StudyOptions::minimize(TpeSampler::new(TpeOptions::default()).unwrap()).name("test");
    let run = |trial: &mut ActiveTrial| -> Result<f64, SearchError> {
        let y = trial.log_float("y", 1e-3..=1e3)?;
        Ok(square(trial)? + y.ln().abs())
    };
    Study::create(whole.path(), tpe()).unwrap().optimize(24, run).unwrap();
    for trials in [7, 13, 24] {
        Study::open_or_create(parts.path(), tpe()).unwrap().optimize(trials, run).unwrap();
    }
    let parameters = |folder: &Path| {
        let trials = Study::open(folder, tpe()).unwrap().trials().unwrap();
        trials.into_iter().map(|trial| trial.parameters).collect::<Vec<_>>()
    };
    assert_eq!(parameters(whole.path()), parameters(parts.path()));
}

#[test]
fn enqueued_values_come_first_and_once() {
    let folder = tempfile::tempdir().unwrap();
    for is_new in [true, false] {
        let study = Study::open_or_create(folder.path(), options()).unwrap();
        assert_eq!(study.enqueue([("x", json!(2.0))]).unwrap(), is_new);
        assert_eq!(study.enqueue([("x", json!(2)), ("kind", json!("b"))]).unwrap(), is_new);
    }
    let study = Study::open(folder.path(), options()).unwrap();
    study.enqueue([("x", json!(11.0))]).unwrap();
    let run = |trial: &mut ActiveTrial| -> Result<f64, SearchError> {
        trial.categorical("kind", &["a", "b"])?;
        square(trial)
    };
    study.optimize(4, run).unwrap();
    let trials = study.trials().unwrap();
    let seen = |number: usize, name: &str| trials[number].external_parameters()[name].clone();
    assert_eq!((seen(0, "x"), seen(1, "x"), seen(1, "kind")), (json!(2.0), json!(2.0), json!("b")));
    assert_eq!(
        trials[2].failure(),
        Some("the parameter `x`: 11.0 is not one of its values, which are numbers from -10 to 10")
    );
    assert_eq!((trials[3].state, trials.len()), (TrialState::Complete, 4));
}

#[test]
fn a_released_trial_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let begun = {
        let study = Study::create(folder.path(), options()).unwrap();
        let interrupt = |trial: &mut ActiveTrial| -> Result<Outcome, SearchError> {
            let value = square(trial)?;
            trial.report(0, value)?;
            Ok(if trial.number() == 1 { Outcome::Released } else { Outcome::Complete(value) })
        };
        study.optimize(3, interrupt).unwrap();
        assert_eq!(states(&study), [TrialState::Complete, TrialState::Waiting]);
        study.trials().unwrap().remove(1)
    };
    let study = Study::open(folder.path(), options()).unwrap();
    let mut steps = Vec::new();
    let go_on = |trial: &mut ActiveTrial| -> Result<f64, SearchError> {
        steps.push((trial.number(), trial.state().last_report().map(|(step, _)| step)));
        square(trial)
    };
    study.optimize(3, go_on).unwrap();
    assert_eq!(steps, [(1, Some(0)), (2, None)]);
    let trials = study.trials().unwrap();
    assert_eq!(trials[1].parameters, begun.parameters);
    assert_eq!(states(&study), [TrialState::Complete; 3]);
}

#[test]
fn a_resumed_study_is_as_an_uninterrupted_one() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Study::create(whole.path(), options()).unwrap().optimize(9, square).unwrap();
    for trials in [2, 3, 9, 9] {
        Study::open_or_create(parts.path(), options()).unwrap().optimize(trials, square).unwrap();
    }
    let known = |folder: &Path| {
        let trials = Study::open(folder, options()).unwrap().trials().unwrap();
        trials.into_iter().map(|trial| (trial.number, trial.parameters, trial.value)).collect::<Vec<_>>()
    };
    assert_eq!(known(whole.path()), known(parts.path()));
}

#[test]
fn threads_share_a_study() {
    let folder = tempfile::tempdir().unwrap();
    let study = Study::create(folder.path(), options()).unwrap();
    std::thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| study.optimize(24, square).unwrap())));
    });
    let trials = study.trials().unwrap();
    assert_eq!((trials.len(), states(&study)), (24, vec![TrialState::Complete; 24]));
    for trial in trials {
        let x = trial.external_parameters()["x"].as_f64().unwrap();
        assert_eq!(trial.value, Some((x - 2.0).powi(2)));
    }
}

#[test]
fn a_study_is_opened_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let told = |opened: Result<Study, SearchError>| opened.err().unwrap().to_string();
    let path = folder.path().join("study");
    assert!(told(Study::open(&path, options())).contains("there is no study; create one"));
    assert!(!path.exists());
    Study::create(&path, options()).unwrap();
    assert!(told(Study::create(&path, options())).contains("holds a study already; open it"));
    assert!(told(Study::open(&path, options().name("other"))).contains("the study that is there is `test`"));
    assert!(told(Study::open(&path, StudyOptions::maximize(Scatter))).contains("the study that is there has Minimize"));
    let no_heartbeat = options().heartbeat(std::time::Duration::ZERO);
    assert!(told(Study::open(&path, no_heartbeat)).contains("`heartbeat`: is 0"));
    let unnamed = Study::create(folder.path().join("by folder"), StudyOptions::minimize(Scatter)).unwrap();
    assert_eq!(unnamed.name(), "by folder");
}

#[test]
fn non_finite_reports_come_back_and_the_journal_stays_json() {
    let folder = tempfile::tempdir().unwrap();
    {
        let study = Study::create(folder.path(), options()).unwrap();
        let mut trial = study.ask().unwrap();
        for (step, value) in (0..).zip([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2]) {
            trial.report(step, value).unwrap();
        }
        trial.prune().unwrap();
    }
    let text = std::fs::read_to_string(folder.path().join("journal.jsonl")).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    let trial = Study::open(folder.path(), options()).unwrap().trials().unwrap().remove(0);
    assert!(trial.reports[&0].is_nan());
    let rest: Vec<_> = (1..4).map(|step| trial.reports[&step]).collect();
    assert_eq!(rest, [f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2]);
    assert_eq!((trial.state, trial.value), (TrialState::Pruned, Some(0.1 + 0.2)));
}
