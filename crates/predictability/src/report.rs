//! How good predictions are, with an interval by group.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::error::Error;

/// Bootstrap samples of the interval.
const RESAMPLES: usize = 2000;

/// How good predictions are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Items that were predicted.
    pub items: usize,
    /// Groups they belong to.
    pub groups: usize,
    /// Share of right predictions, 0 to 1.
    pub accuracy: f64,
    /// 95 % interval of the accuracy, by bootstrap over groups; none where there is one group only.
    pub interval: Option<(f64, f64)>,
    /// Mean of the classes' F1; a class that neither occurs nor is predicted is left out.
    pub macro_f1: f64,
    /// One in so many classes.
    pub chance: f64,
    /// What always naming the most frequent class would give.
    pub majority: f64,
    /// By class.
    pub classes: Vec<ClassReport>,
}

/// How good the predictions of one class are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Right among those predicted; 0 if none is.
    pub precision: f64,
    /// Right among those that are; 0 if none is.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Items of the class.
    pub support: usize,
}

impl Report {
    /// Compares predictions with labels; `names` are the classes'.
    ///
    /// # Errors
    /// Lengths differ, or there is nothing to compare.
    pub fn new(names: &[String], labels: &[usize], predicted: &[usize], groups: &[&str]) -> Result<Self, Error> {
        for (what, other) in [("predictions", predicted.len()), ("groups", groups.len())] {
            if other != labels.len() {
                return Err(Error::Lengths { items: labels.len(), what, other });
            }
        }
        if labels.is_empty() {
            return Err(Error::Groups { found: 0, needed: 1 });
        }
        let classes: Vec<ClassReport> =
            names.iter().enumerate().map(|(class, name)| of_class(name, class, labels, predicted)).collect();
        let known: Vec<f64> = (0..names.len())
            .filter(|class| labels.contains(class) || predicted.contains(class))
            .map(|class| classes[class].f1)
            .collect();
        let by_group = by_group(labels, predicted, groups);
        Ok(Self {
            items: labels.len(),
            groups: by_group.len(),
            accuracy: accuracy(by_group.iter()),
            interval: (by_group.len() > 1).then(|| interval(&by_group)),
            macro_f1: known.iter().sum::<f64>() / known.len() as f64,
            chance: 1.0 / names.len() as f64,
            majority: classes.iter().map(|class| class.support).max().unwrap_or(0) as f64 / labels.len() as f64,
            classes,
        })
    }
}

fn of_class(name: &str, class: usize, labels: &[usize], predicted: &[usize]) -> ClassReport {
    let right = labels.iter().zip(predicted).filter(|(label, found)| **label == class && **found == class).count();
    let count = |values: &[usize]| values.iter().filter(|value| **value == class).count();
    let share = |of: usize| if of == 0 { 0.0 } else { right as f64 / of as f64 };
    let (support, named) = (count(labels), count(predicted));
    let f1 = if support + named == 0 { 0.0 } else { 2.0 * right as f64 / (support + named) as f64 };
    ClassReport { name: name.to_owned(), precision: share(named), recall: share(support), f1, support }
}

/// Right predictions and items of every group.
fn by_group(labels: &[usize], predicted: &[usize], groups: &[&str]) -> Vec<(usize, usize)> {
    let mut counted: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((label, found), group) in labels.iter().zip(predicted).zip(groups) {
        let entry = counted.entry(group).or_default();
        entry.0 += usize::from(label == found);
        entry.1 += 1;
    }
    counted.into_values().collect()
}

fn accuracy<'a>(groups: impl Iterator<Item = &'a (usize, usize)>) -> f64 {
    let (right, items) = groups.fold((0, 0), |sum, group| (sum.0 + group.0, sum.1 + group.1));
    right as f64 / items as f64
}

fn interval(groups: &[(usize, usize)]) -> (f64, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut found: Vec<f64> = (0..RESAMPLES)
        .map(|_| accuracy((0..groups.len()).map(|_| &groups[rng.random_range(0..groups.len())])))
        .collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found[((RESAMPLES - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}
