//! What happens in a training run, written down and shown.

use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};
use training::tracking::{
    At, Entry, Event, EventLog, INTERRUPTED, Start, Table, TensorBoard, Tracker, Trackers, WandbOffline, WandbRun,
    read_events, truncate_after,
};
use training::{End, Evaluation, RunDir, Step, TrainEvent, TrainSummary, TrainingError};

use crate::{Failure, Progress, Track, Tracking, interrupt, training_figure};

/// Writes events and shows a progress line.
pub struct Recorder<'a> {
    run: &'a RunDir,
    tracking: &'a Tracking,
    settings: Map<String, Value>,
    /// Opened when the first step is known: what an interrupted run told of later steps is void.
    trackers: Trackers,
    bar: Option<Progress>,
    held_out: Option<f64>,
    held_out_sets: Vec<String>,
    wandb_id: Option<String>,
}

impl<'a> Recorder<'a> {
    /// Records of a run; `settings` are told to trackers, `held_out_sets` are the names of the evaluated sets.
    pub fn new(run: &'a RunDir, tracking: &'a Tracking, settings: &impl Serialize, held_out_sets: Vec<String>) -> Self {
        let settings = flat(settings);
        let trackers = Trackers::new();
        Self { run, tracking, settings, trackers, bar: None, held_out: None, held_out_sets, wandb_id: None }
    }

    /// Notes what happened.
    ///
    /// # Errors
    /// The records can't be written.
    pub fn see(&mut self, event: &TrainEvent) -> Result<(), TrainingError> {
        match event {
            TrainEvent::Started { step, is_resumed, total_steps, .. } => {
                self.bar = Some(Progress::new("training", *step, *total_steps));
                self.open(is_resumed.then_some(*step))
            }
            TrainEvent::Step(step) => self.step(step),
            TrainEvent::Evaluation(evaluation) => self.evaluation(evaluation),
            TrainEvent::Saved { step, path } => {
                tracing::debug!("step {step}: {}", path.display());
                Ok(())
            }
        }
    }

    /// Goes on after the checkpoint of this step. Without one the run begins anew, and evaluates before its first step once more.
    fn open(&mut self, checkpoint: Option<u64>) -> Result<(), TrainingError> {
        let events = self.run.events_file();
        let start = match checkpoint.filter(|_| events.exists()) {
            Some(step) => {
                truncate_after(&events, step)?;
                Start::AfterStep(step)
            }
            None => {
                remove_if_there(&events)?;
                Start::New
            }
        };
        self.trackers.push(Box::new(EventLog::open(&events)?));
        self.trackers.push(Box::new(TensorBoard::open(&self.run.path().join("tensorboard"), start)?));
        if let Some(Track::Wandb) = self.tracking.track {
            let name = self.run.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let run = WandbRun { project: self.tracking.project.clone(), name };
            let wandb = WandbOffline::open(&self.run.path().join("wandb"), &run, start)?;
            self.wandb_id = Some(wandb.id().to_owned());
            self.trackers.push(Box::new(wandb));
        }
        self.trackers.config(&self.settings)?;
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TrainingError> {
        if let Some(bar) = &mut self.bar {
            let held_out = self.held_out.map(|loss| format!("  held out {loss:.4}")).unwrap_or_default();
            let rates = format!("lr {:.2e}  {:.0} tok/s", step.learning_rate, step.tokens_per_second);
            bar.set_with(step.step, &format!("loss {:.4}{held_out}  {rates}", step.loss));
        }
        if !step.is_due {
            return Ok(());
        }
        let mut values = vec![
            ("loss", step.loss),
            ("learning_rate", step.learning_rate),
            ("grad_norm", step.gradient_norm),
            ("tokens_per_second", step.tokens_per_second),
        ];
        values.extend(step.metrics.iter().map(|(name, value)| (name.as_str(), *value)));
        Ok(self.trackers.scalars(At::now(step.step, step.epoch), &values)?)
    }

    fn evaluation(&mut self, evaluation: &Evaluation) -> Result<(), TrainingError> {
        self.held_out = Some(evaluation.loss);
        let set = &evaluation.set;
        tracing::info!("step {}: {} {:.4}", evaluation.step, held_out_name(set, "loss"), evaluation.loss);
        let seconds = evaluation.seconds.max(1e-9);
        let own = [
            ("loss", evaluation.loss),
            ("runtime", evaluation.seconds),
            ("samples_per_second", evaluation.examples as f64 / seconds),
            ("steps_per_second", evaluation.batches as f64 / seconds),
        ];
        let metrics = evaluation.metrics.iter().map(|(name, value)| (name.as_str(), *value));
        let values: Vec<(String, f64)> =
            own.into_iter().chain(metrics).map(|(name, value)| (held_out_name(set, name), value)).collect();
        let values: Vec<(&str, f64)> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        Ok(self.trackers.scalars(At::now(evaluation.step, evaluation.epoch), &values)?)
    }

    /// The run's id at W&B, if it is recorded for it.
    pub fn wandb_id(&self) -> Option<&str> {
        self.wandb_id.as_deref()
    }

    /// Records a table of the whole run once: a run that is resumed when it is over has it already.
    ///
    /// # Errors
    /// The records can't be read or written.
    pub fn table(&mut self, at: At, name: &str, table: &Table) -> Result<(), TrainingError> {
        let is_it = |event: &Event| matches!(&event.entry, Entry::Table { name: known, .. } if known == name);
        if read_events(&self.run.events_file())?.iter().any(is_it) {
            return Ok(());
        }
        Ok(self.trackers.table(at, name, table)?)
    }

    /// Closes the records, draws the curve and gives the training's outcome back.
    ///
    /// # Errors
    /// The training failed, or the records can't be written. Of both, the training's error is told: a full disk, say, ends the records as well.
    pub fn finish(&mut self, outcome: Result<TrainSummary, TrainingError>) -> Result<TrainSummary, Failure> {
        let exit_code = match &outcome {
            Err(_) => 1,
            // A trainer also stops where a search gives up on a trial, which then is over.
            Ok(summary) if summary.end == End::Stopped && interrupt::was_asked() => INTERRUPTED,
            Ok(_) => 0,
        };
        let closed = self.close(exit_code);
        let outcome = outcome?;
        closed?;
        Ok(outcome)
    }

    fn close(&mut self, exit_code: u8) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
        if self.trackers.is_empty() {
            return Ok(());
        }
        self.trackers.finish(exit_code).map_err(TrainingError::from)?;
        let events = read_events(&self.run.events_file()).map_err(TrainingError::from)?;
        let held_out: Vec<String> = self.held_out_sets.iter().map(|set| held_out_name(set, "loss")).collect();
        let names: Vec<&str> =
            ["loss"].into_iter().chain(held_out.iter().map(String::as_str)).chain(["learning_rate"]).collect();
        self.run.write("curve.svg", training_figure(&events, &names).svg().as_bytes())?;
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> Result<(), TrainingError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(TrainingError::Io { path: path.to_owned(), source }),
        _ => Ok(()),
    }
}

/// `eval_SET_NAME`; a single set needs no name of its own.
fn held_out_name(set: &str, name: &str) -> String {
    match set {
        "" => format!("eval_{name}"),
        set => format!("eval_{set}_{name}"),
    }
}

fn flat(settings: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
