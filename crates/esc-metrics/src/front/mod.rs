//! The command `score`, for any program that wants it: files in, a table or JSON out.
//!
//! A program flattens [`ScoreArguments`] into its command line and prints what [`ScoreArguments::run`] returns.

mod arguments;
mod files;
mod report;
mod score;

pub use arguments::ScoreArguments;
pub use files::{Row, read_rows};
pub use report::{ComparisonReport, MetricRow, Outcome, Part, ScoreReport};
