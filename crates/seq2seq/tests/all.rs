//! The tests of the crate, in one program.

mod goldens;
mod tokenizers;
