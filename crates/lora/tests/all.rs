//! Tests of the crate, in one binary.

mod goldens;
mod lora;
