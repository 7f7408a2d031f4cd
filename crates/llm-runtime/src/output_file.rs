//! Files that appear whole or not at all: written beside their place, forced onto the disk, then renamed.
//!
//! Who reads a place meanwhile finds the old file or the new one, and so does who comes after a kill, a full disk or another failure. Writers
//! of one place do not disturb one another: the last to finish wins.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Writes a file of these contents.
///
/// # Errors
/// The file can't be created, written, forced onto the disk or renamed. What stood at `path` still stands there, as after all errors here.
pub fn write(path: &Path, contents: impl AsRef<[u8]>) -> io::Result<()> {
    place(path, |error| error, |partial| fs::write(partial, contents))
}

/// Lets `fill` write a file piece by piece.
///
/// # Errors
/// Those of `fill`, or as [`write()`].
pub fn fill(path: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    place(
        path,
        |error| error,
        |partial| {
            let mut writer = BufWriter::new(File::create(partial)?);
            fill(&mut writer)?;
            writer.flush()
        },
    )
}

/// Lets `make` write a file under the name that it is given, and puts that in the place of `path`; for errors of the caller's own kind. `failed` makes one of what the
/// system says.
///
/// # Errors
/// Those of `make`, or as [`write()`].
pub fn place<E>(
    path: &Path,
    failed: impl FnOnce(io::Error) -> E,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let partial = partial_path(path);
    let finish = || File::open(&partial)?.sync_all().and_then(|()| fs::rename(&partial, path));
    let outcome = make(&partial).and_then(|()| finish().map_err(failed));
    if outcome.is_err() {
        // The first error is the one to tell; a leftover partial file does no harm.
        let _ = fs::remove_file(&partial);
    }
    outcome
}

/// Hidden beside `path`, and of this call alone.
fn partial_path(path: &Path) -> PathBuf {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{}.partial", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.json");
        write(&path, "old").unwrap();
        let failure = fill(&path, |file| {
            file.write_all(b"half")?;
            file.flush()?;
            assert_eq!((fs::read_to_string(&path)?, names(folder.path()).len()), ("old".to_owned(), 2));
            Err(io::Error::other("the pen broke"))
        });
        assert_eq!(failure.unwrap_err().to_string(), "the pen broke");
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), names(folder.path())),
            ("old".into(), vec!["file.json".to_owned()])
        );
        fill(&path, |file| file.write_all(b"new")).unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), names(folder.path())),
            ("new".into(), vec!["file.json".to_owned()])
        );
    }

    #[test]
    fn what_can_not_be_put_in_place_is_told_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("full")).unwrap();
        fs::write(folder.path().join("full/file"), "").unwrap();
        for path in ["full", "nowhere/file"].map(|name| folder.path().join(name)) {
            write(&path, "text").unwrap_err();
            place(&path, |error| error, |partial| fs::write(partial, "text")).unwrap_err();
        }
        assert_eq!(names(folder.path()), ["full"]);
    }

    #[test]
    fn threads_that_write_one_place_leave_the_whole_text_of_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let texts = ["a", "b", "c", "d"].map(|letter| letter.repeat(100_000));
        let place = &path;
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(move || write(place, text).unwrap());
            }
        });
        assert!(texts.contains(&fs::read_to_string(&path).unwrap()));
        assert_eq!(names(folder.path()).len(), 1);
    }
}
