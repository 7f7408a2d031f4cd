//! Where a metric that can fail keeps its failure: measuring gives numbers only, and what went wrong is told at the end.

use std::sync::{Mutex, PoisonError};

use crate::error::Error;
use crate::metric::ItemView;

/// The first thing that went wrong while measuring, kept until there is somebody to tell.
#[derive(Default)]
pub(crate) struct Failure(Mutex<Option<Error>>);

impl Failure {
    /// Items that are measured at a time, and whose embeddings are in memory together.
    pub(crate) const SLICE: usize = 256;

    /// Keeps what went wrong, if it is the first.
    pub(crate) fn keep(&self, error: Error) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Measures slice by slice; after a failure nothing more is tried, and rows hold no numbers.
    pub(crate) fn rows_or_kept(
        &self,
        items: &[ItemView<'_>],
        width: usize,
        mut rows: impl FnMut(&[ItemView<'_>]) -> Result<Vec<Vec<f64>>, Error>,
    ) -> Vec<Vec<f64>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::with_capacity(items.len());
        for slice in items.chunks(Self::SLICE) {
            if kept.is_none() {
                match rows(slice) {
                    Ok(found) => all.extend(found),
                    Err(error) => *kept = Some(error),
                }
            }
        }
        all.resize(items.len(), vec![f64::NAN; width]);
        all
    }

    pub(crate) fn tell(&self) -> Result<(), Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}
