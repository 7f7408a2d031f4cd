//! Tests of the crate, in one binary.

mod search;
mod table_model;
