//! Files and folders that appear whole or not at all: written beside their place, then renamed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::TrainingError;

/// Puts a file in the place of `path`.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<(), TrainingError> {
    let partial = partial_path(path);
    let written = fs::write(&partial, contents).and_then(|()| fs::File::open(&partial)?.sync_all());
    let outcome = written.and_then(|()| fs::rename(&partial, path));
    if outcome.is_err() {
        // The first error is the one to tell; a leftover partial file does no harm.
        let _ = fs::remove_file(&partial);
    }
    outcome.map_err(TrainingError::io(path))
}

/// Lets `fill` write files into a new folder and then gives it the name `path`. An older folder of that name is replaced.
pub(crate) fn write_folder(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), TrainingError>,
) -> Result<(), TrainingError> {
    let partial = partial_path(path);
    remove_folder(&partial)?;
    fs::create_dir_all(&partial).map_err(TrainingError::io(&partial))?;
    let outcome = fill(&partial).and_then(|()| sync_files(&partial));
    if let Err(error) = outcome {
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    remove_folder(path)?;
    fs::rename(&partial, path).map_err(TrainingError::io(path))
}

/// Removes a folder if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), TrainingError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TrainingError::io(path)(error)),
        _ => Ok(()),
    }
}

fn sync_files(folder: &Path) -> Result<(), TrainingError> {
    let entries = fs::read_dir(folder).map_err(TrainingError::io(folder))?;
    for entry in entries {
        let path = entry.map_err(TrainingError::io(folder))?.path();
        fs::File::open(&path).and_then(|file| file.sync_all()).map_err(TrainingError::io(&path))?;
    }
    Ok(())
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}
