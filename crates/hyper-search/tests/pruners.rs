//! Pruners beside the golden ones, against Optuna, and what they refuse.

use std::path::Path;

use hyper_search::{
    Checks, Direction, Hyperband, Outcome, Patient, Percentile, Pruner, SearchError, Study, StudyOptions,
    SuccessiveHalving, Threshold, TrialState, Wilcoxon,
};
use serde_json::Value;

use crate::common::Scatter;
use crate::golden_pruners::{Chosen, direction_of, pruned_at};

fn pruner(name: &str) -> Box<dyn Pruner> {
    let checks = Checks { warmup: 5, interval: 4 };
    match name {
        "hyperband" => Box::new(Hyperband::default()),
        "hyperband_2_20_2" => {
            Box::new(Hyperband { min_resource: 2, max_resource: Some(20), reduction_factor: 2, bootstrap: 0 })
        }
        "hyperband_1_243_3_bootstrap1" => {
            Box::new(Hyperband { max_resource: Some(243), bootstrap: 1, ..Hyperband::default() })
        }
        "halving" => Box::new(SuccessiveHalving::default()),
        "halving_2_3_1_bootstrap2" => Box::new(SuccessiveHalving {
            min_resource: Some(2),
            reduction_factor: 3,
            early_stopping_rate: 1,
            bootstrap: 2,
        }),
        "patient_alone_3" => Box::new(Patient::alone(3)),
        "patient_median_2_0.1" => {
            let median = Percentile { startup_trials: 3, ..Percentile::median() };
            Box::new(Patient { min_difference: 0.1, ..Patient::new(median, 2) })
        }
        "threshold" => Box::new(Threshold { lower: Some(-1.0), upper: Some(1.0), checks }),
        "wilcoxon" => Box::new(Wilcoxon::default()),
        "wilcoxon_0.3_8" => Box::new(Wilcoxon { p: 0.3, startup_steps: 8 }),
        other => panic!("the pruner `{other}` is not known"),
    }
}

/// `data/pruners/make.py` has asked Optuna.
#[test]
fn all_pruners_decide_as_optunas() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pruners/decisions.json");
    let told: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let curves: Vec<Vec<f64>> = serde_json::from_value(told["curves"].clone()).unwrap();
    for case in told["cases"].as_array().unwrap() {
        let (name, direction) = (case["pruner"].as_str().unwrap(), direction_of(&case["direction"]));
        let steps = pruned_at(&curves, direction, "decisions", Chosen(pruner(name)));
        let expected: Vec<Option<u64>> = serde_json::from_value(case["pruned_at_step"].clone()).unwrap();
        assert_eq!(steps, expected, "{name} {direction:?}");
    }
}

#[test]
fn nan_is_never_good_enough() {
    let curves = vec![vec![1.0, 1.0], vec![f64::NAN, f64::NAN], vec![f64::NAN, 0.5]];
    let median = || Percentile { startup_trials: 1, ..Percentile::median() };
    let halving = || SuccessiveHalving { min_resource: Some(1), ..SuccessiveHalving::default() };
    for direction in [Direction::Minimize, Direction::Maximize] {
        assert_eq!(pruned_at(&curves, direction, "nan", median()), [None, Some(0), Some(0)]);
        assert_eq!(pruned_at(&curves, direction, "nan", Threshold::above(9.0)), [None, Some(0), Some(0)]);
    }
    assert_eq!(pruned_at(&curves, Direction::Minimize, "nan", halving()), [None, Some(1), None]);
}

#[test]
fn a_pruned_trial_has_the_value_it_reported_last_and_remembers_its_rungs() {
    let halving = SuccessiveHalving { min_resource: Some(1), reduction_factor: 2, ..SuccessiveHalving::default() };
    let study = Study::in_memory(StudyOptions::minimize(Scatter).pruner(halving)).unwrap();
    let run = |trial: &mut hyper_search::ActiveTrial| -> Result<Outcome, SearchError> {
        let level = trial.number() as f64;
        for step in 0..4 {
            trial.report(step, level + 1.0 / (step + 1) as f64)?;
            if trial.should_prune()? {
                return Ok(Outcome::Pruned);
            }
        }
        Ok(Outcome::Complete(level))
    };
    study.optimize(2, run).unwrap();
    let trials = study.trials().unwrap();
    assert_eq!(trials[0].system_attributes["completed_rung_1"], 1.0 / 3.0);
    assert_eq!((trials[1].state, trials[1].value), (TrialState::Pruned, Some(1.5)));
    assert_eq!(trials[1].system_attributes["completed_rung_0"], 1.5);
    assert!(!trials[1].system_attributes.contains_key("completed_rung_1"));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let refused: [(Box<dyn Pruner>, &str); 11] = [
        (Box::new(Percentile::new(101.0)), "`pruner.percentile`: is 101"),
        (Box::new(Percentile { min_trials: 0, ..Percentile::median() }), "`pruner.min_trials`: is 0"),
        (
            Box::new(Threshold { checks: Checks { warmup: 0, interval: 0 }, ..Threshold::above(1.0) }),
            "`pruner.interval`: is 0",
        ),
        (Box::new(Threshold { lower: Some(2.0), ..Threshold::above(1.0) }), "`pruner.lower`: the bounds 2 and 1"),
        (Box::new(SuccessiveHalving { min_resource: Some(0), ..Default::default() }), "`pruner.min_resource`: is 0"),
        (Box::new(SuccessiveHalving { reduction_factor: 1, ..Default::default() }), "`pruner.reduction_factor`: is 1"),
        (Box::new(SuccessiveHalving { bootstrap: 1, ..Default::default() }), "`pruner.bootstrap`: can't be chosen"),
        (Box::new(Hyperband { max_resource: Some(0), ..Default::default() }), "`pruner.max_resource`: is smaller"),
        (Box::new(Hyperband { bootstrap: 1, ..Default::default() }), "`pruner.bootstrap`: can't be chosen"),
        (Box::new(Patient { min_difference: -1.0, ..Patient::alone(1) }), "`pruner.min_difference`: is -1"),
        (Box::new(Wilcoxon { p: f64::NAN, ..Default::default() }), "`pruner.p`: is NaN"),
    ];
    for (pruner, problem) in refused {
        let study = Study::in_memory(StudyOptions::minimize(Scatter).pruner(Chosen(pruner))).unwrap();
        let mut trial = study.ask().unwrap();
        trial.report(0, 1.0).unwrap();
        let told = trial.should_prune().unwrap_err().to_string();
        assert!(told.contains(problem), "{told}");
        trial.fail("settings").unwrap();
    }
}

#[test]
fn huge_steps_and_factors_have_no_rungs_beyond() {
    let huge = SuccessiveHalving {
        min_resource: Some(u64::MAX),
        reduction_factor: u64::MAX,
        early_stopping_rate: u32::MAX,
        bootstrap: 0,
    };
    assert_eq!(pruned_at(&[vec![1.0], vec![2.0]], Direction::Minimize, "huge", huge), [None, None]);
    let wide = Hyperband { min_resource: 1, max_resource: Some(u64::MAX), reduction_factor: 2, bootstrap: 0 };
    assert_eq!(pruned_at(&[vec![1.0], vec![2.0]], Direction::Minimize, "wide", wide).len(), 2);
}
