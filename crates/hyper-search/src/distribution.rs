//! What a parameter can be.

use serde_json::Value;

/// The values a parameter can take, and how they are drawn.
///
/// Samplers know a parameter by its *internal value*, a number: that of a float or an integer, or the place of a category's choice.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// A real number in `low..=high`.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Values are `low + k·step`; `None` is continuous.
        step: Option<f64>,
        /// Drawn by its logarithm; not together with `step`.
        log: bool,
    },
    /// A whole number in `low..=high`.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Values are `low + k·step`.
        step: i64,
        /// Drawn by its logarithm; then `step` is 1.
        log: bool,
    },
    /// One of several values without an order.
    Categorical {
        /// Null, booleans, numbers or strings.
        choices: Vec<Value>,
    },
}
