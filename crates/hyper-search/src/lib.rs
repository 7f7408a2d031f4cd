//! Hyper-parameter search: samplers, pruners, and studies that several processes share.
//!
//! A [`Study`] runs trials of an objective. A [`Sampler`] suggests their parameters ([`TpeSampler`], [`RandomSampler`], [`SobolSampler`],
//! [`GridSampler`]), a [`Pruner`] gives up those that others are far ahead of. What happens is in a journal, an append-only file that
//! processes share and that survives all of them.
//!
//! ```
//! use hyper_search::{Outcome, Percentile, SearchError, Study, StudyOptions, TpeOptions, TpeSampler};
//!
//! let sampler = TpeSampler::new(TpeOptions::default())?;
//! let study = Study::in_memory(StudyOptions::minimize(sampler).pruner(Percentile::median()))?;
//! study.enqueue([("rate", 0.1.into())])?;
//! study.optimize(30, |trial| -> Result<Outcome, SearchError> {
//!     let rate = trial.log_float("rate", 1e-4..=1.0)?;
//!     let cycles = trial.int("cycles", 1..=8)?;
//!     let mut loss = 0.0;
//!     for step in 0..5 {
//!         loss = (rate.log10() + 2.0).powi(2) + cycles as f64 / 8.0 + 1.0 / (step + 1) as f64;
//!         trial.report(step, loss)?;
//!         if trial.should_prune()? {
//!             return Ok(Outcome::Pruned);
//!         }
//!     }
//!     Ok(Outcome::Complete(loss))
//! })?;
//! assert!(study.best()?.is_some_and(|best| best.external_parameters().contains_key("rate")));
//! # Ok::<(), SearchError>(())
//! ```

mod active_trial;
mod calendar;
mod distribution;
mod error;
mod importance;
mod journal;
mod ledger;
mod normal;
mod number;
mod options;
mod optuna_journal;
mod parameter;
mod parzen;
mod plots;
mod pruner;
mod record;
mod sampler;
mod snapshot;
mod study;
mod trial;
mod worker;

pub use active_trial::{ActiveTrial, Outcome};
pub use distribution::Distribution;
pub use error::SearchError;
pub use importance::{Baseline, ImportanceOptions, importance};
pub use options::StudyOptions;
pub use pruner::{
    Checks, Hyperband, NoPruner, Patient, Percentile, Pruner, SuccessiveHalving, Threshold, Verdict, Wilcoxon,
};
pub use sampler::{
    CONSTRAINTS, Generator, GridAxis, GridSampler, JOINTLY, KernelWidth, RandomSampler, Sampler, SobolSampler, StartUp,
    TpeOptions, TpeSampler,
};
pub use snapshot::Snapshot;
pub use study::Study;
pub use trial::{Direction, History, Trial, TrialState};
