//! Where golden files and real data are.

pub(crate) use golden_files::{family, root};
