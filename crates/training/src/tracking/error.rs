//! What can go wrong while a run is written down.

use std::io;
use std::path::{Path, PathBuf};

/// A record of a run could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackingError {
    /// A file or folder could not be used.
    #[error("{path}: can't {action}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted: `open`, `append a record` …
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A line of an event log is no event.
    #[error("{path}, line {line}: {problem}")]
    Line {
        /// The event log.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A file is not what it has to be for a run to go on in it.
    #[error("{path}: {problem}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A table's row has another number of cells than the table has columns.
    #[error("table `{name}`: row {row} has {cells} cells, the table has {columns} columns")]
    Table {
        /// The table's name.
        name: String,
        /// The row, from 1.
        row: usize,
        /// How many cells it has.
        cells: usize,
        /// How many it should have.
        columns: usize,
    },
    /// Something was to be written down after the end of the run.
    #[error("{path}: the run is finished, nothing can be added")]
    Finished {
        /// The file.
        path: PathBuf,
    },
}

impl TrackingError {
    /// For `map_err`: the system refused `action` on `path`.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, action, source }
    }
}
