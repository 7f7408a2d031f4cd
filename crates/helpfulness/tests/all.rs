//! The tests of the crate, in one program.

mod golden_align;
mod golden_helpfulness;
mod learning;
mod models;
mod published;
mod sequences;
mod small;
