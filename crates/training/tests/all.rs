//! Tests of the crate, in one binary.

mod optimiser;
mod tracking;
