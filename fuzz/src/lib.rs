//! What the targets share: a folder of this process, in which an input lies as the file that a reader opens.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The folder of a target. It is in memory where the system has such a place, since each input is written to it.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let memory = Path::new("/dev/shm");
    let make = || if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    FOLDER.get_or_init(|| make().expect("a temporary folder")).path()
}

/// The input as a file of that folder.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, bytes).expect("the temporary folder can be written");
    path
}

/// The first byte, which chooses a reader, and what the reader gets.
pub fn choice(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
