//! All integration tests of the crate, in one binary.

mod export;
mod fake_model;
mod full_disk;
mod instruction;
mod journal;
mod layouts;
mod records;
mod rendering;
mod run;
mod sample_data;
mod sampling;
mod sra;
mod sweep;
