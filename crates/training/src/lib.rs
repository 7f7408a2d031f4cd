//! One training loop for everything that is trained in this workspace.
//!
//! An [`Objective`] gives the loss of a batch, a [`Dataset`] makes the batches, and a [`Trainer`] does the rest: micro-batches and
//! accumulation, clipping of the global norm, [`AdamW`] with groups and saved state, [`Schedule`]s with warm-up, evaluation, best and
//! last checkpoints, early stopping, guards against losses that are not finite or diverge, and exact resume.
//!
//! # What holds
//!
//! - Micro-batches that are accumulated give the gradient of one batch of all their examples: losses are sums with weights.
//! - An interrupted and resumed run ends with the same bits as one that ran through, on the CPU.
//! - A parameter that no gradient reaches is an error, not a silent omission.
//!
//! # References
//!
//! Optimiser steps, clipping and schedules are held against torch and transformers on golden files (in the `lora` crate's
//! tests, where there is a model to train).

mod adamw;
mod adamw_arithmetic;
mod atomic_file;
mod batches;
mod checkpoint;
mod error;
mod event;
mod guard;
mod objective;
mod options;
mod parameter;
mod run_dir;
mod schedule;
mod sequence_model;
pub mod tracking;
mod trainer;
mod variables;

pub use adamw::{AdamW, AdamWOptions, AdamWRule, ParameterGroup};
pub use batches::BatchPlan;
pub use checkpoint::{Best, PARAMETERS_FILE};
pub use error::TrainingError;
pub use event::{Control, Evaluation, Observer, Step, TrainEvent};
pub use objective::{Batches, Dataset, LossParts, Metric, Mode, Objective, Pass, SetScores};
pub use options::{Normalisation, Selection, TrainerOptions};
pub use parameter::{Gradients, Parameters};
pub use run_dir::RunDir;
pub use schedule::{Schedule, Warmup};
pub use sequence_model::{Continuations, SequenceModel};
pub use trainer::{End, TrainSummary, Trainer};
pub use variables::{FreshWeights, VariableLoader, normal_values};
