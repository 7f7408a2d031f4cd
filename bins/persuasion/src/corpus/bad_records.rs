//! Records that can't be read: each ends the work, or is counted and left out, as was asked for.

use tracing::warn;

use super::error::CorpusError;
use super::funnel::Stage;

/// What is said of the first records that are left out; of the others only the number.
const TOLD: usize = 5;
/// Their reason in the funnel.
const REASON: &str = "not readable";

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

    /// What was read, or nothing if it is bad and may be left out. `stage` counts it either way.
    ///
    /// # Errors
    /// The record is bad and bad ones are not to be skipped, or more than a record is bad.
    pub(crate) fn sort<T>(
        &mut self,
        read: Result<T, CorpusError>,
        stage: &mut Stage,
    ) -> Result<Option<T>, CorpusError> {
        stage.read_one();
        match read {
            Ok(item) => Ok(Some(item)),
            Err(error) => {
                self.skip(&error.to_string(), error, stage)?;
                Ok(None)
            }
        }
    }

    fn skip(&mut self, told: &str, error: CorpusError, stage: &mut Stage) -> Result<(), CorpusError> {
        if !self.are_skipped || !error.is_of_one_record() {
            return Err(error);
        }
        self.skipped += 1;
        match self.skipped {
            ..=TOLD => warn!("left out: {told}"),
            number if number == TOLD + 1 => warn!("left out: further records (all are counted)"),
            _ => {}
        }
        stage.drop_one(REASON);
        Ok(())
    }
}
