//! Tests of the crate, in one binary.

mod common;
mod exact;
mod golden_pruners;
mod importances;
mod journals;
mod optuna;
mod plain_study;
mod plots;
mod processes;
mod pruners;
mod samplers;
mod snapshots;
mod statistics;
mod studies;
