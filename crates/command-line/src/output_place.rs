//! Places that results are written to at the end of a job, looked at before it begins.
//!
//! Rights and free space may change while a job runs, so that writing can fail nevertheless. But a name that can't be written at all (a
//! folder in the place of a file, a disk that is read-only) is told at once, and not after hours. Nothing is left behind.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::Failure;

/// Whether a file can be written there, or replaced. Its folder must exist.
///
/// # Errors
/// It can't; the message names the file, or the folder that is to blame.
pub fn check_file(file: &Path) -> Result<(), Failure> {
    if file.is_dir() {
        return Err(Failure::work(format!("{}: it is a folder: a file is to be written there", file.display())));
    }
    check(parent(file), file)
}

/// Whether files can be written into a folder, which may have to be made first.
///
/// # Errors
/// They can't; the message names the folder, or the one above it that is to blame.
pub fn check_folder(folder: &Path) -> Result<(), Failure> {
    // A link to nowhere is no place either, and `exists` follows links.
    let is_there = |place: &&Path| place.as_os_str().is_empty() || fs::symlink_metadata(place).is_ok();
    check(folder.ancestors().find(is_there).unwrap_or(folder), folder)
}

/// Tries to make a file in a folder that should exist.
fn check(folder: &Path, wanted: &Path) -> Result<(), Failure> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).open(&probe);
    let made = made.and_then(|_| fs::remove_file(&probe));
    made.map_err(|error| Failure::at(wanted)(named(error, folder)))
}

/// Tells which folder is to blame, and that it is none where the system only says that something is not there.
fn named(error: io::Error, folder: &Path) -> io::Error {
    let folder = folder.display();
    match error.kind() {
        ErrorKind::NotFound => io::Error::new(error.kind(), format!("there is no folder {folder}: make it first")),
        ErrorKind::NotADirectory => io::Error::new(error.kind(), format!("{folder} is a file, a folder is needed")),
        kind => io::Error::new(kind, format!("nothing can be written into {folder}: {error}")),
    }
}

fn parent(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written_leaves_nothing_and_what_can_not_is_told() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("link")).unwrap();
        for good in [
            check_file(&path("new")),
            check_file(&path("file")),
            check_folder(&path("a/b/c")),
            check_folder(place.path()),
        ] {
            good.unwrap();
        }
        check_folder(Path::new("relative")).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "nothing is left");
        for (bad, says) in [
            (check_file(place.path()), "it is a folder"),
            (check_file(&path("no/file")), "no: make it first"),
            (check_file(&path("file/file")), "is a file"),
            (check_folder(&path("file")), "is a file"),
            (check_folder(&path("file/folder")), "is a file"),
            (check_folder(&path("link/folder")), "there is no folder"),
        ] {
            let told = bad.unwrap_err().message();
            assert!(told.contains(says) && told.contains(&place.path().display().to_string()), "{says}: {told}");
        }
    }
}
