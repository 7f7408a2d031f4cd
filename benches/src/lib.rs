//! What the benches' programs share: models of published shapes with random weights.

pub mod random_model;
pub mod shape;
