//! Stemmers that metrics need to agree with their originals.

mod porter;

pub(crate) use porter::porter_stem;
