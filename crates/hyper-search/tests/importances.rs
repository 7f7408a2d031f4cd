//! Importance of parameters, against Optuna 5.0.0's `PedAnovaImportanceEvaluator` after 60 trials of its TPE with seed 7.

use hyper_search::{
    Baseline, Direction, Distribution, Generator, ImportanceOptions, RandomSampler, TpeOptions, TpeSampler, importance,
};

use crate::plain_study::{PlainStudy, history};

fn study(options: TpeOptions) -> PlainStudy<TpeSampler> {
    let mut study = PlainStudy::new(TpeSampler::new(options).unwrap());
    study.run(60, |asked| {
        let kind = asked.value("kind", &Distribution::categorical(["a", "b"]));
        let width = asked.number("width", &Distribution::log_int(1, 64));
        let x = if kind == "a" {
            asked.number("momentum", &Distribution::stepped_float(0.0, 1.0, 0.125))
        } else {
            asked.number("decay", &Distribution::float(0.0, 2.0))
        };
        (if kind == "b" { 0.3 } else { 0.0 }) + (x - 0.5f64).powi(2) + (width / 9.0).ln().abs()
    });
    study
}

fn assert_shares(found: &[(String, f64)], expected: &[(&str, f64)]) {
    assert_eq!(found.len(), expected.len());
    for ((name, share), (expected_name, expected)) in found.iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert!((share - expected).abs() < 1e-9, "{name}: {share} is not {expected}");
    }
}

#[test]
fn shares_are_optunas() {
    let study = study(TpeOptions::optuna_5(7));
    let compared =
        |baseline| importance(&study.history(), &ImportanceOptions { baseline, ..Default::default() }).unwrap();
    assert_shares(&compared(Baseline::Trials), &TRIALS);
    assert_shares(&compared(Baseline::Space), &SPACE);
}

#[test]
fn shares_are_those_of_the_better_direction() {
    let mut study = study(TpeOptions::default());
    let smaller = importance(&study.history(), &ImportanceOptions::default()).unwrap();
    study.direction = Direction::Maximize;
    assert_ne!(importance(&study.history(), &ImportanceOptions::default()).unwrap(), smaller);
    study.trials.iter_mut().for_each(|trial| trial.value = trial.value.map(|value| -value));
    assert_eq!(importance(&study.history(), &ImportanceOptions::default()).unwrap(), smaller);
}

#[test]
fn what_the_objective_ignores_matters_least() {
    let mut study = PlainStudy::new(RandomSampler::new(Generator::PerTrial { seed: 3 }));
    study.run(300, |asked| {
        let _ignored = asked.number("ignored", &Distribution::float(0.0, 1.0));
        let _single = asked.number("single", &Distribution::int(3, 3));
        10.0 * asked.number("much", &Distribution::float(0.0, 1.0))
            + asked.number("little", &Distribution::float(0.0, 1.0))
    });
    let found = importance(&study.history(), &ImportanceOptions::default()).unwrap();
    assert_eq!((found[0].0.as_str(), found[3].0.as_str(), found[3].1), ("much", "single", 0.0));
    assert!((found.iter().map(|(_, share)| share).sum::<f64>() - 1.0).abs() < 1e-12);
}

#[test]
fn equal_trials_have_equal_shares() {
    let mut study = PlainStudy::new(RandomSampler::new(Generator::PerTrial { seed: 3 }));
    study.run(9, |asked| {
        let [_a, _b] = ["a", "b"].map(|name| asked.number(name, &Distribution::float(0.0, 1.0)));
        1.0
    });
    let found = importance(&study.history(), &ImportanceOptions::default()).unwrap();
    assert_eq!(found, [("a".to_owned(), 0.5), ("b".to_owned(), 0.5)]);
}

#[test]
fn too_few_trials_and_odd_fractions_are_refused() {
    let problem = importance(&history(Direction::Minimize, &[]), &ImportanceOptions::default()).unwrap_err();
    assert!(problem.to_string().contains("two complete trials"), "{problem}");
    for good in [0.0, 1.0, f64::NAN] {
        let options = ImportanceOptions { good, ..Default::default() };
        let problem = importance(&study(TpeOptions::default()).history(), &options).unwrap_err();
        assert!(problem.to_string().contains("good"), "{problem}");
    }
}

const TRIALS: [(&str, f64); 4] =
    [("width", 0.6264099069736502), ("momentum", 0.35841148762019015), ("kind", 0.01517860540615966), ("decay", 0.0)];
const SPACE: [(&str, f64); 4] =
    [("width", 0.6372468120611362), ("momentum", 0.32888926788467565), ("kind", 0.03386392005418833), ("decay", 0.0)];
