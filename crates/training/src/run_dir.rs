//! The folder of a run.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::TrainingError;
use crate::atomic_file::write_file;

/// The folder of a run: `config.toml`, `events.jsonl`, `tensorboard/`, `wandb/`, `checkpoints/`, `outputs/`, and pictures beside
/// them.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    /// Locked as long as one of the run's owners lives.
    _lock: Option<Arc<File>>,
}

/// The file that is locked while a process works in the folder.
const LOCK_FILE: &str = ".lock";

impl RunDir {
    /// A new run's folder; it may exist, but must not hold a run.
    ///
    /// # Errors
    /// It holds a run already, or can't be made.
    pub fn create(path: &Path) -> Result<Self, TrainingError> {
        let run = Self { path: path.into(), _lock: None };
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
        let run = Self { path: path.into(), _lock: None };
        match run.config_file().is_file() {
            true => Ok(run),
            false => Err(TrainingError::format(path, "there is no run in this folder (config.toml is missing)")),
        }
    }

    /// Keeps other processes out of the folder until this one ends or drops it.
    ///
    /// # Errors
    /// Another process works in it, or it can't be locked.
    pub fn lock(self) -> Result<Self, TrainingError> {
        let path = self.path.join(LOCK_FILE);
        let file = File::create(&path).map_err(TrainingError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _lock: Some(Arc::new(file)), ..self }),
            Err(TryLockError::WouldBlock) => {
                let problem = "another process works in this folder: wait until it has ended, or choose another folder";
                Err(TrainingError::format(&self.path, problem))
            }
            Err(TryLockError::Error(error)) => Err(TrainingError::io(&path)(error)),
        }
    }

    /// Takes back the settings of a run that was just begun and failed before its first checkpoint, so that other words can begin one in this folder. Everything
    /// else stays, and so do the settings where there is a checkpoint.
    ///
    /// # Errors
    /// They can't be removed.
    pub fn abandon(&self) -> Result<(), TrainingError> {
        let has_checkpoint = fs::read_dir(self.checkpoints()).is_ok_and(|mut entries| entries.next().is_some());
        if has_checkpoint || !self.config_file().exists() {
            return Ok(());
        }
        fs::remove_file(self.config_file()).map_err(TrainingError::io(&self.config_file()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_works_in_a_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("run");
        let run = RunDir::create(&path).unwrap().lock().unwrap();
        run.write_config(&1).unwrap_err();
        run.write("config.toml", b"").unwrap();
        let refused = RunDir::open(&path).unwrap().lock().unwrap_err().to_string();
        assert!(refused.contains("another process"), "{refused}");
        drop(run);
        RunDir::open(&path).unwrap().lock().unwrap();
    }

    #[test]
    fn a_run_that_failed_at_once_leaves_room_for_another_and_keeps_files() {
        let scratch = tempfile::tempdir().unwrap();
        let run = RunDir::create(scratch.path()).unwrap();
        for name in ["config.toml", "outputs/notes.txt"] {
            run.write(name, b"old").unwrap();
        }
        assert!(RunDir::create(scratch.path()).is_err(), "nobody else's settings are taken back");
        run.abandon().unwrap();
        let run = RunDir::create(scratch.path()).unwrap();
        assert!(run.outputs().join("notes.txt").exists());
        run.write("config.toml", b"new").unwrap();
        fs::create_dir(run.checkpoints().join("step-00000001")).unwrap();
        run.abandon().unwrap();
        assert!(RunDir::create(scratch.path()).is_err());
    }
}
