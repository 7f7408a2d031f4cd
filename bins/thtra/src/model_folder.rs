//! Where a trained model lies, and what it was trained to read.

use std::path::{Path, PathBuf};

use candle_core::Device;
use llm_runtime::weights_sha256;
use serde::Deserialize;

use crate::error::{Error, read_text};
use crate::responder::{MODEL_FOLDER, Responder};
use crate::sample::Layout;
use crate::stage::Stage;

const MODEL_CONFIG: &str = "config.json";
const RUN_CONFIG: &str = "config.toml";
/// Fresh rows of a vocabulary without strategies are drawn from this seed; such a model has nothing to say about strategies.
const SEED: u64 = 0;

/// A trained model, open.
pub struct TrainedModel {
    /// The model.
    pub responder: Responder,
    /// What its dialogues look like.
    pub layout: Layout,
    /// Its folder.
    pub folder: PathBuf,
    /// Hex SHA-256 of its weights.
    pub sha256: String,
}

/// What of a run's settings is of interest here.
#[derive(Deserialize)]
struct RunSettings {
    stage: Option<Stage>,
}

impl TrainedModel {
    /// Opens a run's folder, its model's folder, or a BlenderBot-small of Hugging Face with the strategies' tokens. Runs say whether their model knows
    /// strategies; any other does unless `layout` says otherwise.
    ///
    /// # Errors
    /// There is no such folder, or it holds no BlenderBot-small, or the run's settings can't be read.
    pub fn open(folder: &Path, layout: Option<Layout>, device: &Device) -> Result<Self, Error> {
        let folder = model_folder(folder)?;
        let layout = match layout {
            Some(layout) => layout,
            None => layout_of(&folder)?,
        };
        let responder = Responder::open(&folder, SEED, device)?;
        let sha256 = weights_sha256(&folder)?;
        Ok(Self { responder, layout, folder, sha256 })
    }
}

/// The model's folder, where a run's is given.
fn model_folder(folder: &Path) -> Result<PathBuf, Error> {
    let candidates = [folder.to_owned(), folder.join(MODEL_FOLDER)];
    let found = candidates.into_iter().find(|folder| folder.join(MODEL_CONFIG).is_file());
    found.ok_or_else(|| {
        let problem = format!(
            "there is no model here: expected {MODEL_CONFIG} of a Hugging Face folder, or a run's folder with {MODEL_FOLDER}/{MODEL_CONFIG}"
        );
        Error::format(folder, problem)
    })
}

/// What the run says that the folder is of.
fn layout_of(model: &Path) -> Result<Layout, Error> {
    let Some(path) = model.parent().map(|run| run.join(RUN_CONFIG)).filter(|path| path.is_file()) else {
        return Ok(Layout::Strat);
    };
    let wrong =
        |error: toml::de::Error| Error::format(&path, format!("not the settings of a run: {}", error.message()));
    let settings: RunSettings = toml::from_str(&read_text(&path)?).map_err(wrong)?;
    Ok(settings.stage.map_or(Layout::Strat, Stage::judged_layout))
}
