//! Where `--model` and `--base` of the classifier point to.

use std::path::{Path, PathBuf};

use command_line::{Failure, Machine, hugging_face_folder, must_be_local};
use text_encoder::{SentenceEncoder, TextClassifier};

/// Folder of the trained classifier in a run.
pub(super) const MODEL_FOLDER: &str = "model";

/// The Hugging Face folder that a name stands for: a run of `sra classifier train`, the folder itself, or a hub id after a download.
pub(super) fn folder(name: &str, machine: &Machine) -> Result<PathBuf, Failure> {
    must_be_local(name, "an encoder gives states or classes")?;
    let inside = Path::new(name).join(MODEL_FOLDER);
    if inside.join("config.json").is_file() {
        return Ok(inside);
    }
    hugging_face_folder(name, machine)
}

/// A classifier that is to be used, and its folder.
pub(super) fn open(name: &str, machine: &Machine) -> Result<(TextClassifier, PathBuf), Failure> {
    let device = machine.device.open()?;
    let folder = folder(name, machine)?;
    Ok((TextClassifier::open(&folder, &device)?, folder))
}

/// The encoder of such a folder, without its head: a vector for each text.
pub(crate) fn sentence_encoder(name: &str, machine: &Machine) -> Result<SentenceEncoder, Failure> {
    Ok(SentenceEncoder::open(&folder(name, machine)?, &machine.device.open()?)?)
}
