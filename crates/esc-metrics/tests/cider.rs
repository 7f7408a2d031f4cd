//! Tests of cider.
