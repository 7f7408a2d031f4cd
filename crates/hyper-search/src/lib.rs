//! Hyper-parameter search: samplers, pruners, and studies that several processes share.

mod distribution;
mod trial;

pub use distribution::Distribution;
pub use trial::{Direction, History, Trial, TrialState};
