//! Hyper-parameter search: samplers, pruners, and studies that several processes share.

mod active_trial;
mod calendar;
mod distribution;
mod error;
mod journal;
mod ledger;
mod number;
mod options;
mod optuna_journal;
mod parameter;
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
pub use options::StudyOptions;
pub use pruner::{
    Checks, Hyperband, NoPruner, Patient, Percentile, Pruner, SuccessiveHalving, Threshold, Verdict, Wilcoxon,
};
pub use sampler::Sampler;
pub use snapshot::Snapshot;
pub use study::Study;
pub use trial::{Direction, History, Trial, TrialState};
