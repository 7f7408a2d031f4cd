//! Where the values of parameters come from.

use std::collections::BTreeMap;

use crate::{Distribution, History, SearchError};

/// Suggests values of parameters.
///
/// All values are internal ones, as [`Distribution`] explains.
pub trait Sampler: Send {
    /// The parameters that are sampled jointly, when a trial begins; may be none.
    ///
    /// # Errors
    ///
    /// If the history makes no sense to the sampler.
    fn sample_jointly(&mut self, history: &History<'_>, number: u64) -> Result<BTreeMap<String, f64>, SearchError>;

    /// One parameter that was not sampled jointly.
    ///
    /// # Errors
    ///
    /// If there is no value to suggest.
    fn sample(
        &mut self,
        history: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError>;
}
