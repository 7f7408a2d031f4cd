//! The tests of the crate, in one program.

mod bad_input;
mod decoding;
mod folders;
mod golden;
mod golden_decoding;
mod golden_training;
mod goldens;
mod gradients;
mod learning;
mod padding;
mod search;
mod small;
mod table_model;
mod tokenizers;
