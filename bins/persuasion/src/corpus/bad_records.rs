//! Records that can't be read: each ends the work, or is counted and left out, as was asked for.

use dpo::PairFile;
use tracing::warn;

use super::error::CorpusError;
use super::funnel::Stage;

/// What is said of the first records that are left out; of the others only the number.
const TOLD: usize = 5;
/// Their reason in the funnel.
const REASON: &str = "bad record";

/// What becomes of bad records, and what became of them.
#[derive(Debug, Default)]
pub struct BadRecords {
    are_skipped: bool,
    skipped: usize,
}

impl BadRecords {
    /// They end the work, or are skipped.
    pub fn new(are_skipped: bool) -> Self {
        Self { are_skipped, skipped: 0 }
    }

    /// Whether bad records are left out.
    pub(crate) fn are_skipped(&self) -> bool {
        self.are_skipped
    }

    /// Counts the records of a file of pairs that were left out when it was read.
    pub(crate) fn absorb(&mut self, file: &PairFile, stage: &mut Stage) {
        file.skipped.iter().for_each(|message| self.tell(message));
        for (kind, count) in &file.counts {
            for _ in 0..*count {
                stage.read_one();
                stage.drop_one(&format!("{REASON}: {}", kind.name()));
            }
        }
    }

    /// What was read, or nothing if it is bad and may be left out. `stage` counts it either way.
    ///
    /// # Errors
    /// The record is bad and bad ones are not to be skipped, or more than a record is bad.
    pub(crate) fn sort<T>(
        &mut self,
        read: Result<T, CorpusError>,
        stage: &mut Stage,
    ) -> Result<Option<T>, CorpusError> {
        let error = match read {
            Ok(item) => {
                stage.read_one();
                return Ok(Some(item));
            }
            Err(error) => error,
        };
        if !self.are_skipped || !error.is_of_one_record() {
            return Err(error);
        }
        stage.read_one();
        stage.drop_one(REASON);
        self.tell(&error.to_string());
        Ok(None)
    }

    fn tell(&mut self, problem: &str) {
        self.skipped += 1;
        match self.skipped {
            ..=TOLD => warn!("left out: {problem}"),
            number if number == TOLD + 1 => warn!("left out: further records (all are counted)"),
            _ => {}
        }
    }
}
