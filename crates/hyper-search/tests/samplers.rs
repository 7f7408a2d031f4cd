//! What samplers promise, and what the golden files leave open, against numbers of Optuna 5.0.0.

use std::collections::{BTreeMap, BTreeSet};

use hyper_search::{
    CONSTRAINTS, Direction, Distribution, Generator, GridAxis, GridSampler, History, JOINTLY, RandomSampler, Sampler,
    SearchError, SobolSampler, StartUp, TpeOptions, TpeSampler, TrialState,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::plain_study::{Asked, PlainStudy, history, trial};

/// Conditional parameters, a logarithmic whole number, a grid of fractions, constraints, pruned and failed trials, maximised:
/// `TPESampler(seed=7, group=group)` of Optuna 5.0.0.
fn conditional(group: bool) -> Vec<(String, f64, f64)> {
    let options = TpeOptions { group, ..TpeOptions::optuna_5(7) };
    let mut study = PlainStudy::new(TpeSampler::new(options).unwrap());
    study.direction = Direction::Maximize;
    let mut suggested = Vec::new();
    for number in 0..60 {
        let mut asked = study.ask();
        let kind = asked.value("kind", &Distribution::categorical(["a", "b", "c"]));
        let width = asked.number("width", &Distribution::log_int(1, 64));
        let x = if kind == "a" {
            asked.number("momentum", &Distribution::stepped_float(0.0, 1.0, 0.125))
        } else {
            asked.number("decay", &Distribution::float(0.0, 2.0))
        };
        let value = -(if kind == "b" { 0.3 } else { 0.0 } + (x - 0.5f64).powi(2) + (width / 9.0f64).ln().abs());
        suggested.push((kind.as_str().unwrap().to_owned(), width, x));
        study.tell(value);
        let trial = study.trials.last_mut().unwrap();
        trial.reports.insert(1, value);
        trial.system_attributes.insert(CONSTRAINTS.into(), json!({ "c": x - 0.9 }));
        if number % 5 == 4 {
            trial.state = TrialState::Pruned;
        } else if number % 11 == 10 {
            trial.state = TrialState::Failed;
        }
    }
    suggested
}

fn assert_last(found: &[(String, f64, f64)], expected: &[(&str, f64, f64)]) {
    for (found, expected) in found[found.len() - expected.len()..].iter().zip(expected) {
        assert_eq!((found.0.as_str(), found.1), (expected.0, expected.1));
        assert!((found.2 - expected.2).abs() < 1e-9 * expected.2, "{found:?} is not {expected:?}");
    }
}

#[test]
fn conditional_parameters_one_by_one_are_as_in_optuna() {
    let expected = [
        ("a", 13.0, 0.125),
        ("b", 17.0, 1.073575454695734),
        ("a", 2.0, 0.375),
        ("a", 11.0, 0.125),
        ("a", 9.0, 0.25),
        ("b", 8.0, 0.175699523789286),
        ("a", 6.0, 0.25),
        ("a", 8.0, 0.25),
    ];
    assert_last(&conditional(false), &expected);
}

#[test]
fn conditional_parameters_in_groups_are_as_in_optuna() {
    let expected = [
        ("a", 17.0, 0.5),
        ("a", 2.0, 0.75),
        ("b", 6.0, 0.295756365543163),
        ("a", 10.0, 0.5),
        ("a", 13.0, 0.5),
        ("c", 4.0, 0.07542989142181189),
        ("a", 9.0, 0.5),
        ("b", 8.0, 1.0832595950177892),
    ];
    assert_last(&conditional(true), &expected);
}

fn two_numbers<S: Sampler>(asked: &mut Asked<'_, S>) -> [f64; 2] {
    ["x", "y"].map(|name| asked.number(name, &Distribution::float(-5.0, 5.0)))
}

fn sphere<S: Sampler>(asked: &mut Asked<'_, S>) -> f64 {
    two_numbers(asked).iter().map(|value| value * value).sum()
}

const ASKED_AT_ONCE: [[f64; 2]; 6] = [
    [2.8446757205993736, -4.439038496139929],
    [1.978879391357911, -0.3343744340864012],
    [4.928360318237321, 1.4904563227958008],
    [4.7798217387570645, -2.1541973488051287],
    [4.674847866407301, 0.18693502649492488],
    [-0.38129637642946257, -1.1141989909270227],
];

/// Twenty trials told, then six asked for: `TPESampler(seed=3)` of Optuna 5.0.0.
#[test]
fn running_trials_are_kept_away_from_as_in_optuna() {
    let mut study = PlainStudy::new(TpeSampler::new(TpeOptions::optuna_5(3)).unwrap());
    study.run(20, sphere);
    for expected in ASKED_AT_ONCE {
        for (found, expected) in two_numbers(&mut study.ask()).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
        }
    }
}

