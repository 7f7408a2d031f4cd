//! The estimator of a group of trials.

use super::KernelWidth;
use super::order::ascending;
use super::spaces::Space;
use crate::distribution::Scale;
use crate::parzen::{Kernels, Mixture};
use crate::{Distribution, Trial};

/// The newest so many observations have full weight.
const FULL_WEIGHT: usize = 25;

/// The density of the parameters of `space` that some trials, the oldest first, suggest. Trials that lack one of them are left out.
pub(super) fn estimator(trials: &[&Trial], space: &Space<'_>, width: KernelWidth) -> Mixture {
    let observations = observations(trials, space);
    let count = observations.first().map_or(0, Vec::len);
    let parameters = space.values().zip(&observations).map(|(distribution, observed)| match distribution {
        Distribution::Categorical { choices } => {
            Kernels::of_choices(observed.iter().map(|place| *place as usize), choices.len())
        }
        _ => numbers(distribution, observed, width, space.len()),
    });
    Mixture::new(weights(count), parameters.collect())
}

/// Internal values by parameter and trial, of the trials that have them all.
fn observations(trials: &[&Trial], space: &Space<'_>) -> Vec<Vec<f64>> {
    let mut columns = vec![Vec::with_capacity(trials.len() + 1); space.len()];
    for trial in trials {
        for (column, (name, distribution)) in columns.iter_mut().zip(space) {
            column.extend(observed(trial, name, distribution));
        }
        let complete = columns.iter().map(Vec::len).min().unwrap_or(0);
        columns.iter_mut().for_each(|column| column.truncate(complete));
    }
    columns
}

/// A trial's internal value of a parameter, also if the trial is running and has not asked for it yet. What means something else in the
/// distribution it is asked for now (other choices, a logarithm that there is not) is none.
fn observed(trial: &Trial, name: &str, distribution: &Distribution) -> Option<f64> {
    let own = trial.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| *value);
    let planned = || trial.system_attributes.get(crate::sampler::JOINTLY)?.get(name)?.as_f64();
    let value = own.or_else(planned)?;
    let means_the_same = match (distribution, trial.distributions.get(name)) {
        (Distribution::Categorical { choices }, Some(Distribution::Categorical { choices: own })) => choices == own,
        (Distribution::Categorical { .. }, Some(_)) | (_, Some(Distribution::Categorical { .. })) => false,
        _ => distribution.scale().is_none_or(|scale| scale.of(value).is_finite()),
    };
    means_the_same.then_some(value)
}

/// One for each of `count` observations, those before the newest 25 rising from 1/`count`, and one for the prior.
fn weights(count: usize) -> Vec<f64> {
    let rising = count.saturating_sub(FULL_WEIGHT);
    let first = 1.0 / count as f64;
    let slope = (1.0 - first) / (rising.max(2) - 1) as f64;
    let old = (0..rising).map(|place| first + slope * place as f64);
    old.chain(std::iter::repeat_n(1.0, count - rising + 1)).collect()
}

fn numbers(distribution: &Distribution, observed: &[f64], width: KernelWidth, dimensions: usize) -> Kernels {
    let Some(scale) = distribution.scale() else { return Kernels::of_choices(std::iter::empty(), 1) };
    let (low, high) = scale.limits();
    let range = high - low;
    let centres: Vec<f64> = observed.iter().map(|value| scale.of(*value)).collect();
    let prior = 0.5 * (low + high);
    let widths = match width {
        KernelWidth::Neighbours => neighbour_distances(&centres, low, high),
        KernelWidth::NeighboursAndPrior => {
            let with_prior: Vec<f64> = centres.iter().copied().chain([prior]).collect();
            neighbour_distances(&with_prior, low, high)
        }
        KernelWidth::Shared => {
            let shared = 0.2 * (centres.len().max(1) as f64).powf(-1.0 / (dimensions + 4) as f64) * range;
            vec![shared; centres.len()]
        }
    };
    let least = range / (centres.len() as f64 + 2.0).min(100.0);
    let kernels = centres.iter().zip(widths).map(|(centre, width)| (*centre, width.max(least).min(range)));
    Kernels::of_numbers(kernels.chain([(prior, range)]), scale, masses(scale, width))
}

/// Before its version 5 the library takes whole numbers that are drawn by their logarithm for continuous ones.
fn masses(scale: Scale, width: KernelWidth) -> bool {
    !scale.log || width == KernelWidth::Neighbours
}

/// How far the farther neighbour of each centre is; the limits are the neighbours at the ends, of a centre that is alone only.
fn neighbour_distances(centres: &[f64], low: f64, high: f64) -> Vec<f64> {
    let order = ascending(centres);
    let alone = centres.len() < 2;
    let mut distances = vec![0.0; centres.len()];
    for (rank, place) in order.iter().enumerate() {
        let before = rank.checked_sub(1).map(|rank| centres[order[rank]]).or(alone.then_some(low));
        let after = order.get(rank + 1).map(|place| centres[*place]).or(alone.then_some(high));
        let to_before = before.map_or(f64::NEG_INFINITY, |before| centres[*place] - before);
        let to_after = after.map_or(f64::NEG_INFINITY, |after| after - centres[*place]);
        distances[*place] = to_before.max(to_after);
    }
    distances
}
