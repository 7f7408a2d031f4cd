//! Splits that keep groups together: no conversation stands on both sides.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::Error;

/// Item numbers of two sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Items to fit on, ascending.
    pub train: Vec<usize>,
    /// Items to test on, ascending.
    pub test: Vec<usize>,
}

/// Puts whole groups, drawn by the seed, on the test side until it has `share` of the items or would have more.
///
/// # Errors
/// The share is not between 0 and 1, or there are fewer than two groups.
pub fn grouped_split(groups: &[&str], share: f64, seed: u64) -> Result<Split, Error> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::Setting(format!("a test share of {share} is not between 0 and 1")));
    }
    let mut drawn = members(groups);
    if drawn.len() < 2 {
        return Err(Error::Groups { found: drawn.len(), needed: 2 });
    }
    drawn.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let wanted = groups.len() as f64 * share;
    let mut split = Split { train: Vec::new(), test: Vec::new() };
    for (number, group) in drawn.iter().enumerate() {
        let grown = (split.test.len() + group.len()) as f64;
        let improves = (grown - wanted).abs() < (split.test.len() as f64 - wanted).abs();
        // Both sides get a group, however large groups are.
        let must = split.test.is_empty() && number + 1 == drawn.len();
        let side = if improves && number + 1 < drawn.len() || must { &mut split.test } else { &mut split.train };
        side.extend(group);
    }
    if split.test.is_empty() {
        split.test.extend(split.train.split_off(split.train.len() - drawn[drawn.len() - 1].len()));
    }
    split.train.sort_unstable();
    split.test.sort_unstable();
    Ok(split)
}

/// `count` splits whose test sides are disjoint and cover everything; groups go to the fold that has least.
///
/// # Errors
/// There are fewer groups than folds, or fewer than two folds.
pub fn grouped_folds(groups: &[&str], count: usize, seed: u64) -> Result<Vec<Split>, Error> {
    let mut drawn = members(groups);
    if count < 2 || drawn.len() < count {
        return Err(Error::Groups { found: drawn.len(), needed: count.max(2) });
    }
    drawn.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    drawn.sort_by_key(|group| std::cmp::Reverse(group.len()));
    let mut folds: Vec<Vec<usize>> = vec![Vec::new(); count];
    for group in drawn {
        if let Some(fold) = folds.iter_mut().min_by_key(|fold| fold.len()) {
            fold.extend(group);
        }
    }
    let split = |mut test: Vec<usize>| {
        test.sort_unstable();
        let train = (0..groups.len()).filter(|item| test.binary_search(item).is_err()).collect();
        Split { train, test }
    };
    Ok(folds.into_iter().map(split).collect())
}

/// Items of every group, groups in the order of their names.
fn members(groups: &[&str]) -> Vec<Vec<usize>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (item, group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(item);
    }
    members.into_values().collect()
}