/// As if it had asked for its parameters already.
#[test]
fn what_a_running_trial_was_to_have_counts() {
    let sampler = TpeSampler::new(TpeOptions::default()).unwrap();
    let mut study = PlainStudy::new(sampler.clone());
    study.run(20, sphere);
    let suggest = |running: Option<_>| {
        let trials: Vec<_> = study.trials.iter().cloned().chain(running).collect();
        sampler.clone().sample_jointly(&history(Direction::Minimize, &trials), 21).unwrap()
    };
    let alone = suggest(None);
    let mut planned = trial(20, TrialState::Running);
    planned.system_attributes.insert(JOINTLY.into(), json!(alone));
    let mut asked = trial(20, TrialState::Running);
    asked.parameters = alone.clone().into_iter().collect();
    assert_eq!(suggest(Some(planned.clone())), suggest(Some(asked)));
    assert_ne!(suggest(Some(planned)), alone);
}

#[test]
fn a_resumed_search_suggests_what_an_uninterrupted_one_does() {
    for multivariate in [true, false] {
        let options = TpeOptions { multivariate, ..TpeOptions::default() };
        let sampler = || TpeSampler::new(options.clone()).unwrap();
        let mut whole = PlainStudy::new(sampler());
        whole.run(30, sphere);
        let mut resumed = PlainStudy::new(sampler());
        for count in [4, 9, 17] {
            resumed.run(count, sphere);
            resumed.sampler = sampler();
        }
        assert_eq!(whole.trials, resumed.trials);
    }
}

#[test]
fn trials_and_parameters_draw_different_numbers() {
    let unit = Distribution::float(0.0, 1.0);
    let empty = history(Direction::Minimize, &[]);
    let mut sampler = RandomSampler::new(Generator::PerTrial { seed: 1 });
    let mut draw = |number, name| sampler.sample(&empty, number, name, &unit).unwrap();
    let drawn = [draw(0, "a"), draw(0, "b"), draw(1, "a"), draw(1, "b")];
    assert_eq!(draw(0, "a"), drawn[0]);
    let different: BTreeSet<u64> = drawn.iter().map(|value| value.to_bits()).collect();
    assert_eq!(different.len(), drawn.len());
}

#[test]
fn settings_without_sense_are_refused() {
    let new = |options| TpeSampler::new(options).map(|_| ()).unwrap_err().to_string();
    assert!(new(TpeOptions { candidates: 0, ..TpeOptions::default() }).contains("candidates"));
    assert!(new(TpeOptions { group: true, ..TpeOptions::optuna_3(1) }).contains("multivariate"));
    assert!(new(TpeOptions { startup: StartUp::Sobol, ..TpeOptions::optuna_5(1) }).contains("startup"));
}

fn small_grid(seed: u64) -> GridSampler {
    let beta = Distribution::categorical([0.1, 0.2, 0.3]);
    let rate = Distribution::log_float(1e-6, 1e-4);
    let axes = vec![
        GridAxis::all("beta", &beta).unwrap(),
        GridAxis::some("rate", &rate, &[json!(1e-6), json!(1e-5)]).unwrap(),
        GridAxis::all("epochs", &Distribution::stepped_int(2, 6, 2)).unwrap(),
    ];
    GridSampler::new(axes, seed).unwrap()
}

fn on_grid<S: Sampler>(asked: &mut Asked<'_, S>) -> f64 {
    let beta = asked.number("beta", &Distribution::categorical([0.1, 0.2, 0.3]));
    let rate = asked.number("rate", &Distribution::log_float(1e-6, 1e-4));
    beta + rate + asked.number("epochs", &Distribution::stepped_int(2, 6, 2))
}

fn points<S>(study: &PlainStudy<S>, states: &[TrialState]) -> Vec<String> {
    let trials = study.trials.iter().filter(|trial| states.contains(&trial.state));
    trials.map(|trial| format!("{:?}", trial.parameters)).collect()
}

#[test]
fn a_grid_is_tried_once_in_a_shuffled_order() {
    let mut study = PlainStudy::new(small_grid(5));
    study.run(7, on_grid);
    study.sampler = small_grid(5);
    assert!(!study.sampler.is_exhausted(&study.history()));
    study.run(11, on_grid);
    let found = points(&study, &[TrialState::Complete]);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 18);
    assert!(!found.is_sorted());
    assert!(study.sampler.is_exhausted(&study.history()));
    let problem = study.sampler.sample_jointly(&history(study.direction, &study.trials), 18).unwrap_err();
    assert!(problem.to_string().contains("18 combinations"), "{problem}");
}

