//! Checkpoints: everything that a run needs to go on as if nothing had happened.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::adamw::AdamW;
use crate::atomic_file::{recover, remove_folder, write_folder};
use crate::guard::DivergenceGuard;
use crate::{Objective, TrainingError};

/// File of the parameters in a checkpoint's folder.
pub const PARAMETERS_FILE: &str = "parameters.safetensors";
const OPTIMISER_FILE: &str = "optimizer.safetensors";
/// TOML: a state is read by people, too, and its numbers are read back exactly.
const STATE_FILE: &str = "state.toml";

/// Where a run stands. Shuffles and dropout follow from the seed and these numbers, so no generator is saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainerState {
    /// Optimiser steps made.
    pub(crate) step: u64,
    /// Steps the run was planned for: the schedule depends on it.
    pub(crate) total_steps: u64,
    /// Micro-batches that went through the model in training.
    pub(crate) passes: u64,
    /// Tokens that went through the model in training.
    pub(crate) tokens: u64,
    /// Loss of the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<f64>,
    /// The last step after which the held-out sets were evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) evaluated: Option<u64>,
    /// The best evaluation.
    pub(crate) best: Option<Best>,
    /// Evaluations since then.
    pub(crate) since_best: u64,
    pub(crate) guard: DivergenceGuard,
    /// Fingerprint of settings and data that may not change in between.
    pub(crate) fingerprint: String,
}

/// The best evaluation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its optimiser step.
    pub step: u64,
    /// The held-out loss.
    pub loss: f64,
    /// The value it was chosen by, where that is not the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// The checkpoints of a run.
pub(crate) struct CheckpointFolder {
    folder: PathBuf,
    keep: usize,
}

impl CheckpointFolder {
    pub(crate) fn new(folder: PathBuf, keep: usize) -> Self {
        Self { folder, keep }
    }

    pub(crate) fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}"))
    }

    /// Writes a checkpoint, with what `objective` writes into its folder, and removes those that are not to be kept.
    pub(crate) fn save<O: Objective>(
        &self,
        optimiser: &AdamW,
        state: &TrainerState,
        objective: &O,
    ) -> Result<PathBuf, TrainingError> {
        let path = self.path(state.step);
        write_folder(&path, |folder| {
            objective.save(folder)?;
            optimiser.parameters().save(&folder.join(PARAMETERS_FILE))?;
            optimiser.save(&folder.join(OPTIMISER_FILE))?;
            let file = folder.join(STATE_FILE);
            let text = toml::to_string_pretty(state).map_err(|error| TrainingError::format(&file, error))?;
            fs::write(&file, text).map_err(TrainingError::io(&file))
        })?;
        self.remove_old(state)?;
        Ok(path)
    }

    fn remove_old(&self, state: &TrainerState) -> Result<(), TrainingError> {
        let mut steps = self.steps()?;
        let newest = steps.split_off(steps.len().saturating_sub(self.keep));
        for step in steps {
            if state.best.is_none_or(|best| best.step != step) && !newest.contains(&step) {
                remove_folder(&self.path(step))?;
            }
        }
        Ok(())
    }

    /// Steps of whole checkpoints, in order.
    pub(crate) fn steps(&self) -> Result<Vec<u64>, TrainingError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(TrainingError::io(&self.folder)(error)),
        };
        let mut steps: Vec<u64> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Puts the last checkpoint's state into the optimiser, its parameters and the objective; `None` if there is no checkpoint.
    pub(crate) fn restore_last<O: Objective>(
        &self,
        optimiser: &mut AdamW,
        objective: &O,
    ) -> Result<Option<TrainerState>, TrainingError> {
        recover(&self.folder)?;
        let Some(step) = self.steps()?.last().copied() else { return Ok(None) };
        let folder = self.path(step);
        let state = read_state(&folder.join(STATE_FILE))?;
        optimiser.restore(&folder.join(OPTIMISER_FILE))?;
        optimiser.parameters().restore(&folder.join(PARAMETERS_FILE))?;
        objective.restore(&folder)?;
        Ok(Some(state))
    }
}

fn read_state(path: &Path) -> Result<TrainerState, TrainingError> {
    let text = fs::read_to_string(path).map_err(TrainingError::io(path))?;
    toml::from_str(&text).map_err(|error| TrainingError::format(path, format!("not a run's state: {error}")))
}
