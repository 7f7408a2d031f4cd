//! Tests of meteor.
