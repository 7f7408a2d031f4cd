//! What a trial of a search costs beside its objective: suggestions and bookkeeping, in memory and in a folder. `benches/peers/search_optuna.py` measures
//! Optuna on the same space. Prints one JSON line per setting.

use std::time::Instant;

use clap::Parser;
use hyper_search::{ActiveTrial, Generator, SearchError, Study, StudyOptions, TpeOptions, TpeSampler};
use serde_json::json;

/// What a trial of a search costs beside its objective
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Trials of a study
    #[arg(long, default_value_t = 200)]
    trials: u64,
    /// Studies; the median counts
    #[arg(long, default_value_t = 5)]
    repetitions: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    for (name, multivariate) in [("tpe univariate", false), ("tpe multivariate", true)] {
        for place in ["memory", "folder"] {
            let mut milliseconds = Vec::new();
            for seed in 0..arguments.repetitions {
                let options =
                    TpeOptions { generator: Generator::PerTrial { seed }, multivariate, ..TpeOptions::default() };
                let options = StudyOptions::minimize(TpeSampler::new(options)?);
                let folder = std::env::temp_dir().join(format!("search-overhead-{}-{seed}", std::process::id()));
                let study = match place {
                    "memory" => Study::in_memory(options)?,
                    _ => Study::create(&folder, options)?,
                };
                let begun = Instant::now();
                study.optimize(arguments.trials, objective)?;
                milliseconds.push(1e3 * begun.elapsed().as_secs_f64() / arguments.trials as f64);
                if place == "folder" {
                    std::fs::remove_dir_all(&folder)?;
                }
            }
            milliseconds.sort_by(f64::total_cmp);
            let median = milliseconds[milliseconds.len() / 2];
            println!(
                "{}",
                json!({"side": "solace", "sampler": name, "study": place, "trials": arguments.trials, "ms_per_trial": median})
            );
        }
    }
    Ok(())
}

/// The published space; the objective itself costs nothing.
fn objective(trial: &mut ActiveTrial) -> Result<f64, SearchError> {
    let rate = trial.log_float("learning_rate", 1e-6..=1e-4)?;
    let beta = trial.categorical("beta", &[0.1, 0.15, 0.2, 0.25])?;
    let schedule = trial.categorical("lr_scheduler_type", &["cosine", "linear"])?;
    let epochs = trial.int("num_train_epochs", 2..=5)?;
    Ok((rate.log10() + 5.0).powi(2) + beta + epochs as f64 / 10.0 + if schedule == "linear" { 0.1 } else { 0.0 })
}
