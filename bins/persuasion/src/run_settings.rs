//! What the folder of a run tells those who use its adapter.

use std::path::{Path, PathBuf};

use command_line::{Failure, ModelOptions};
use dpo::PreferenceOptions;
use llm_runtime::input_file;
use serde::Deserialize;

use crate::train_arguments::WritingSettings;

/// The settings of a run that matter afterwards.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RunSettings {
    /// Its folder.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    pub(crate) model: String,
    pub(crate) data: PathBuf,
    pub(crate) init_adapter: Option<PathBuf>,
    pub(crate) reference_model: Option<String>,
    dtype: Option<String>,
    quantize: Option<String>,
    pub(crate) writing: WritingSettings,
    pub(crate) objective: PreferenceOptions,
}

impl RunSettings {
    /// Those of the run that `adapter` is, or whose folder `adapter/` it is; `None` for an adapter on its own.
    ///
    /// # Errors
    /// The settings can't be read, or are of another program.
    pub(crate) fn of_adapter(adapter: &Path) -> Result<Option<Self>, Failure> {
        let is_inside = adapter.file_name().is_some_and(|name| name == crate::commands::train::ADAPTER_FOLDER);
        let folder = if is_inside { adapter.parent().unwrap_or(adapter) } else { adapter };
        let path = folder.join("config.toml");
        if !path.is_file() {
            return Ok(None);
        }
        let shown = path.display();
        let text = input_file::read_text(&path).map_err(|error| Failure::work(format!("{shown}: {error}")))?;
        let settings: Self = toml::from_str(&text).map_err(|error| {
            Failure::work(format!(
                "{shown}: not the settings of a run of `persuasion train`: {}; name the PEFT folder itself for another adapter",
                error.message()
            ))
        })?;
        Ok(Some(Self { folder: folder.to_owned(), ..settings }))
    }

    /// Options of a model, with the types of weights that the run was trained with, where none are given.
    ///
    /// # Errors
    /// The settings name types that do not exist.
    pub(crate) fn weights_over(&self, given: &ModelOptions) -> Result<ModelOptions, Failure> {
        let mut options = given.clone();
        if given.dtype.is_none() && given.quantize.is_none() {
            options.dtype = self.dtype.as_deref().map(str::parse).transpose().map_err(Failure::work)?;
            options.quantize = self.quantize.as_deref().map(str::parse).transpose().map_err(Failure::work)?;
        }
        Ok(options)
    }
}
