//! What happens in a run, written down and shown.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use training::tracking::{At, EventLog, TensorBoard, Tracker, Trackers, WandbOffline, read_events, training_curve_svg};
use training::{Evaluation, RunDir, Step, TrainEvent, TrainingError};

use super::Settings;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::training_arguments::{Loop, Track};

/// Writes events and shows a progress line.
pub(crate) struct Recorder<'a> {
    run: &'a RunDir,
    options: &'a Loop,
    settings: &'a Settings,
    /// Opened when the first step is known: what an interrupted run told of later steps is void.
    trackers: Trackers,
    bar: Option<Progress>,
    held_out: Option<f64>,
    at: At,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(run: &'a RunDir, options: &'a Loop, settings: &'a Settings) -> Self {
        let at = At { step: 0, epoch: 0.0, time: now() };
        Self { run, options, settings, trackers: Trackers::default(), bar: None, held_out: None, at }
    }

    pub(crate) fn see(&mut self, event: &TrainEvent) -> Result<(), TrainingError> {
        match event {
            TrainEvent::Started { step, total_steps, .. } => {
                self.bar = Some(Progress::new("training", *step, *total_steps));
                self.open(*step)
            }
            TrainEvent::Step(step) => self.step(step),
            TrainEvent::Evaluation(evaluation) => self.evaluation(evaluation),
            TrainEvent::Saved { step, path } => {
                tracing::debug!("step {step}: {}", path.display());
                Ok(())
            }
        }
    }

    fn open(&mut self, step: u64) -> Result<(), TrainingError> {
        self.at = At { step, epoch: 0.0, time: now() };
        self.trackers.0.push(Box::new(EventLog::open(&self.run.events_file(), step)?));
        self.trackers.0.push(Box::new(TensorBoard::open(&self.run.path().join("tensorboard"), self.at)?));
        if let Some(Track::Wandb) = self.options.track {
            let name = self.run.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let folder = self.run.path().join("wandb");
            self.trackers.0.push(Box::new(WandbOffline::open(&folder, &self.options.project, &name, self.at)?));
        }
        self.trackers.config(self.at, &flat(self.settings))?;
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TrainingError> {
        if let Some(bar) = &mut self.bar {
            let held_out = self.held_out.map(|loss| format!("  held out {loss:.4}")).unwrap_or_default();
            let rates = format!("lr {:.2e}  {:.0} tok/s", step.learning_rate, step.tokens_per_second);
            bar.set_with(step.step, &format!("loss {:.4}{held_out}  {rates}", step.loss));
        }
        self.at = At { step: step.step, epoch: step.epoch, time: now() };
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
        Ok(self.trackers.scalars(self.at, &values)?)
    }

    fn evaluation(&mut self, evaluation: &Evaluation) -> Result<(), TrainingError> {
        self.held_out = Some(evaluation.loss);
        self.at = At { step: evaluation.step, epoch: evaluation.epoch, time: now() };
        let set = &evaluation.set;
        tracing::info!("step {}: held-out loss of {set} {:.4}", evaluation.step, evaluation.loss);
        let values = std::iter::once((format!("eval_{set}_loss"), evaluation.loss));
        let metrics = evaluation.metrics.iter().map(|(name, value)| (format!("eval_{set}_{name}"), *value));
        let values: Vec<(String, f64)> = values.chain(metrics).collect();
        let values: Vec<(&str, f64)> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        Ok(self.trackers.scalars(self.at, &values)?)
    }

    /// Closes the records and draws the curve.
    pub(crate) fn finish(&mut self, is_good: bool) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.finish();
        }
        if self.trackers.0.is_empty() {
            return Ok(());
        }
        self.at.time = now();
        self.trackers.finish(self.at, u8::from(!is_good)).map_err(TrainingError::from)?;
        let events = read_events(&self.run.events_file()).map_err(TrainingError::from)?;
        let title = format!(
            "{}: {} trained on {}",
            self.run.path().display(),
            self.settings.model,
            self.settings.data.join(", ")
        );
        self.run.write("curve.svg", training_curve_svg(&events, &title).as_bytes())?;
        Ok(())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64()).unwrap_or_default()
}

fn flat(settings: &Settings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}
