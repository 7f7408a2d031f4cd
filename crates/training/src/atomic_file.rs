//! Files and folders that appear whole or not at all: written beside their place, then renamed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use llm_runtime::output_file;

use crate::TrainingError;

/// Puts a file in the place of `path`.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<(), TrainingError> {
    output_file::write(path, contents).map_err(TrainingError::io(path))
}

/// Lets `fill` write files into a new folder and then gives it the name `path`. An older folder of that name is set aside meanwhile: whoever is
/// killed here leaves one or the other, under its name or for [`recover`].
pub(crate) fn write_folder(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), TrainingError>,
) -> Result<(), TrainingError> {
    let (partial, replaced) = (hidden(path, PARTIAL), hidden(path, REPLACED));
    remove_all(&partial)?;
    fs::create_dir_all(&partial).map_err(TrainingError::io(&partial))?;
    let outcome = fill(&partial).and_then(|()| sync_files(&partial));
    if let Err(error) = outcome {
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    set_aside(path, &replaced)?;
    fs::rename(&partial, path).map_err(TrainingError::io(path))?;
    remove_all(&replaced)
}

/// Removes a folder if it is there. Who is killed here leaves all of it or nothing under its name.
pub(crate) fn remove_folder(path: &Path) -> Result<(), TrainingError> {
    let removed = hidden(path, REMOVED);
    set_aside(path, &removed)?;
    remove_all(&removed)
}

/// Mends what a killed process has left in a folder: a folder inside that was set aside and not replaced gets its name back, and leftovers go.
pub(crate) fn recover(folder: &Path) -> Result<(), TrainingError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(TrainingError::io(folder))?,
    };
    for entry in entries {
        let path = entry.map_err(TrainingError::io(folder))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_prefix('.')) else { continue };
        if let Some(name) = name.strip_suffix(REPLACED) {
            let place = folder.join(name);
            match place.exists() {
                true => remove_all(&path)?,
                false => fs::rename(&path, &place).map_err(TrainingError::io(&place))?,
            }
        } else if name.ends_with(REMOVED) || name.ends_with(PARTIAL) {
            remove_all(&path)?;
        }
    }
    Ok(())
}

/// Gives a folder another name if it is there.
fn set_aside(path: &Path, other: &Path) -> Result<(), TrainingError> {
    remove_all(other)?;
    match fs::rename(path, other) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(TrainingError::io(path)(error)),
        _ => Ok(()),
    }
}

fn remove_all(path: &Path) -> Result<(), TrainingError> {
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

const PARTIAL: &str = ".partial";
const REPLACED: &str = ".replaced";
const REMOVED: &str = ".removed";

fn hidden(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, text: &str) {
        write_folder(folder, |folder| fs::write(folder.join("file"), text).map_err(TrainingError::io(folder))).unwrap();
    }

    fn read(folder: &Path) -> String {
        fs::read_to_string(folder.join("file")).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_is_replaced_as_a_whole() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("step-1");
        write(&folder, "old");
        write(&folder, "new");
        assert_eq!((read(&folder).as_str(), names(place.path())), ("new", vec!["step-1".to_owned()]));
        remove_folder(&folder).unwrap();
        remove_folder(&folder).unwrap();
        assert!(names(place.path()).is_empty());
    }

    #[test]
    fn what_was_set_aside_when_a_process_was_killed_comes_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("step-1");
        write(&folder, "old");
        // Killed between the two renames, with the new folder written.
        fs::rename(&folder, place.path().join(".step-1.replaced")).unwrap();
        fs::create_dir(place.path().join(".step-1.partial")).unwrap();
        recover(place.path()).unwrap();
        assert_eq!(read(&folder), "old");
        // Killed while the old folder was removed.
        fs::create_dir(place.path().join(".step-1.replaced")).unwrap();
        fs::create_dir(place.path().join(".step-0.removed")).unwrap();
        recover(place.path()).unwrap();
        assert_eq!(read(&folder), "old");
        write(&folder, "new");
        assert_eq!((read(&folder).as_str(), names(place.path())), ("new", vec!["step-1".to_owned()]));
        recover(&place.path().join("not there")).unwrap();
    }
}
