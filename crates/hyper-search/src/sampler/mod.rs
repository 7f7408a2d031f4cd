//! Where the values of parameters come from.

mod draws;
mod grid;
mod random;
mod sobol;
mod tpe;

use std::collections::BTreeMap;

pub use self::draws::Generator;
pub use self::grid::{GridAxis, GridSampler};
pub use self::random::RandomSampler;
pub use self::sobol::SobolSampler;
pub use self::tpe::{CONSTRAINTS, KernelWidth, StartUp, TpeOptions, TpeSampler};
use crate::{Distribution, History, SearchError};

/// The system attribute of a running trial that holds what was sampled jointly (an object of internal values by name), so that other
/// processes know of values that the objective has not asked for yet.
pub const JOINTLY: &str = "sampled_jointly";

/// Suggests values of parameters.
///
/// All values are internal ones, as [`Distribution`] explains.
pub trait Sampler: Send {
    /// The parameters that are sampled jointly, when a trial begins; may be none.
    ///
    /// # Errors
    ///
    /// If the history makes no sense to the sampler, or it has nothing left to suggest.
    fn sample_jointly(&mut self, history: &History<'_>, number: u64) -> Result<BTreeMap<String, f64>, SearchError>;

    /// One parameter that was not sampled jointly, or whose value was not one of its distribution.
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

    /// Whether another trial would have nothing left to try. Asked before a trial begins.
    fn is_exhausted(&self, _history: &History<'_>) -> bool {
        false
    }
}

impl<S: Sampler + ?Sized> Sampler for Box<S> {
    fn sample_jointly(&mut self, history: &History<'_>, number: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        (**self).sample_jointly(history, number)
    }

    fn sample(
        &mut self,
        history: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError> {
        (**self).sample(history, number, name, distribution)
    }

    fn is_exhausted(&self, history: &History<'_>) -> bool {
        (**self).is_exhausted(history)
    }
}
