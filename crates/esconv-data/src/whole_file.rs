//! Files that appear whole or not at all: written beside their place, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

use crate::error::Error;

/// Lets `fill` write a new file and puts it in the place of `path`. If anything fails, `path` stays as it was.
pub(crate) fn write_whole(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), Error> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || {
        let mut writer = BufWriter::new(File::create(&temporary)?);
        fill(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // The error that counts is the first one.
        let _ = fs::remove_file(&temporary);
        Error::io(path)(error)
    })
}
