//! Where a helpfulness model is kept: in a run's folder, with the encoder it was trained on or a note where that is.

use std::path::{Path, PathBuf};

use candle_core::Device;
use helpfulness::{FrozenEncoder, HelpfulnessModel};
use llm_runtime::sha256_of_files;

use crate::error::Error;
use crate::responder::MODEL_FOLDER;

/// The folder within a model's own where an encoder is kept that belongs to it alone.
pub const ENCODER_FOLDER: &str = "encoder";

/// Opens the model of a run of `thtra helpfulness train` (`folder` is the run's, or `model` within it), on the encoder that it was trained on; `encoder` says
/// where that is if it has been moved.
///
/// # Errors
/// A file is missing or damaged, or the encoder is another.
pub fn open_helpfulness(folder: &Path, encoder: Option<&Path>, device: &Device) -> Result<HelpfulnessModel, Error> {
    let folder = helpfulness_folder(folder);
    let encoder = match encoder {
        Some(encoder) => encoder.to_owned(),
        None => HelpfulnessModel::encoder_folder(&folder)?,
    };
    Ok(HelpfulnessModel::open(&folder, FrozenEncoder::open(&encoder, device)?)?)
}

/// The folder of the model itself, in that of a run or the same.
pub fn helpfulness_folder(folder: &Path) -> PathBuf {
    let model = folder.join(MODEL_FOLDER);
    if model.is_dir() { model } else { folder.to_owned() }
}

/// Hex SHA-256 of a model without its encoder, which the model names by a hash itself. `folder` is the run's or the model's.
///
/// # Errors
/// A file can't be read.
pub fn helpfulness_sha256(folder: &Path) -> Result<String, Error> {
    let folder = helpfulness_folder(folder);
    Ok(sha256_of_files(&[folder.join("helpfulness.json"), folder.join("helpfulness.safetensors")])?)
}
