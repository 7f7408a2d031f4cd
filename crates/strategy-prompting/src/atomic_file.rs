//! Files that appear whole or not at all: written beside their place, then renamed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Lets `write` fill a new file and then puts it in the place of `path`. If anything fails, `path` stays as it was.
///
/// # Errors
/// Those of `write`, or the file can't be created, forced onto the disk or renamed.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Error>,
) -> Result<(), Error> {
    let partial = partial_path(path);
    let outcome = write_and_rename(path, &partial, write);
    if outcome.is_err() {
        // The first error is the one to tell; a leftover partial file does no harm.
        let _ = fs::remove_file(&partial);
    }
    outcome
}

fn write_and_rename(
    path: &Path,
    partial: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut writer = BufWriter::new(File::create(partial).map_err(Error::io(path))?);
    write(&mut writer)?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error).map_err(Error::io(path))?;
    file.sync_all().map_err(Error::io(path))?;
    fs::rename(partial, path).map_err(Error::io(path))
}

/// Writes one line of JSON.
pub(crate) fn write_json_line(
    writer: &mut BufWriter<File>,
    path: &Path,
    value: &impl serde::Serialize,
) -> Result<(), Error> {
    let mut line = serde_json::to_vec(value).map_err(Error::json("a record"))?;
    line.push(b'\n');
    writer.write_all(&line).map_err(Error::io(path))
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}
