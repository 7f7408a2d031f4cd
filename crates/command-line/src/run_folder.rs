//! The folder of a training run: a new one, or that of the run to be resumed, and what a finished run tells.

use std::path::Path;

use llm_runtime::{input_file, peak_memory};
use serde::Serialize;
use training::{Best, End, RunDir, TrainSummary};

use crate::{Failure, program_version};

/// Which builds of the programs worked on a run, a line each.
const VERSION_FILE: &str = "version.txt";

/// A new run's folder, or that of the run to be resumed, which must have been begun with the same settings.
///
/// # Errors
/// The folder is in use or can't be written, or the settings are others.
pub fn open_run(out: &Path, resume: bool, settings: &impl Serialize) -> Result<RunDir, Failure> {
    let new = toml::to_string_pretty(settings).map_err(Failure::work)?;
    if !resume || RunDir::open(out).is_err() {
        let run = RunDir::create(out)?.lock()?;
        run.write("config.toml", new.as_bytes())?;
        note_build(&run)?;
        return Ok(run);
    }
    let run = RunDir::open(out)?.lock()?;
    check_settings(&run.config_file(), &new)?;
    note_build(&run)?;
    Ok(run)
}

/// Writes down which build works on the run, below those that worked on it before: another one need not compute the same bits.
fn note_build(run: &RunDir) -> Result<(), Failure> {
    let file = run.path().join(VERSION_FILE);
    let earlier = if file.exists() { input_file::read_text(&file).map_err(Failure::at(&file))? } else { String::new() };
    let now = program_version("Solace");
    match earlier.lines().last() {
        Some(last) if last == now => return Ok(()),
        Some(last) => tracing::warn!("{}: so far made by {last}, from here on by {now}", run.path().display()),
        None => {}
    }
    Ok(run.write(VERSION_FILE, format!("{earlier}{now}\n").as_bytes())?)
}

/// Whether a file that was written at the beginning holds these settings.
///
/// # Errors
/// It can't be read, or the settings are others.
pub fn check_settings(file: &Path, new: &str) -> Result<(), Failure> {
    let old = input_file::read_text(file).map_err(Failure::at(file))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_which_builds_worked_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let (out, settings) = (folder.path().join("run"), toml::Table::new());
        let told = || std::fs::read_to_string(out.join(VERSION_FILE)).unwrap();
        drop(open_run(&out, false, &settings).unwrap());
        let own = program_version("Solace") + "\n";
        assert_eq!(told(), own);
        drop(open_run(&out, true, &settings).unwrap());
        assert_eq!(told(), own);
        std::fs::write(out.join(VERSION_FILE), "Solace 0.0.9, commit 0123456789ab, features: none\n").unwrap();
        drop(open_run(&out, true, &settings).unwrap());
        assert_eq!(told(), format!("Solace 0.0.9, commit 0123456789ab, features: none\n{own}"));
    }
}
