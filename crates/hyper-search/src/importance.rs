//! How much each parameter matters: PED-ANOVA (Watanabe, Bansal & Hutter 2023, arXiv:2304.10255).
//!
//! Where good trials have the same values of a parameter as all trials, it does not matter. The measure is Pearson's divergence between the
//! density of the good trials and that of all, `Σ p_all · (p_good / p_all − 1)²`, each density estimated on a grid of at most 50 steps.

use std::collections::BTreeSet;

use crate::distribution::Scale;
use crate::parzen::{Kernels, Mixture, cumulated};
use crate::{Direction, Distribution, History, SearchError, Trial};

/// Steps of a continuous parameter's grid.
const STEPS: usize = 50;

/// Added to densities, so that none is 0.
const LEAST_DENSITY: f64 = 1e-12;

/// What good trials are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// All trials of the study: what made the difference in the search.
    Trials,
    /// All values a parameter can have, equally often: what makes a difference in the space.
    Space,
}

/// How importance is measured.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportanceOptions {
    /// The fraction of complete trials that are good ones, in (0, 1); at least two are. Those that are as good as the last count too.
    pub good: f64,
    /// What these are compared with.
    pub baseline: Baseline,
}

impl Default for ImportanceOptions {
    fn default() -> Self {
        Self { good: 0.1, baseline: Baseline::Trials }
    }
}

/// The share of each parameter, the most important first; shares add up to 1 (they are equal if no parameter makes a difference). Parameters
/// that only some trials have count by how many of the good ones do (Watanabe et al. 2026, arXiv:2601.20800).
///
/// # Errors
///
/// The fraction of good trials is not in (0, 1), or fewer than two trials are complete with a finite value.
pub fn importance(history: &History<'_>, options: &ImportanceOptions) -> Result<Vec<(String, f64)>, SearchError> {
    if !(options.good > 0.0 && options.good < 1.0) {
        return Err(SearchError::setting(
            "good",
            format!("is {}: expected a fraction above 0 and below 1", options.good),
        ));
    }
    let all: Vec<&Trial> = history.complete().filter(|trial| trial.value.is_some_and(f64::is_finite)).collect();
    if all.len() < 2 {
        let problem = format!("importance needs two complete trials with finite values, and there are {}", all.len());
        return Err(SearchError::Search(problem));
    }
    let good = good_trials(&all, history.direction, options.good);
    let names: BTreeSet<&str> = all.iter().flat_map(|trial| trial.distributions.keys()).map(String::as_str).collect();
    let divergences: Vec<f64> = names.iter().map(|name| divergence(name, &good, &all, options.baseline)).collect();
    Ok(shares(&names, &divergences))
}

fn shares(names: &BTreeSet<&str>, divergences: &[f64]) -> Vec<(String, f64)> {
    let total: f64 = divergences.iter().sum();
    let share = |divergence: f64| if total > 0.0 { divergence / total } else { 1.0 / names.len() as f64 };
    let mut shares: Vec<(String, f64)> =
        names.iter().zip(divergences).map(|(name, divergence)| ((*name).to_owned(), share(*divergence))).collect();
    shares.sort_by(|left, right| right.1.total_cmp(&left.1));
    shares
}

/// The best trials, in their order.
fn good_trials<'a>(all: &[&'a Trial], direction: Direction, fraction: f64) -> Vec<&'a Trial> {
    let cost = |trial: &Trial| match (trial.value, direction) {
        (Some(value), Direction::Minimize) => value,
        (Some(value), Direction::Maximize) => -value,
        (None, _) => f64::INFINITY,
    };
    let mut costs: Vec<f64> = all.iter().map(|trial| cost(trial)).collect();
    costs.sort_by(f64::total_cmp);
    let count = ((fraction * all.len() as f64).ceil() as usize).max(2).min(all.len());
    let worst = count.checked_sub(1).and_then(|last| costs.get(last)).copied().unwrap_or(f64::INFINITY);
    all.iter().copied().filter(|trial| cost(trial) <= worst).collect()
}

/// The divergence of a parameter, summed over the distributions it had, each weighted by the square of its share of the good trials over its
/// share of all.
fn divergence(name: &str, good: &[&Trial], all: &[&Trial], baseline: Baseline) -> f64 {
    let mut distributions: Vec<&Distribution> = Vec::new();
    for distribution in all.iter().filter_map(|trial| trial.distributions.get(name)) {
        if !distributions.contains(&distribution) {
            distributions.push(distribution);
        }
    }
    let with = |trials: &[&Trial], distribution: &Distribution| -> Vec<f64> {
        let trials = trials.iter().filter(|trial| trial.distributions.get(name) == Some(distribution));
        trials
            .filter_map(|trial| trial.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| *value))
            .collect()
    };
    let of_distribution = |distribution: &Distribution| {
        let (of_good, of_all) = (with(good, distribution), with(all, distribution));
        if distribution.is_single() || of_good.is_empty() || of_all.len() < 2 {
            return 0.0;
        }
        let shares = (of_good.len() as f64 / good.len() as f64, of_all.len() as f64 / all.len() as f64);
        shares.0 * shares.0 / shares.1 * pearson(distribution, &of_good, &of_all, baseline)
    };
    distributions.into_iter().map(of_distribution).sum()
}

