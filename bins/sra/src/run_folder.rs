//! The folder of a training run: a new one, or that of the run to be resumed.

use std::path::Path;

use serde::Serialize;
use training::RunDir;

use crate::failure::Failure;

/// A new run's folder, or that of the run to be resumed, which must have been begun with the same settings.
pub(crate) fn open(out: &Path, resume: bool, settings: &impl Serialize) -> Result<RunDir, Failure> {
    let new = toml::to_string_pretty(settings).map_err(Failure::work)?;
    if !resume || RunDir::open(out).is_err() {
        let run = RunDir::create(out)?;
        run.write("config.toml", new.as_bytes())?;
        return Ok(run);
    }
    let run = RunDir::open(out)?;
    let old = std::fs::read_to_string(run.config_file()).map_err(Failure::work)?;
    match old.lines().zip(new.lines()).find(|(old, new)| old != new) {
        Some((old, new)) => Err(Failure::wrong_use(format!(
            "{}: the run was begun with other settings (`{old}`, now `{new}`): resume with the same ones",
            run.config_file().display()
        ))),
        None => Ok(run),
    }
}
