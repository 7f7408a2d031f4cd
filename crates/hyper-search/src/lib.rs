//! Hyper-parameter search: samplers, pruners, and studies that several processes share.

mod distribution;
mod error;
mod importance;
mod normal;
mod number;
mod parzen;
mod pruner;
mod sampler;
mod trial;

pub use distribution::Distribution;
pub use error::SearchError;
pub use importance::{Baseline, ImportanceOptions, importance};
pub use pruner::{
    Checks, Hyperband, NoPruner, Patient, Percentile, Pruner, SuccessiveHalving, Threshold, Verdict, Wilcoxon,
};
pub use sampler::{
    CONSTRAINTS, Generator, GridAxis, GridSampler, JOINTLY, KernelWidth, RandomSampler, Sampler, SobolSampler, StartUp,
    TpeOptions, TpeSampler,
};
pub use trial::{Direction, History, Trial, TrialState};
