//! TPE's suggestions, trial by trial, against Optuna 3.6.1 and 5.0.0: `tpe_exact_*.json` of the golden family `hypersearch`.

use std::path::Path;

use golden_files::family;
use hyper_search::{Distribution, Sampler, TpeOptions, TpeSampler};
use serde_json::Value;

use crate::plain_study::{Asked, PlainStudy};

#[test]
fn golden_hypersearch_exact_univariate_is_optuna_3() {
    let Some(folder) = family("hypersearch") else { return };
    compare(&folder.join("tpe_exact_3.6.1_univariate.json"), TpeOptions::optuna_3);
}

#[test]
fn golden_hypersearch_exact_multivariate_is_optuna_5() {
    let Some(folder) = family("hypersearch") else { return };
    compare(&folder.join("tpe_exact_5.0.0_multivariate.json"), TpeOptions::optuna_5);
}

fn compare(path: &Path, options: impl Fn(u32) -> TpeOptions) {
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let seeds = golden["trials_by_seed"].as_object().unwrap();
    assert!(!seeds.is_empty());
    for (seed, expected) in seeds {
        let expected = expected.as_array().unwrap();
        let mut study = PlainStudy::new(TpeSampler::new(options(seed.parse().unwrap())).unwrap());
        study.run(expected.len(), objective);
        for (trial, expected) in study.trials.iter().zip(expected) {
            for (name, internal) in &trial.parameters {
                let found = trial.distributions[name].external(*internal);
                let place = format!("seed {seed}, trial {}, {name}: {found} is not {}", trial.number, expected[name]);
                match name.as_str() {
                    "learning_rate" => {
                        let expected = expected[name].as_f64().unwrap();
                        assert!((internal - expected).abs() <= 1e-9 * expected, "{place}");
                    }
                    _ => assert_eq!(found, expected[name], "{place}"),
                }
            }
        }
    }
}

/// The space and the objective that the files state.
fn objective<S: Sampler>(asked: &mut Asked<'_, S>) -> f64 {
    let learning_rate = asked.number("learning_rate", &Distribution::log_float(1e-6, 1e-4));
    let beta = asked.number("beta", &Distribution::categorical([0.10, 0.15, 0.20, 0.25]));
    let schedule = asked.value("lr_scheduler_type", &Distribution::categorical(["cosine", "linear"]));
    let epochs = asked.number("num_train_epochs", &Distribution::int(2, 5));
    let linear = if schedule == "cosine" { 0.0 } else { 0.15 };
    (learning_rate / 2.3e-5).log10().powi(2) + 4.0 * (beta - 0.2).abs() + linear + 0.1 * (epochs - 4.0).abs()
}
