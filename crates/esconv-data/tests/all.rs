//! One test binary.

mod bad_input;
mod corpus_folder;
mod cutting;
mod example_rows;
mod real_corpora;
