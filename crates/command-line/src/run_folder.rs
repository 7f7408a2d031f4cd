//! The folder of a training run: a new one, or that of the run to be resumed, and what a finished run tells.

use std::path::Path;

use llm_runtime::peak_memory;
use serde::Serialize;
use training::{Best, End, RunDir, TrainSummary};

use crate::Failure;

/// A new run's folder, or that of the run to be resumed, which must have been begun with the same settings.
///
/// # Errors
/// The folder is in use or can't be written, or the settings are others.
pub fn open_run(out: &Path, resume: bool, settings: &impl Serialize) -> Result<RunDir, Failure> {
    let new = toml::to_string_pretty(settings).map_err(Failure::work)?;
    if !resume || RunDir::open(out).is_err() {
        let run = RunDir::create(out)?.lock()?;
        run.write("config.toml", new.as_bytes())?;
        return Ok(run);
    }
    let run = RunDir::open(out)?.lock()?;
    check_settings(&run.config_file(), &new)?;
    Ok(run)
}

/// Whether a file that was written at the beginning holds these settings.
///
/// # Errors
/// It can't be read, or the settings are others.
pub fn check_settings(file: &Path, new: &str) -> Result<(), Failure> {
    let old = std::fs::read_to_string(file).map_err(Failure::at(file))?;
    match old.lines().zip(new.lines()).find(|(old, new)| old != new) {
        Some((old, new)) => Err(Failure::wrong_use(format!(
            "{}: the run was begun with other settings (`{old}`, now `{new}`): resume with the same ones",
            file.display()
        ))),
        None => Ok(()),
    }
}

/// What every finished training run tells.
#[derive(Serialize)]
pub struct Outcome {
    /// Its folder.
    pub run: String,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Optimiser steps that were to be taken.
    pub planned_steps: u64,
    /// Why it ended.
    pub ended: &'static str,
    /// The last steps' loss.
    pub loss: Option<f64>,
    /// The best evaluation.
    pub best: Option<Best>,
    /// Tokens learned from.
    pub tokens: u64,
    /// How long this call took.
    pub seconds: f64,
    /// Of this call, evaluations included.
    pub tokens_per_second: f64,
    /// Bytes.
    pub peak_memory: u64,
}

impl Outcome {
    /// What the summary of a run says.
    pub fn new(run: &RunDir, summary: &TrainSummary) -> Self {
        Self {
            run: run.path().display().to_string(),
            steps: summary.steps,
            planned_steps: summary.total_steps,
            ended: match summary.end {
                End::Finished => "finished",
                End::Early => "early: no better evaluation for a while",
                End::Stopped => "stopped: go on with --resume",
            },
            loss: summary.loss,
            best: summary.best,
            tokens: summary.tokens,
            seconds: summary.seconds,
            tokens_per_second: summary.tokens_of_call as f64 / summary.seconds.max(1e-9),
            peak_memory: peak_memory(),
        }
    }
}