/// Four processes begin their trials at once, and see each other's parameters late or never before they choose.
#[test]
fn processes_share_a_grid_without_repetition() {
    let mut study = PlainStudy::new(small_grid(5));
    while study.trials.len() < 16 {
        let first = study.trials.len() as u64;
        study.trials.extend((first..first + 4).map(|number| trial(number, TrialState::Running)));
        let before = study.trials.clone();
        for number in first..first + 4 {
            let seen = if number % 2 == 0 { &before } else { &study.trials };
            let values = small_grid(5).sample_jointly(&history(Direction::Minimize, seen), number).unwrap();
            study.trials[number as usize].parameters = values.into_iter().collect();
        }
        study.trials[first as usize..].iter_mut().for_each(|trial| trial.state = TrialState::Complete);
    }
    let found: BTreeSet<String> = points(&study, &[TrialState::Complete]).into_iter().collect();
    assert_eq!(found.len(), 16);
}

#[test]
fn what_failed_comes_again_at_the_end() {
    let mut study = PlainStudy::new(small_grid(1));
    study.run(3, on_grid);
    study.trials[1].state = TrialState::Failed;
    study.run(15, on_grid);
    let failed = points(&study, &[TrialState::Failed]);
    assert!(!points(&study, &[TrialState::Complete]).contains(&failed[0]));
    study.run(1, on_grid);
    assert_eq!(points(&study, &[TrialState::Complete]).last(), failed.last());
    assert!(study.sampler.is_exhausted(&study.history()));
}

#[test]
fn grids_without_sense_are_refused() {
    let rate = Distribution::float(0.0, 1.0);
    assert!(GridAxis::all("rate", &rate).unwrap_err().to_string().contains("rate"));
    assert!(GridAxis::some("rate", &rate, &[]).unwrap_err().to_string().contains("no values"));
    assert!(GridAxis::some("rate", &rate, &[json!(0.5), json!(0.5)]).unwrap_err().to_string().contains("twice"));
    assert!(GridAxis::some("rate", &rate, &[json!(2)]).unwrap_err().to_string().contains("from 0 to 1"));
    let axis = GridAxis::all("epochs", &Distribution::int(1, 1000)).unwrap();
    let new = |axes| GridSampler::new(axes, 0).map(|_| ()).unwrap_err().to_string();
    assert!(new(vec![]).contains("no parameters"));
    assert!(new(vec![axis.clone(), axis]).contains("twice"));
    let axes = ["a", "b", "c"].map(|name| GridAxis::all(name, &Distribution::int(1, 1000)).unwrap());
    assert!(new(axes.to_vec()).contains("combinations"));
    let mut grid = small_grid(0);
    let problem = grid.sample(&history(Direction::Minimize, &[]), 0, "other", &rate).unwrap_err();
    assert!(problem.to_string().contains("other"), "{problem}");
}

