//! What is minimised.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use llm_runtime::{Checkpoints, DropoutPass, TokenStatistics};

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

    /// Loss and further values of a whole held-out set, without dropout. By default means over its terms; an objective whose values
    /// are no means of batches (an F1, a correlation) gives its own.
    ///
    /// # Errors
    /// A batch can't be made, or as [`Self::loss`].
    fn evaluate(&self, batches: Batches<'_, Self::Batch>) -> Result<SetScores, TrainingError> {
        let mut sums = Sums::default();
        for batch in batches {
            let parts = self.loss(&batch?, &Pass::evaluation())?;
            sums.add(f64::from(parts.sum.to_scalar::<f32>()?), &parts);
        }
        Ok(SetScores { loss: sums.loss(), metrics: sums.metrics() })
    }

    /// Whether a step may pass a parameter by, because nothing in its batch depends on it; it stays as it is then, as torch has it. By default none may:
    /// a gradient that never arrives is a mistake.
    fn may_pass_by(&self, _parameter: &str) -> bool {
        false
    }

    /// Writes what belongs to a checkpoint beside parameters and optimiser into the checkpoint's folder: a memory that grows with the training, say. By
    /// default nothing.
    ///
    /// # Errors
    /// A file can't be written.
    fn save(&self, _folder: &Path) -> Result<(), TrainingError> {
        Ok(())
    }

    /// Goes on with what [`Self::save`] wrote, when a run is resumed, and at its end with that of the best checkpoint.
    ///
    /// # Errors
    /// A file can't be read.
    fn restore(&self, _folder: &Path) -> Result<(), TrainingError> {
        Ok(())
    }

    /// The run is over, however it ended: what was switched to training (dropout) is to be switched back.
    fn end(&self) {}
}

/// The batches of a held-out set, made one by one.
pub type Batches<'a, B> = &'a mut dyn Iterator<Item = Result<B, TrainingError>>;

/// What a held-out set gives.
#[derive(Debug, Clone, PartialEq)]
pub struct SetScores {
    /// Mean loss of its terms.
    pub loss: f64,
    /// Further values, by name.
    pub metrics: Vec<(String, f64)>,
}

/// In which way a batch passes through the model.
#[derive(Clone)]
pub struct Pass {
    /// Training or evaluation.
    pub mode: Mode,
    /// Where to run layers if only their inputs shall be kept; `None` keeps everything.
    pub checkpoints: Option<Checkpoints>,
    /// Where an objective may run sections of its own that are to be computed again in the backward pass.
    pub sections: Checkpoints,
    /// Where the head notes what logits say beside the probabilities, for objectives that tell it; `None` notes nothing.
    pub statistics: Option<TokenStatistics>,
}

/// Training or evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// With these dropout masks.
    Train(DropoutPass),
    /// Without dropout; no gradient will be asked for.
    Evaluate,
}

impl Mode {
    /// The dropout masks; `None` in evaluation.
    pub fn dropout(self) -> Option<DropoutPass> {
        match self {
            Self::Train(dropout) => Some(dropout),
            Self::Evaluate => None,
        }
    }
}

impl Pass {
    /// A pass without dropout and gradients.
    pub fn evaluation() -> Self {
        Self { mode: Mode::Evaluate, checkpoints: None, sections: Checkpoints::default(), statistics: None }
    }

    /// A pass with gradients. With `checkpoints` only the layers' inputs are kept.
    pub fn training(dropout: DropoutPass, checkpoints: Option<Checkpoints>) -> Self {
        Self { mode: Mode::Train(dropout), checkpoints, ..Self::evaluation() }
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

/// Sums over batches.
#[derive(Default)]
pub(crate) struct Sums {
    loss: f64,
    pub(crate) weight: f64,
    /// Means of the batches, for [`crate::Normalisation::MicroBatches`].
    pub(crate) means: Vec<f64>,
    pub(crate) tokens: usize,
    metrics: BTreeMap<&'static str, (f64, f64)>,
}

impl Sums {
    pub(crate) fn add(&mut self, sum: f64, parts: &LossParts) {
        self.loss += sum;
        self.weight += parts.weight;
        self.means.push(sum / parts.weight);
        self.tokens += parts.tokens;
        for Metric { name, sum, weight } in &parts.metrics {
            let entry = self.metrics.entry(name).or_default();
            *entry = (entry.0 + sum, entry.1 + weight);
        }
    }

    pub(crate) fn loss(&self) -> f64 {
        self.loss / self.weight
    }

    pub(crate) fn metrics(&self) -> Vec<(String, f64)> {
        self.metrics.iter().map(|(name, (sum, weight))| ((*name).to_owned(), sum / weight)).collect()
    }
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
