//! Tests of the crate, in one binary.

mod exact;
mod plain_study;
