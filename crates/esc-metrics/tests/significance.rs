//! Tests of significance.
