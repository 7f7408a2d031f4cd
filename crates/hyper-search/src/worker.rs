//! A process that takes part in a study, and whether it still does.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::SearchError;

/// The folder of the files that processes hold locks on as long as they live.
const FOLDER: &str = "workers";
/// Changes with each start of the machine, and is the same in all of its containers.
const MACHINE: &str = "/proc/sys/kernel/random/boot_id";

/// The sign of life of a process. Dropping it ends the process' part.
#[derive(Debug)]
pub(crate) struct SignOfLife {
    path: PathBuf,
    // Held for the lock on it, which the system releases if the process is killed.
    _lock: File,
}

impl SignOfLife {
    /// Begins to take part in the study of a folder.
    ///
    /// # Errors
    ///
    /// If the folder can't be written, or knows no locks.
    pub(crate) fn begin(folder: &Path, worker: &str) -> Result<Self, SearchError> {
        let folder = folder.join(FOLDER);
        fs::create_dir_all(&folder).map_err(SearchError::io(&folder))?;
        let path = folder.join(worker);
        let lock = File::create(&path).map_err(SearchError::io(&path))?;
        lock.lock().map_err(SearchError::io(&path))?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for SignOfLife {
    fn drop(&mut self) {
        // A file that stays tells the same: no one holds its lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a process of this machine is certainly no more: no one holds its lock. Who has no file is not known to be gone.
pub(crate) fn is_gone(folder: &Path, worker: &str) -> bool {
    File::open(folder.join(FOLDER).join(worker)).is_ok_and(|file| file.try_lock().is_ok())
}

/// A name that no other process has.
pub(crate) fn new_name() -> String {
    // The standard library seeds its hashes from the system's randomness.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u64(now().to_bits());
    format!("{:016x}", hasher.finish())
}

/// The machine that this process runs on; none if it is not known.
pub(crate) fn machine() -> Option<String> {
    fs::read_to_string(MACHINE).ok().map(|machine| machine.trim().to_owned()).filter(|machine| !machine.is_empty())
}

/// Seconds since the beginning of 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
