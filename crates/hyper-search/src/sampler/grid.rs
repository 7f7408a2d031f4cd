//! Grid search: every combination of some values once.

use std::collections::{BTreeMap, HashSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::Sampler;
use crate::{Distribution, History, SearchError, Trial, TrialState};

/// More combinations than anyone tries.
const MOST_POINTS: usize = 1 << 24;

/// One parameter of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct GridAxis {
    name: String,
    values: Vec<f64>,
}

impl GridAxis {
    /// All values of a parameter.
    ///
    /// # Errors
    ///
    /// The distribution is continuous or has more than a million values.
    pub fn all(name: &str, distribution: &Distribution) -> Result<Self, SearchError> {
        let Some(values) = distribution.grid() else {
            let problem = format!("{distribution} are no grid: give a step, or the values to try");
            return Err(SearchError::distribution(name, problem));
        };
        Ok(Self { name: name.into(), values })
    }

    /// Some values of a parameter.
    ///
    /// # Errors
    ///
    /// There are none, one is given twice, or one is not of the distribution.
    pub fn some(name: &str, distribution: &Distribution, values: &[Value]) -> Result<Self, SearchError> {
        let values = values.iter().map(|value| distribution.internal(name, value)).collect::<Result<Vec<f64>, _>>()?;
        let twice = values.iter().enumerate().any(|(place, value)| values[..place].contains(value));
        if values.is_empty() || twice {
            let problem = if twice { "a value is given twice" } else { "there are no values to try" };
            return Err(SearchError::distribution(name, problem));
        }
        Ok(Self { name: name.into(), values })
    }
}

/// Tries all combinations of values in an order of its own.
///
/// What was tried is known from the study, so that a search goes on where it stopped, and processes that share a study and a seed don't try
/// a combination twice: each leaves those to the others that began before it and have no values yet. Combinations whose trial failed come
/// again at the end.
#[derive(Debug, Clone)]
pub struct GridSampler {
    axes: Vec<GridAxis>,
    /// Combinations in the order they are tried.
    order: Vec<u32>,
}

impl GridSampler {
    /// A sampler of all combinations of the axes' values.
    ///
    /// # Errors
    ///
    /// There is no axis, two have the same name, or there are more than 2²⁴ combinations.
    pub fn new(axes: Vec<GridAxis>, seed: u64) -> Result<Self, SearchError> {
        if axes.is_empty() {
            return Err(SearchError::setting("grid", "has no parameters: expected at least one"));
        }
        if let Some((_, axis)) =
            axes.iter().enumerate().find(|(place, axis)| axes[..*place].iter().any(|other| other.name == axis.name))
        {
            return Err(SearchError::setting("grid", format!("has the parameter `{}` twice", axis.name)));
        }
        let points = axes.iter().try_fold(1usize, |points, axis| points.checked_mul(axis.values.len()));
        let Some(points) = points.filter(|points| *points <= MOST_POINTS) else {
            return Err(SearchError::setting(
                "grid",
                format!("has more than {MOST_POINTS} combinations: try fewer values"),
            ));
        };
        let mut order: Vec<u32> = (0..points as u32).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Ok(Self { axes, order })
    }

    /// How many combinations there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The combination for a trial; `None` if others have them all.
    fn next(&self, history: &History<'_>, number: u64) -> Option<u32> {
        let (mut tried, mut failed) = (HashSet::new(), HashSet::new());
        let mut undecided = 0;
        for trial in history.trials.iter().filter(|trial| trial.number != number) {
            match (self.point_of(trial), trial.state) {
                (Some(point), TrialState::Failed) => _ = failed.insert(point),
                (Some(point), _) => _ = tried.insert(point),
                (None, TrialState::Running) if trial.number < number => undecided += 1,
                (None, _) => {}
            }
        }
        let fresh = self.order.iter().filter(|point| !tried.contains(point) && !failed.contains(point));
        let again = self.order.iter().filter(|point| !tried.contains(point) && failed.contains(point));
        fresh.chain(again).nth(undecided).copied()
    }

    /// The combination a trial has, if it has one.
    fn point_of(&self, trial: &Trial) -> Option<u32> {
        let place = |axis: &GridAxis| {
            let own = trial.parameters.iter().find(|(name, _)| *name == axis.name).map(|(_, value)| *value);
            let planned = || trial.system_attributes.get(super::JOINTLY)?.get(&axis.name)?.as_f64();
            let value = own.or_else(planned)?;
            axis.values.iter().position(|other| *other == value)
        };
        self.axes
            .iter()
            .try_fold(0, |point, axis| Some(point * axis.values.len() + place(axis)?))
            .map(|point| point as u32)
    }

    /// The values of a combination by name.
    fn values_of(&self, point: u32) -> BTreeMap<String, f64> {
        let mut rest = point as usize;
        let digits = self.axes.iter().rev().map(|axis| {
            let value = axis.values[rest % axis.values.len()];
            rest /= axis.values.len();
            (axis.name.clone(), value)
        });
        digits.collect()
    }
}

impl Sampler for GridSampler {
    fn sample_jointly(&mut self, history: &History<'_>, number: u64) -> Result<BTreeMap<String, f64>, SearchError> {
        let Some(point) = self.next(history, number) else {
            let problem = format!("the grid's {} combinations are all tried or being tried", self.len());
            return Err(SearchError::Search(problem));
        };
        Ok(self.values_of(point))
    }

    /// Only parameters of the grid have values, and these were sampled jointly.
    fn sample(&mut self, _: &History<'_>, _: u64, name: &str, distribution: &Distribution) -> Result<f64, SearchError> {
        let problem = match self.axes.iter().find(|axis| axis.name == name) {
            Some(_) => format!("the grid has values that are not among {distribution}"),
            None => "is no parameter of the grid: every parameter needs an axis".to_owned(),
        };
        Err(SearchError::distribution(name, problem))
    }

    fn is_exhausted(&self, history: &History<'_>) -> bool {
        self.next(history, u64::MAX).is_none()
    }
}
