//! Settings of a run.

use serde::{Deserialize, Serialize};

use crate::TrainingError;
use crate::adamw::AdamWOptions;
use crate::batches::BATCHES_PER_POOL;
use crate::objective::SetScores;
use crate::schedule::{Schedule, Warmup};

/// Settings of a [`crate::Trainer`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainerOptions {
    /// Passes over the training examples; may be a fraction.
    pub epochs: f64,
    /// Ends after so many optimiser steps instead.
    pub max_steps: Option<u64>,
    /// Examples that go through the model at a time.
    pub batch: usize,
    /// Micro-batches whose gradients make one optimiser step.
    pub accumulate: usize,
    /// Whether each epoch has an order of its own; otherwise examples come as they stand in the data.
    pub shuffle: bool,
    /// Whether the examples of a micro-batch are of like lengths (only with `shuffle`).
    pub by_length: bool,
    /// With `by_length`, micro-batches whose examples are sorted together: the more, the less padding, and the less chance.
    #[serde(skip_serializing_if = "is_usual_pool")]
    pub batches_per_pool: usize,
    /// Whether the examples that do not fill an epoch's last micro-batch are left out of that epoch, so that every micro-batch is full.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop_incomplete: bool,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// How it rises at the beginning.
    pub warmup: Warmup,
    /// Constants of the optimiser.
    pub adamw: AdamWOptions,
    /// Largest norm over all gradients; `None` does not clip.
    pub clip: Option<f64>,
    /// How the losses of accumulated micro-batches are put together.
    pub normalisation: Normalisation,
    /// Keep only each layer's input for the backward pass.
    pub gradient_checkpointing: bool,
    /// Steps between evaluations; 0 evaluates at each epoch's end.
    pub evaluate_every: u64,
    /// Whether the held-out sets are evaluated before the first step too, to see where training begins.
    pub evaluate_first: bool,
    /// Examples of an evaluation batch.
    pub evaluation_batch: usize,
    /// Steps between checkpoints; 0 writes one at each epoch's end. One is written after the last step and on interruption, and
    /// after an evaluation that is the best so far.
    pub save_every: u64,
    /// Checkpoints that are kept beside the best.
    pub keep: usize,
    /// Evaluations without a new best before the run ends early; 0 never does.
    pub patience: u64,
    /// By what evaluations are compared.
    #[serde(skip_serializing_if = "Selection::is_loss")]
    pub selection: Selection,
    /// Whether the best checkpoint's values are put back at the end (if there were evaluations).
    pub restore_best: bool,
    /// Fails when the loss stays above this factor times its best for 20 steps; 0 never does.
    pub divergence_factor: f64,
    /// Steps between records of the loss.
    pub log_every: u64,
    /// Seed of shuffles and dropout.
    pub seed: u64,
}

/// How the losses of accumulated micro-batches are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// The mean over all terms (tokens) of the step: equal to one batch of all examples.
    #[default]
    Terms,
    /// The mean of the micro-batches' means, as older trainers have it.
    MicroBatches,
}

fn is_usual_pool(batches: &usize) -> bool {
    *batches == BATCHES_PER_POOL
}

/// By what the evaluations of the first held-out set are compared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// The smallest loss is the best.
    #[default]
    Loss,
    /// The largest value of this metric of the objective is the best.
    Highest(String),
}

impl Selection {
    fn is_loss(&self) -> bool {
        *self == Self::Loss
    }

    /// What is compared.
    pub(crate) fn value(&self, scores: &SetScores) -> Result<f64, TrainingError> {
        let Self::Highest(name) = self else { return Ok(scores.loss) };
        let found = scores.metrics.iter().find(|(metric, _)| metric == name);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = scores.metrics.iter().map(|(metric, _)| metric.as_str()).collect();
            let problem = format!("the objective has no `{name}` (it has: {})", known.join(", "));
            TrainingError::Setting { setting: "selection", problem }
        })
    }

    pub(crate) fn is_better(&self, value: f64, best: f64) -> bool {
        match self {
            Self::Loss => value < best,
            Self::Highest(_) => value > best,
        }
    }
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            epochs: 1.0,
            max_steps: None,
            batch: 8,
            accumulate: 1,
            shuffle: true,
            by_length: false,
            batches_per_pool: BATCHES_PER_POOL,
            drop_incomplete: false,
            learning_rate: 5e-5,
            schedule: Schedule::Linear,
            warmup: Warmup::Steps(0),
            adamw: AdamWOptions::default(),
            clip: Some(1.0),
            normalisation: Normalisation::Terms,
            gradient_checkpointing: false,
            evaluate_every: 0,
            evaluate_first: false,
            evaluation_batch: 8,
            save_every: 0,
            keep: 1,
            patience: 0,
            selection: Selection::Loss,
            restore_best: true,
            divergence_factor: 4.0,
            log_every: 1,
            seed: 42,
        }
    }
}

impl TrainerOptions {
    /// Says which setting is out of range.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn check(&self) -> Result<(), TrainingError> {
        let require = |setting, holds: bool, problem: &str| match holds {
            true => Ok(()),
            false => Err(TrainingError::Setting { setting, problem: problem.to_owned() }),
        };
        let rate = self.learning_rate;
        require("learning rate", rate.is_finite() && rate > 0.0, "must be a positive number")?;
        require("epochs", self.epochs.is_finite() && self.epochs > 0.0, "must be a positive number")?;
        require("batch", self.batch > 0 && self.evaluation_batch > 0, "must be at least 1")?;
        require("batches per pool", self.batches_per_pool > 0, "must be at least 1")?;
        require("accumulate", self.accumulate > 0, "must be at least 1")?;
        require("max steps", self.max_steps != Some(0), "must be at least 1")?;
        require("keep", self.keep > 0, "must be at least 1: a run resumes from the last checkpoint")?;
        require("clip", self.clip.is_none_or(|clip| clip.is_finite() && clip > 0.0), "must be a positive number")?;
        let factor = self.divergence_factor;
        require("divergence factor", factor == 0.0 || factor > 1.0, "must be above 1, or 0 for none")?;
        self.adamw.check()
    }

    /// Optimiser steps of an epoch.
    pub fn steps_per_epoch(&self, examples: usize) -> u64 {
        let micro_batches = match self.drop_incomplete {
            true => examples / self.batch,
            false => examples.div_ceil(self.batch),
        };
        micro_batches.div_ceil(self.accumulate) as u64
    }

    /// Optimiser steps of the run.
    pub fn total_steps(&self, examples: usize) -> u64 {
        self.max_steps.unwrap_or_else(|| (self.epochs * self.steps_per_epoch(examples) as f64).ceil() as u64)
    }
}
