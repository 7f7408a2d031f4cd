//! Stemmers that metrics need to agree with their originals.

mod porter;
