//! Tests of the crate, in one binary.

mod files;
mod hostile;
mod numbers;
mod structure;
