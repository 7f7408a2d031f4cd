//! How good the best of 50 and 100 trials are, over 20 seeds, against Optuna: `stats.json` of the golden family `hypersearch`.

use std::f64::consts::PI;

use golden_files::family;
use hyper_search::{Distribution, Generator, RandomSampler, Sampler, TpeOptions, TpeSampler};
use serde_json::Value;

use crate::plain_study::{Asked, PlainStudy};

const TRIALS: usize = 100;

#[test]
fn golden_hypersearch_statistics_are_as_good_as_optunas() {
    let Some(golden) = read() else { return };
    for (objective, expected) in golden["results"]["optuna 5.0.0"].as_object().unwrap() {
        let ours = best_values(objective, &golden, expected["tpe_default"]["n_seeds"].as_u64().unwrap(), tpe);
        let theirs = numbers(&expected["tpe_default"]["best100"]);
        // The standard error of the difference of both means.
        let error = standard_error(&ours).hypot(standard_error(&theirs));
        let (ours, theirs) = (mean(&ours), mean(&theirs));
        println!("{objective}: {ours}, Optuna {theirs}, difference ± {error}");
        assert!(ours <= theirs + error, "{objective}: {ours} is worse than {theirs} by more than {error}");
    }
}

#[test]
fn golden_hypersearch_statistics_are_better_than_random() {
    let Some(golden) = read() else { return };
    for (objective, expected) in golden["results"]["optuna 5.0.0"].as_object().unwrap() {
        let seeds = expected["random"]["n_seeds"].as_u64().unwrap();
        let ours = best_values(objective, &golden, seeds, tpe);
        let random = best_values(objective, &golden, seeds, |seed| RandomSampler::new(Generator::PerTrial { seed }));
        for (random, whose) in [(random, "our"), (numbers(&expected["random"]["best100"]), "Optuna's")] {
            let p = mann_whitney(&ours, &random);
            assert!(p < 0.01, "{objective}: better than {whose} random search by p = {p} only");
        }
    }
}

#[test]
fn the_rank_test_is_that_of_scipy() {
    // scipy.stats.mannwhitneyu(a, b, alternative="less", method="asymptotic")
    let p = mann_whitney(&[1.0, 2.1, 3.5, 4.0, 2.5], &[2.0, 5.0, 6.0, 3.0, 7.0, 8.0]);
    assert!((p - 0.060_345_400_263_722_78).abs() < 1e-12, "{p}");
}

fn tpe(seed: u64) -> TpeSampler {
    TpeSampler::new(TpeOptions { generator: Generator::PerTrial { seed }, ..TpeOptions::default() }).unwrap()
}

fn read() -> Option<Value> {
    let text = std::fs::read_to_string(family("hypersearch")?.join("stats.json")).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

fn best_values<S: Sampler>(objective: &str, golden: &Value, seeds: u64, sampler: impl Fn(u64) -> S) -> Vec<f64> {
    let first = golden["constants"]["seed0"].as_u64().unwrap();
    let best = |seed: u64| {
        let mut study = PlainStudy::new(sampler(seed));
        study.run(TRIALS, |asked| evaluate(objective, &golden["constants"], seed, asked));
        study.least(TRIALS)
    };
    (first..first + seeds).map(best).collect()
}

/// The objectives that the file describes.
fn evaluate<S: Sampler>(objective: &str, constants: &Value, seed: u64, asked: &mut Asked<'_, S>) -> f64 {
    let centre = numbers(&constants[if objective == "sphere" { "c" } else { "q" }]);
    let constant = |name: &str| constants[name].as_f64().unwrap();
    match objective {
        "sphere" => {
            let [x, y] = ["x", "y"].map(|name| asked.number(name, &Distribution::float(-5.0, 5.0)));
            (x - centre[0]).powi(2) + (y - centre[1]).powi(2)
        }
        "branin" => {
            let x = asked.number("x", &Distribution::float(-5.0, 10.0));
            let y = asked.number("y", &Distribution::float(0.0, 15.0));
            let valley = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
            valley * valley + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
        }
        "mixed" => {
            let learning_rate = asked.number("learning_rate", &Distribution::log_float(1e-6, 1e-4));
            let beta = asked.number("beta", &Distribution::categorical([0.10, 0.15, 0.20, 0.25]));
            let schedule = asked.value("lr_scheduler_type", &Distribution::categorical(["cosine", "linear"]));
            let epochs = asked.number("num_train_epochs", &Distribution::int(2, 5));
            let differs = if schedule == constants["sched"] { 0.0 } else { 0.15 };
            (learning_rate / constant("lr")).log10().powi(2)
                + 4.0 * (beta - constant("beta")).abs()
                + differs
                + 0.1 * (epochs - constant("epochs")).abs()
        }
        "noisy_quadratic" => {
            let point = ["a", "b", "c"].map(|name| asked.number(name, &Distribution::float(-4.0, 4.0)));
            let distance: f64 = point.iter().zip(&centre).map(|(value, centre)| (value - centre).powi(2)).sum();
            distance + constant("sigma") * normal(seed, &point)
        }
        other => panic!("the objective `{other}` is not known here"),
    }
}

/// A standard normal number that belongs to a point (Box and Muller).
fn normal(seed: u64, point: &[f64]) -> f64 {
    let mut state = point.iter().fold(seed, |state, value| state.rotate_left(17) ^ value.to_bits());
    let mut fraction = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (-2.0 * (1.0 - fraction()).ln()).sqrt() * (2.0 * PI * fraction()).cos()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn standard_error(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64 / values.len() as f64).sqrt()
}

/// The one-sided p of `left` being less than `right` by Mann and Whitney's ranks (normal approximation); ties are not foreseen.
fn mann_whitney(left: &[f64], right: &[f64]) -> f64 {
    let wins: f64 = left.iter().map(|left| right.iter().filter(|right| left < *right).count() as f64).sum();
    let (m, n) = (left.len() as f64, right.len() as f64);
    let z = (wins - m * n / 2.0 - 0.5) / (m * n * (m + n + 1.0) / 12.0).sqrt();
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}
