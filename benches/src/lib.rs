//! What the benches' programs share: models of published shapes with random weights, the machine's limits, processes that work in turn, and tables of what
//! they took.

pub mod limits;
pub mod model_work;
pub mod random_model;
pub mod report;
pub mod shape;
pub mod side;
pub mod spread;

/// What a program's step gives; its error is a sentence for the user.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;
