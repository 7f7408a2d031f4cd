//! The tests of the crate, in one program.

mod bank;
mod generator;
mod golden;
