//! One test binary, a module per subject.

mod common;
mod golden_pruners;
mod journals;
mod optuna;
mod plots;
mod processes;
mod pruners;
mod snapshots;
mod studies;
