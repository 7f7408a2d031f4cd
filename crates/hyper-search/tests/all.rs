//! Tests of the crate, in one binary.

mod exact;
mod importances;
mod plain_study;
mod samplers;
mod statistics;
