//! What is minimised.

use candle_core::Tensor;
use llm_runtime::{Checkpoints, DropoutPass};

use crate::TrainingError;

/// Gives the loss of a batch. One loop drives every objective of the workspace.
pub trait Objective {
    /// What [`Dataset::batch`] makes.
    type Batch;

    /// The loss of one micro-batch.
    ///
    /// # Errors
    /// The batch does not fit the model, or the device fails.
    fn loss(&self, batch: &Self::Batch, pass: &Pass) -> Result<LossParts, TrainingError>;

    /// The run is over, however it ended: what was switched to training (dropout) is to be switched back.
    fn end(&self) {}
}

/// In which way a batch passes through the model.
#[derive(Clone)]
pub struct Pass {
    /// Training or evaluation.
    pub mode: Mode,
    /// Where to run layers if only their inputs shall be kept; `None` keeps everything.
    pub checkpoints: Option<Checkpoints>,
}

/// Training or evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With these dropout masks.
    Train(DropoutPass),
    /// Without dropout; no gradient will be asked for.
    Evaluate,
}

impl Pass {
    /// A pass without dropout and gradients.
    pub fn evaluation() -> Self {
        Self { mode: Mode::Evaluate, checkpoints: None }
    }
}

/// The loss of a micro-batch as a sum and what it is to be divided by, so that micro-batches of different sizes add up to
/// exactly the mean over all of them.
pub struct LossParts {
    /// Sum of the losses of all terms (tokens, pairs …), a scalar f32 tensor with history.
    pub sum: Tensor,
    /// Number of terms.
    pub weight: f64,
    /// Tokens that went through the model, for rates.
    pub tokens: usize,
    /// Further values, detached.
    pub metrics: Vec<Metric>,
}

/// A value that is averaged over batches.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name in the records, e.g. `accuracy`.
    pub name: &'static str,
    /// Sum over the batch.
    pub sum: f64,
    /// Number of terms.
    pub weight: f64,
}

/// Examples by number, and how they become batches.
pub trait Dataset {
    /// What the objective takes.
    type Batch;

    /// The length of each example (tokens), for batches of like lengths.
    fn lengths(&self) -> Vec<usize>;

    /// Puts examples together.
    ///
    /// # Errors
    /// An example can't be made.
    fn batch(&self, examples: &[usize]) -> Result<Self::Batch, TrainingError>;
}
