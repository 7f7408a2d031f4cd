//! What several tests use.

use std::collections::BTreeMap;

use hyper_search::{Distribution, History, Sampler, SearchError};

/// Suggests the same for the same trial and parameter, wherever it runs.
pub(crate) struct Scatter;

impl Sampler for Scatter {
    fn sample_jointly(&mut self, _history: &History<'_>, _number: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        Ok(BTreeMap::new())
    }

    fn sample(
        &mut self,
        _history: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError> {
        let share = (number as f64 * 0.618_034 + name.len() as f64 * 0.414_214).fract();
        Ok(match distribution {
            Distribution::Float { low, high, step: None, .. } => low + share * (high - low),
            Distribution::Float { low, high, step: Some(step), .. } => {
                low + (share * ((high - low) / step).floor()).round() * step
            }
            Distribution::Int { low, high, step, .. } => {
                (low + (share * ((high - low) / step) as f64).round() as i64 * step) as f64
            }
            Distribution::Categorical { choices } => (share * choices.len() as f64).floor(),
        })
    }
}
