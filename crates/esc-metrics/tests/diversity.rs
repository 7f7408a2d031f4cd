//! Tests of diversity.
