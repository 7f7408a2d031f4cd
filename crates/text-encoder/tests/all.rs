//! Tests of the crate, in one binary.

mod bad_input;
mod folders;
mod golden;
mod gradients;
mod learning;
mod padding;
mod prefixes;
mod small;
mod tokenizers;
