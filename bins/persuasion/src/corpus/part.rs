//! Training, validation and test.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A part of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// To learn from.
    Train,
    /// To choose settings by.
    Validation,
    /// To report on.
    Test,
}

impl Part {
    /// All parts, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// `train`, `validation` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The file of its pairs.
    pub fn file(self) -> String {
        format!("{}.jsonl", self.name())
    }

    /// What a corpus calls it.
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "validation" | "valid" | "val" | "dev" => Some(Self::Validation),
            "test" | "heldout" | "held-out" | "eval" => Some(Self::Test),
            _ => None,
        }
    }

    /// The part that a file's name tells: `train.jsonl`, `pairs_v002_dev.csv`, `heldout_pair_data.jsonlist`. A name that tells two tells none.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let mut told: Vec<Self> = name.split(['_', '-', '.', ' ']).filter_map(Self::parse).collect();
        told.dedup();
        match told.as_slice() {
            [part] => Some(*part),
            _ => None,
        }
    }
}
