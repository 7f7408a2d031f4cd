//! One test binary.

mod bad_input;
mod cutting;
mod example_rows;
mod real_corpora;
