//! The folder of a run.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::TrainingError;
use crate::atomic_file::write_file;

/// The folder of a run: `config.toml`, `events.jsonl`, `tensorboard/`, `wandb/`, `checkpoints/`, `outputs/`, and pictures beside
/// them.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// A new run's folder; it may exist, but must not hold a run.
    ///
    /// # Errors
    /// It holds a run already, or can't be made.
    pub fn create(path: &Path) -> Result<Self, TrainingError> {
        let run = Self { path: path.into() };
        if run.config_file().exists() {
            let problem = "this folder holds a run: go on with it (--resume), or choose another folder";
            return Err(TrainingError::format(path, problem));
        }
        for folder in [run.checkpoints(), run.outputs()] {
            fs::create_dir_all(&folder).map_err(TrainingError::io(&folder))?;
        }
        Ok(run)
    }

    /// The folder of a run that was begun before.
    ///
    /// # Errors
    /// There is no run in it.
    pub fn open(path: &Path) -> Result<Self, TrainingError> {
        let run = Self { path: path.into() };
        match run.config_file().is_file() {
            true => Ok(run),
            false => Err(TrainingError::format(path, "there is no run in this folder (config.toml is missing)")),
        }
    }

    /// Writes the resolved settings.
    ///
    /// # Errors
    /// They can't be expressed in TOML, or the file can't be written.
    pub fn write_config(&self, config: &impl Serialize) -> Result<(), TrainingError> {
        let path = self.config_file();
        let text = toml::to_string_pretty(config).map_err(|error| TrainingError::format(&path, error))?;
        write_file(&path, text.as_bytes())
    }

    /// Writes a file of the run, whole or not at all.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), TrainingError> {
        write_file(&self.path.join(name), contents)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved settings.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// What happened, one JSON object per line.
    pub fn events_file(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// Checkpoints by step.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// What the run made.
    pub fn outputs(&self) -> PathBuf {
        self.path.join("outputs")
    }
}
