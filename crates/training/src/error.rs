//! The crate's error.

use std::path::{Path, PathBuf};

/// What can go wrong in a training run. Checkpoints written before stay as they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
    /// A setting makes no sense.
    #[error("{setting}: {problem}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What was given and what is allowed.
        problem: String,
    },
    /// A loss or gradient is infinite or not a number.
    #[error(
        "step {step}: the {what} is {value} (micro-batch {micro_batch} of the step, examples {examples:?}): \
         lower the learning rate, clip gradients, or look at these examples"
    )]
    NotFinite {
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The optimiser step, from 1.
        step: u64,
        /// The micro-batch within the step, from 1; the last one for a gradient norm.
        micro_batch: usize,
        /// Numbers of the examples in it, as the data set counts.
        examples: Vec<usize>,
    },
    /// The loss has been far above its best for many steps.
    #[error(
        "step {step}: the loss has been above {limit:.4} for {steps} steps (it was {best:.4} at its best): \
         training diverges; lower the learning rate or lengthen the warm-up"
    )]
    Diverged {
        /// The optimiser step, from 1.
        step: u64,
        /// The bound the loss was above.
        limit: f64,
        /// For how many steps.
        steps: u64,
        /// The smallest loss of a step so far.
        best: f64,
    },
    /// A trained parameter got no gradient.
    #[error("step {step}: no gradient reached the parameter `{parameter}`: the objective does not depend on it")]
    NoGradient {
        /// The optimiser step, from 1.
        step: u64,
        /// The parameter's name.
        parameter: String,
    },
    /// A batch or its loss could not be computed.
    #[error("{0}")]
    Objective(Box<dyn std::error::Error + Send + Sync>),
    /// A tensor operation failed.
    #[error("tensor operation: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The run's records could not be written.
    #[error(transparent)]
    Tracking(#[from] crate::tracking::TrackingError),
}

impl TrainingError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io { path: path.into(), source }
    }

    pub(crate) fn format(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::Format { path: path.into(), problem: problem.to_string() }
    }
}
