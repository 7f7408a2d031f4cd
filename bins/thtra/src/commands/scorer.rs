//! The model of helpfulness that a command line names.

use candle_core::Device;
use command_line::Failure;
use helpfulness::HelpfulnessModel;
use thtra::{helpfulness_sha256, open_helpfulness};

use crate::align_arguments::Scorer;

/// A model, and how rows and settings name it.
pub(crate) struct OpenScorer {
    pub(crate) model: HelpfulnessModel,
    pub(crate) name: String,
}

impl OpenScorer {
    /// `None` where none is named.
    pub(crate) fn open(options: &Scorer, device: &Device) -> Result<Option<Self>, Failure> {
        let Some(folder) = &options.helpfulness else { return Ok(None) };
        let model = open_helpfulness(folder, options.helpfulness_encoder.as_deref(), device)?;
        Ok(Some(Self { model, name: format!("helpfulness {}", short(helpfulness_sha256(folder)?)) }))
    }
}

/// As many digits of a hash tell one thing from others.
const HASH_DIGITS: usize = 12;

/// The beginning of a hash.
pub(crate) fn short(mut hash: String) -> String {
    hash.truncate(HASH_DIGITS);
    hash
}
