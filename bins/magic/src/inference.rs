//! Strategies with motivations as a language model inferred them: entries of `strategy_with_motivation.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::json_file::read_array;
use crate::strategy::Strategy;

/// Names of the three files of inferred strategies.
pub const INFERENCE_FILES: [&str; 3] =
    ["strategy_with_motivation.json", "strategy_with_motivation_valid.json", "strategy_with_motivation_test.json"];

/// What was inferred for one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inference {
    /// The strategy.
    pub strategy: Strategy,
    /// Why it fits, as the model wrote it.
    pub motivation: String,
}

/// Reads a file of inferred strategies: those of this program, or published ones with names in brackets and small letters.
///
/// # Errors
/// The file can't be read, or an entry has no known strategy or no motivation; the error tells its number, which is the sample's.
pub fn read_inferences(path: &Path) -> Result<Vec<Inference>, Error> {
    read_array(path, "inferred strategy of a sample")
}
