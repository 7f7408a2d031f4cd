//! Writes a run of 200 steps down in all formats, for the checks in `fixtures/tracking`. The values are formulas, not
//! measurements. The run is killed at step 130 and goes on from a checkpoint of step 100.
//!
//! `cargo run -p training --example track_run -- RUN_FOLDER` (without a word: a temporary folder)

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use training::tracking::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scratch = std::env::temp_dir().join(format!("solace-track-run-{}", std::process::id()));
    let run = std::env::args().nth(1).map_or(scratch, PathBuf::from);
    std::fs::create_dir_all(&run)?;
    let mut trackers = open(&run, Start::New)?;
    train(&mut trackers, 1..=130)?;
    drop(trackers);
    let mut trackers = open(&run, Start::AfterStep(100))?;
    train(&mut trackers, 101..=200)?;
    trackers.finish(0)?;
    println!("{} events in {}", read_events(&run.join("events.jsonl"))?.len(), run.display());
    Ok(())
}

fn open(run: &Path, start: Start) -> Result<Trackers, TrackingError> {
    let log = run.join("events.jsonl");
    if let Start::AfterStep(step) = start {
        truncate_after(&log, step)?;
    }
    let named = WandbRun { project: "tracking-check".into(), name: "exponential decay".into() };
    let wandb = WandbOffline::open(&run.join("wandb"), &named, start)?;
    let tensorboard = TensorBoard::open(&run.join("tensorboard"), start)?;
    let mut trackers: Trackers = vec![Box::new(EventLog::open(&log)?), Box::new(tensorboard), Box::new(wandb)];
    let config = json!({"learning_rate": 5e-5, "lora": {"rank": 16, "targets": ["q_proj", "v_proj"]}, "seed": 42});
    trackers.config(config.as_object().unwrap_or(&Map::new()))?;
    Ok(trackers)
}

fn train(trackers: &mut Trackers, steps: impl Iterator<Item = u64>) -> Result<(), TrackingError> {
    for step in steps {
        let (at, x) = (At::now(step, step as f64 / 100.0), step as f64);
        let loss = 1.6 + 0.9 * (-x / 40.0).exp();
        let grad_norm = if step == 3 { f64::INFINITY } else { 1.0 / x };
        let wave = 0.1 * (1.7 * x).sin() * (0.9 * x).cos();
        let rate = 5e-5 * (1.0 - x / 200.0);
        trackers.scalars(at, &[("loss", loss + wave), ("learning_rate", rate), ("grad_norm", grad_norm)])?;
        if step % 20 == 0 {
            let empty_batch = if step == 20 { f64::NAN } else { x };
            trackers.scalars(at, &[("eval_loss", loss + 0.05), ("eval_rewards/margins", empty_batch)])?;
            let row = vec![json!(step), json!("Grüße | \"quoted\"\nsecond line"), Value::Null];
            let table = Table { columns: ["step", "text", "nothing"].map(Into::into).into(), rows: vec![row; 30] };
            trackers.table(at, "eval_sample_gen_txt_table_data", &table)?;
            trackers.text(at, "samples/first", "A text with ünïcode.\n\nSecond paragraph.")?;
            trackers.message(at, &format!("evaluated at step {step}"))?;
        }
    }
    Ok(())
}
