//! Files that appear whole or not at all, with the errors of this crate.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use llm_runtime::output_file;

use crate::error::Error;

/// Lets `write` fill a new file and then puts it in the place of `path`. If anything fails, `path` stays as it was.
///
/// # Errors
/// Those of `write`, or the file can't be created, forced onto the disk or renamed.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), Error>,
) -> Result<(), Error> {
    output_file::place(path, Error::io(path), |partial| {
        let mut writer = BufWriter::new(File::create(partial).map_err(Error::io(path))?);
        write(&mut writer)?;
        writer.flush().map_err(Error::io(path))
    })
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
