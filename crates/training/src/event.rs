//! What a run tells while it goes on.

use std::path::PathBuf;

use crate::TrainingError;

/// Sees every event, and says whether the run shall go on.
pub type Observer<'a> = &'a mut dyn FnMut(&TrainEvent) -> Result<Control, TrainingError>;

/// Whether a run goes on. The answers to its start, to steps and to evaluations count, others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Write a checkpoint and end.
    Stop,
}

impl Control {
    /// Goes on if both do.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Continue { other } else { self }
    }
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainEvent {
    /// The first step is about to be made.
    Started {
        /// Steps made before, by the run that is resumed.
        step: u64,
        /// Whether it goes on from a checkpoint. One of step 0 has been evaluated, and is not evaluated again.
        is_resumed: bool,
        /// Steps planned.
        total_steps: u64,
        /// Training examples.
        examples: usize,
        /// Trained values.
        parameters: usize,
    },
    /// The optimiser made a step.
    Step(Step),
    /// A held-out set was evaluated.
    Evaluation(Evaluation),
    /// A checkpoint was written.
    Saved {
        /// Optimiser steps made.
        step: u64,
        /// Its folder.
        path: PathBuf,
    },
}

/// An optimiser step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its number, from 1.
    pub step: u64,
    /// Steps planned.
    pub total_steps: u64,
    /// Epochs so far.
    pub epoch: f64,
    /// Mean loss of its terms.
    pub loss: f64,
    /// The learning rate it was made with.
    pub learning_rate: f64,
    /// Norm over all gradients before clipping.
    pub gradient_norm: f64,
    /// Tokens per second of this step.
    pub tokens_per_second: f64,
    /// Whether it is to be recorded (every `log_every` steps).
    pub is_due: bool,
    /// Further means, by name.
    pub metrics: Vec<(String, f64)>,
}

/// An evaluation of a held-out set.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Optimiser steps made.
    pub step: u64,
    /// Epochs so far.
    pub epoch: f64,
    /// The set's name.
    pub set: String,
    /// Mean loss of its terms.
    pub loss: f64,
    /// Whether it is the best so far of the first set.
    pub is_best: bool,
    /// Further means, by name.
    pub metrics: Vec<(String, f64)>,
    /// Examples of the set.
    pub examples: usize,
    /// Batches they went through the model in.
    pub batches: usize,
    /// Seconds it took.
    pub seconds: f64,
}