fn any_distribution() -> impl Strategy<Value = Distribution> {
    let limits = || (-1e6..1e6f64, 0.0..1e6f64).prop_map(|(low, range)| (low, low + range));
    prop_oneof![
        limits().prop_map(|(low, high)| Distribution::float(low, high)),
        (1e-9..1.0f64, 1.0..1e9f64).prop_map(|(low, factor)| Distribution::log_float(low, low * factor)),
        (limits(), 1e-3..1e3f64).prop_map(|((low, high), step)| Distribution::stepped_float(low, high, step)),
        (-1000..1000i64, 0..1000i64, 1..50i64).prop_map(|(low, range, step)| Distribution::stepped_int(
            low,
            low + range,
            step
        )),
        (1..50i64, 0..10_000i64).prop_map(|(low, range)| Distribution::log_int(low, low + range)),
        (1..6usize).prop_map(|count| Distribution::categorical(0..count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn suggestions_are_of_their_distribution(
        distributions in prop::collection::vec(any_distribution(), 1..4),
        seed in any::<u32>(),
        kind in 0..6,
    ) {
        let generator = Generator::PerTrial { seed: seed.into() };
        let tpe = |options| Box::new(TpeSampler::new(options).unwrap());
        let sampler: Box<dyn Sampler> = match kind {
            0 => tpe(TpeOptions { generator, ..TpeOptions::default() }),
            1 => tpe(TpeOptions { generator, multivariate: false, constant_liar: false, ..TpeOptions::default() }),
            2 => tpe(TpeOptions::optuna_3(seed)),
            3 => tpe(TpeOptions::optuna_5(seed)),
            4 => Box::new(SobolSampler::new(seed.into())),
            _ => Box::new(RandomSampler::new(generator)),
        };
        let mut study = PlainStudy::new(Boxed(sampler));
        let distributions: Vec<(String, Distribution)> = distributions.into_iter().enumerate()
            .map(|(place, distribution)| (format!("p{place}"), distribution.checked("p").unwrap())).collect();
        for _ in 0..15 {
            let mut asked = study.ask();
            let mut value = 0.0;
            for (name, distribution) in &distributions {
                let internal = asked.internal(name, distribution);
                prop_assert!(distribution.contains(internal), "{internal} is not of {distribution}");
                let external = distribution.external(internal);
                prop_assert_eq!(distribution.internal(name, &external).unwrap(), internal);
                value += (internal - 0.3).abs();
            }
            study.tell(value);
        }
    }

    #[test]
    fn distributions_are_read_as_written(distribution in any_distribution()) {
        let distribution = distribution.checked("p").unwrap();
        let written = serde_json::to_string(&distribution).unwrap();
        prop_assert_eq!(serde_json::from_str::<Distribution>(&written).unwrap(), distribution);
    }
}

/// Any sampler.
struct Boxed(Box<dyn Sampler>);

impl Sampler for Boxed {
    fn sample_jointly(&mut self, history: &History<'_>, number: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        self.0.sample_jointly(history, number)
    }

    fn sample(
        &mut self,
        history: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError> {
        self.0.sample(history, number, name, distribution)
    }
}

#[test]
fn distributions_are_written_as_optuna_has_them() {
    for (distribution, expected) in [
        (
            Distribution::log_float(1e-6, 1e-4),
            r#"{"name":"FloatDistribution","attributes":{"step":null,"low":1e-6,"high":0.0001,"log":true}}"#,
        ),
        (Distribution::int(2, 5), r#"{"name":"IntDistribution","attributes":{"log":false,"step":1,"low":2,"high":5}}"#),
        (
            Distribution::categorical(["cosine", "linear"]),
            r#"{"name":"CategoricalDistribution","attributes":{"choices":["cosine","linear"]}}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&distribution).unwrap(), expected);
    }
}

#[test]
fn distributions_without_sense_are_refused() {
    let refused = [
        (Distribution::float(1.0, 0.0), "the smaller first"),
        (Distribution::float(0.0, f64::NAN), "finite"),
        (Distribution::float(f64::MIN, f64::MAX), "finite"),
        (Distribution::log_float(0.0, 1.0), "positive"),
        (Distribution::stepped_float(0.0, 1.0, 0.0), "step"),
        (Distribution::Float { low: 1.0, high: 2.0, step: Some(0.5), log: true }, "logarithm"),
        (Distribution::int(3, 2), "the smaller first"),
        (Distribution::int(0, i64::MAX), "2^53"),
        (Distribution::log_int(0, 5), "1 or more"),
        (Distribution::stepped_int(0, 5, 0), "step"),
        (Distribution::Int { low: 1, high: 9, step: 2, log: true }, "logarithm"),
        (Distribution::categorical(Vec::<String>::new()), "no choices"),
        (Distribution::categorical(["a", "b", "a"]), "twice"),
        (Distribution::categorical([json!([1])]), "can't be a choice"),
    ];
    for (distribution, expected) in refused {
        let problem = distribution.checked("rate").unwrap_err().to_string();
        assert!(problem.contains(expected) && problem.contains("`rate`"), "{problem}");
    }
}

#[test]
fn a_grid_ends_at_its_last_point() {
    let tenths = Distribution::stepped_float(0.0, 0.3, 0.1).checked("p").unwrap();
    assert_eq!(tenths.grid().unwrap().len(), 4);
    let odd = Distribution::stepped_int(1, 6, 2).checked("p").unwrap();
    assert_eq!(odd, Distribution::stepped_int(1, 5, 2));
    assert_eq!(odd.grid(), Some(vec![1.0, 3.0, 5.0]));
    assert!(!odd.contains(2.0) && !odd.contains(7.0));
}

#[test]
fn choices_are_found_by_what_they_are() {
    let choices = Distribution::categorical([json!(1), json!("1"), json!(true), Value::Null, json!(2.5)]);
    for (place, value) in [json!(1.0), json!("1"), json!(true), Value::Null, json!(2.5)].iter().enumerate() {
        assert_eq!(choices.internal("p", value).unwrap(), place as f64);
    }
    let problem = choices.internal("p", &json!({})).unwrap_err().to_string();
    assert!(problem.contains("`p`"), "{problem}");
    assert!(choices.internal("p", &Value::Object(Map::new())).is_err());
}
