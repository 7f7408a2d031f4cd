//! A study as it stands, for those who only look at it.

use std::fs;
use std::path::Path;

use crate::ledger::{Founding, Ledger};
use crate::{Direction, History, SearchError, Trial, journal};

/// What the journal of a study said when it was read.
///
/// Unlike an open [`Study`](crate::Study), a snapshot takes no part: nothing in the folder is changed, and it need not be writable.
#[derive(Debug)]
pub struct Snapshot {
    name: String,
    direction: Direction,
    trials: Vec<Trial>,
}

impl Snapshot {
    /// Reads the study of a folder, also one that is going on. A last line that is being written, or that a killed process has left, is
    /// passed over.
    ///
    /// # Errors
    ///
    /// If there is no study, or a complete line of its journal is no record.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self, SearchError> {
        let path = folder.as_ref().join(journal::FILE);
        let bytes = fs::read(&path).map_err(SearchError::io(&path))?;
        let mut ledger = Ledger::default();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        for (number, line) in (1..).zip(lines) {
            let record = journal::record(&path, number, line)?;
            ledger.apply(record).map_err(|problem| SearchError::format(&path, number, problem))?;
        }
        let unbegun = || SearchError::Search(format!("{}: the study has not begun", path.display()));
        let Founding { name, direction, .. } = ledger.study.ok_or_else(unbegun)?;
        Ok(Self { name, direction, trials: ledger.trials })
    }

    /// What samplers and pruners would go by.
    pub fn history(&self) -> History<'_> {
        History { study: &self.name, direction: self.direction, trials: &self.trials }
    }
}
