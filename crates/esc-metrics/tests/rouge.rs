//! Tests of rouge.
