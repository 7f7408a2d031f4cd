//! The tree-structured Parzen estimator (Bergstra et al. 2011): values are drawn where good trials are denser than others.
//!
//! Trials are split into the best tenth and the rest. Of both, a mixture of kernels estimates the density of a parameter, or of all
//! parameters together (Falkner et al. 2018). Of 24 candidates drawn from the density of the good ones, that is suggested at which the ratio
//! of both densities is largest. All the rest (weights, widths, what counts as good) is as in Optuna, and with NumPy's generator the
//! suggestions are those of Optuna, trial by trial.

mod estimator;
mod order;
mod spaces;
mod split;

use std::collections::BTreeMap;

use self::estimator::estimator;
use self::spaces::Space;
use super::draws::{Draws, Generator};
use super::random::first_of_largest;
use super::{RandomSampler, Sampler, SobolSampler};
use crate::{Distribution, History, SearchError};

/// The system attribute that holds a trial's constraints, an array or an object of numbers: those above 0 are violated.
pub const CONSTRAINTS: &str = "constraints";

/// How wide the kernel of an observation is. No width is less than a hundredth of the parameter's range, nor more than the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelWidth {
    /// The distance to the farther neighbour among the observations (Optuna 5).
    Neighbours,
    /// Among the observations and the middle of the range (Optuna 3, one parameter at a time).
    NeighboursAndPrior,
    /// `0.2 · n^(−1/(d + 4))` of the range for all of n observations of d parameters (Optuna 3, parameters together).
    Shared,
}

/// How the first trials are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartUp {
    /// Independently of each other, as [`RandomSampler`] does.
    Random,
    /// Evenly spread, as [`SobolSampler`] does.
    Sobol,
}

/// How [`TpeSampler`] works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TpeOptions {
    /// Where random numbers come from.
    pub generator: Generator,
    /// Whether parameters are drawn together where that is possible.
    pub multivariate: bool,
    /// With `multivariate`: whether parameters that not all trials have are also drawn together, in groups that trials have wholly or not at
    /// all; else they are drawn one by one.
    pub group: bool,
    /// Whether running trials count as bad ones, so that workers keep away from each other.
    pub constant_liar: bool,
    /// The width of kernels.
    pub kernel_width: KernelWidth,
    /// So many trials have to be finished before the first is suggested by others.
    pub startup_trials: usize,
    /// How these are drawn.
    pub startup: StartUp,
    /// How many candidates are drawn for a suggestion; at least 1.
    pub candidates: usize,
}

impl Default for TpeOptions {
    fn default() -> Self {
        Self {
            generator: Generator::PerTrial { seed: 0 },
            multivariate: true,
            group: false,
            constant_liar: true,
            kernel_width: KernelWidth::Neighbours,
            startup_trials: 10,
            startup: StartUp::Sobol,
            candidates: 24,
        }
    }
}

impl TpeOptions {
    /// What the default sampler of Optuna 3 does: one parameter at a time.
    pub fn optuna_3(seed: u32) -> Self {
        Self {
            multivariate: false,
            constant_liar: false,
            kernel_width: KernelWidth::NeighboursAndPrior,
            ..Self::optuna_5(seed)
        }
    }

    /// What the default sampler of Optuna 5 does: all parameters together.
    pub fn optuna_5(seed: u32) -> Self {
        Self { generator: Generator::NumPy { seed }, startup: StartUp::Random, ..Self::default() }
    }
}

/// Suggests values by the tree-structured Parzen estimator.
///
/// A trial whose system attribute [`CONSTRAINTS`] has numbers above 0 ranks behind all others, by their sum.
#[derive(Debug, Clone)]
pub struct TpeSampler {
    options: TpeOptions,
    startup: First,
    draws: Draws,
}

#[derive(Debug, Clone)]
enum First {
    Random(RandomSampler),
    Sobol(SobolSampler),
}

impl TpeSampler {
    /// # Errors
    ///
    /// There are no candidates, groups are asked for one parameter at a time, or Sobol's points from NumPy's generator.
    pub fn new(options: TpeOptions) -> Result<Self, SearchError> {
        if options.candidates == 0 {
            return Err(SearchError::setting("candidates", "is 0: expected at least 1"));
        }
        if options.group && !options.multivariate {
            return Err(SearchError::setting("group", "needs `multivariate`: groups are of parameters drawn together"));
        }
        let startup = match (options.startup, options.generator) {
            (StartUp::Random, generator) => First::Random(RandomSampler::new(generator)),
            (StartUp::Sobol, Generator::PerTrial { seed }) => First::Sobol(SobolSampler::new(seed)),
            (StartUp::Sobol, Generator::NumPy { .. }) => {
                let problem = "Sobol's points don't come from NumPy's generator: choose a random start";
                return Err(SearchError::setting("startup", problem));
            }
        };
        let draws = Draws::new(options.generator);
        Ok(Self { options, startup, draws })
    }

    fn is_starting(&self, history: &History<'_>) -> bool {
        split::learnable(history) < self.options.startup_trials
    }

    /// Internal values of the parameters of `space`, in its order.
    fn suggest(&mut self, history: &History<'_>, number: u64, space: &Space<'_>) -> Vec<f64> {
        let options = &self.options;
        let split = split::split(history, number, options.constant_liar);
        let below = estimator(&split.below, space, options.kernel_width);
        let above = estimator(&split.above, space, options.kernel_width);
        let mut stream = self.draws.of(number, space.keys().copied());
        let candidates = below.draw(options.candidates, &mut || stream.fraction());
        let good = below.log_densities(&candidates);
        let bad = above.log_densities(&candidates);
        let scores: Vec<f64> = good.iter().zip(&bad).map(|(good, bad)| good - bad).collect();
        let best = first_of_largest(&scores);
        candidates.iter().filter_map(|values| values.get(best).copied()).collect()
    }
}

impl Sampler for TpeSampler {
    fn sample_jointly(&mut self, history: &History<'_>, number: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        if !self.options.multivariate || self.is_starting(history) {
            return Ok(BTreeMap::new());
        }
        let spaces = if self.options.group { spaces::groups(history) } else { spaces::shared(history) };
        let mut values = BTreeMap::new();
        for space in spaces {
            let suggested = self.suggest(history, number, &space);
            values.extend(space.keys().map(|name| (*name).to_owned()).zip(suggested));
        }
        Ok(values)
    }

    fn sample(
        &mut self,
        history: &History<'_>,
        number: u64,
        name: &str,
        distribution: &Distribution,
    ) -> Result<f64, SearchError> {
        if self.is_starting(history) {
            return match &mut self.startup {
                First::Random(sampler) => sampler.sample(history, number, name, distribution),
                First::Sobol(sampler) => sampler.sample(history, number, name, distribution),
            };
        }
        let suggested = self.suggest(history, number, &BTreeMap::from([(name, distribution)]));
        suggested
            .first()
            .copied()
            .ok_or_else(|| SearchError::Search(format!("there is no value of `{name}` to suggest")))
    }
}
