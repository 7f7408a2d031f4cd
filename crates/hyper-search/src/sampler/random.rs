//! Random search: every value by itself, whatever became of other trials.

use std::collections::BTreeMap;

use super::Sampler;
use super::draws::{Draws, Generator, Stream};
use crate::{Distribution, History, SearchError};

/// Draws each parameter from its distribution.
///
/// With [`Generator::NumPy`] the values are those of Optuna's `RandomSampler`.
#[derive(Debug, Clone)]
pub struct RandomSampler {
    draws: Draws,
}

impl RandomSampler {
    /// A sampler that draws from `generator`.
    pub fn new(generator: Generator) -> Self {
        Self { draws: Draws::new(generator) }
    }
}

impl Sampler for RandomSampler {
    fn sample_jointly(&mut self, _: &History<'_>, _: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        Ok(BTreeMap::new())
    }

    fn sample(
        &mut self,
        _: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError> {
        let mut stream = self.draws.of(number, [name]);
        Ok(match (&mut stream, distribution) {
            // Optuna draws a number for each choice and takes the first of the largest.
            (Stream::NumPy(_), Distribution::Categorical { choices }) => {
                let drawn: Vec<f64> = choices.iter().map(|_| stream.fraction()).collect();
                first_of_largest(&drawn) as f64
            }
            _ => distribution.at_fraction(stream.fraction()),
        })
    }
}

/// The place of the largest value, the first of equals; 0 if there are none.
pub(super) fn first_of_largest(values: &[f64]) -> usize {
    let better = |best: usize, place: usize| if values[place] > values[best] { place } else { best };
    (0..values.len()).reduce(better).unwrap_or(0)
}