fn pearson(distribution: &Distribution, good: &[f64], all: &[f64], baseline: Baseline) -> f64 {
    let good = densities(distribution, good);
    let all = match baseline {
        Baseline::Trials => densities(distribution, all),
        Baseline::Space => vec![1.0 / good.len() as f64; good.len()],
    };
    good.iter().zip(&all).map(|(good, all)| all * (good / all - 1.0).powi(2)).sum()
}

/// The density at each cell of the parameter's grid.
fn densities(distribution: &Distribution, values: &[f64]) -> Vec<f64> {
    let (cells, observed) = counts(distribution, values);
    let prior = 1.0;
    let weights = observed.iter().map(|(_, count)| *count).chain([prior]).collect();
    let kernels = if distribution.scale().is_none() {
        Kernels::of_choices(observed.iter().map(|(cell, _)| *cell), cells)
    } else {
        let last = (cells - 1) as f64;
        let width = width(&observed);
        let kernels = observed.iter().map(|(cell, _)| (*cell as f64, width)).chain([(last / 2.0, cells as f64)]);
        Kernels::of_numbers(kernels, Scale { low: 0.0, high: last, step: 1.0, log: false }, true)
    };
    let points = (0..cells).map(|cell| cell as f64).collect();
    let logs = Mixture::new(weights, vec![kernels]).log_densities(&[points]);
    logs.into_iter().map(|log| log.exp() + LEAST_DENSITY).collect()
}

/// How many cells the grid has, and how many values are in each that has any.
fn counts(distribution: &Distribution, values: &[f64]) -> (usize, Vec<(usize, f64)>) {
    let cells = match distribution {
        Distribution::Categorical { choices } => choices.len(),
        // Twice the doublings there are, or so: whole numbers are few at the lower end.
        Distribution::Int { low, high, log: true, .. } => ((*high - *low + 1) as f64).log2().ceil() as usize + 1,
        Distribution::Int { low, high, step, .. } => usize::try_from((*high - *low) / *step + 1).unwrap_or(STEPS),
        Distribution::Float { low, high, step: Some(step), .. } => ((high - low) / step).round() as usize + 1,
        Distribution::Float { .. } => STEPS,
    };
    let cells = if distribution.scale().is_some() { cells.min(STEPS) } else { cells };
    let cell = |value: f64| match distribution.scale() {
        None => value.max(0.0) as usize,
        Some(scale) => {
            let (low, high) = (scale.of(scale.low), scale.of(scale.high));
            let size = (high - low) / (cells - 1) as f64;
            // Halves belong to the lower cell.
            ((scale.of(value) - low) / size - 0.5).ceil().max(0.0) as usize
        }
    };
    let mut counts = vec![0.0; cells];
    for value in values {
        if let Some(count) = counts.get_mut(cell(*value).min(cells - 1)) {
            *count += 1.0;
        }
    }
    (cells, counts.into_iter().enumerate().filter(|(_, count)| *count > 0.0).collect())
}

/// Scott's rule (1992) for the kernels' width in cells, by the smaller of standard deviation and quartiles' distance; at least so much that
/// nine tenths of a kernel are in its cell.
fn width(observed: &[(usize, f64)]) -> f64 {
    let weights: Vec<f64> = observed.iter().map(|(_, count)| *count).collect();
    let cumulated = cumulated(&weights);
    let total = cumulated.last().copied().unwrap_or(1.0);
    let moment = |power: i32, centre: f64| -> f64 {
        observed.iter().map(|(cell, count)| (*cell as f64 - centre).powi(power) * count).sum()
    };
    let mean = moment(1, 0.0) / total;
    let deviation = (moment(2, mean) / (total - 1.0).max(1.0)).sqrt();
    let cell_at =
        |rank: usize| observed.get(rank.min(observed.len().saturating_sub(1))).map_or(0.0, |(cell, _)| *cell as f64);
    let first = cell_at(cumulated.partition_point(|sum| *sum < (total / 4.0).floor()));
    let third = cell_at(cumulated.partition_point(|sum| *sum <= (total * 3.0 / 4.0).floor()));
    let width = 1.059 * ((third - first) / 1.34).min(deviation) * total.powf(-0.2);
    width.max(0.5 / 1.64)
}
