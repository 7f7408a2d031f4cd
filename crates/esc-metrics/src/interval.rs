//! How far a number can be trusted: bootstrap intervals of means and of anything else that is computed from items, and
//! Wilson's interval of a share.
//!
//! Responses of one conversation are alike, so an interval that treats them as independent is too narrow.
//! [`Interval::by_group`] draws whole conversations with replacement; the other intervals of this crate draw whatever
//! units they are given. Every interval takes its settings from a [`Resampling`], so the same seed gives the same
//! interval on any machine and with any number of threads.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::significance::distributions::normal_upper_quantile;

/// A mean with its interval (percentile bootstrap over groups).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean over all values.
    pub mean: f64,
    /// Lower end; none where there is one group only, which does not tell how much groups differ.
    #[serde(default)]
    pub low: Option<f64>,
    /// Upper end, where there is a lower one.
    #[serde(default)]
    pub high: Option<f64>,
    /// Values.
    pub values: usize,
    /// Groups (conversations) they come from.
    pub groups: usize,
}

impl Interval {
    /// The 95 % interval of values that belong to groups, by 2,000 resamples and a fixed seed. `None` without values.
    /// Values that are not finite are left out.
    pub fn by_group<'a>(values: impl IntoIterator<Item = (&'a str, f64)>) -> Option<Self> {
        Self::by_group_with(values, &Resampling::default())
    }

    /// As [`by_group`](Self::by_group), with other settings.
    ///
    /// All resamples come one after the other from one generator, and the ends are the nearest of the resampled means.
    pub fn by_group_with<'a>(
        values: impl IntoIterator<Item = (&'a str, f64)>,
        resampling: &Resampling,
    ) -> Option<Self> {
        let groups = GroupSums::collect(values);
        if groups.sums.is_empty() {
            return None;
        }
        let ends = (groups.sums.len() > 1).then(|| groups.percentiles(resampling)).flatten();
        let (low, high) = ends.unzip();
        let values = groups.sums.iter().map(|(_, count)| count).sum();
        Some(Self { mean: groups.mean(), low, high, values, groups: groups.sums.len() })
    }

    /// Lower and upper end, where the interval is defined.
    pub fn ends(&self) -> Option<(f64, f64)> {
        self.low.zip(self.high)
    }
}

/// Sum and count of each group's values: all that a mean needs.
struct GroupSums {
    sums: Vec<(f64, usize)>,
}

impl GroupSums {
    fn collect<'a>(values: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let mut sums: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        for (group, value) in values.into_iter().filter(|(_, value)| value.is_finite()) {
            let entry = sums.entry(group).or_default();
            entry.0 += value;
            entry.1 += 1;
        }
        Self { sums: sums.into_values().collect() }
    }

    fn mean(&self) -> f64 {
        mean_of(self.sums.iter())
    }

    fn percentiles(&self, resampling: &Resampling) -> Option<(f64, f64)> {
        let mut rng = ChaCha8Rng::seed_from_u64(resampling.seed);
        let mut means: Vec<f64> = (0..resampling.resamples)
            .map(|_| mean_of((0..self.sums.len()).map(|_| &self.sums[rng.random_range(0..self.sums.len())])))
            .collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means.get(((means.len().checked_sub(1)?) as f64 * share).round() as usize).copied();
        let (below, above) = resampling.tails();
        Some((at(below)?, at(above)?))
    }
}

fn mean_of<'a>(groups: impl Iterator<Item = &'a (f64, usize)>) -> f64 {
    let (sum, count) = groups.fold((0.0, 0), |all, group| (all.0 + group.0, all.1 + group.1));
    sum / count as f64
}

/// More resamples than anybody needs; the values of all are kept.
const MOST_RESAMPLES: usize = 1_000_000;

/// How resampled intervals and tests are made: how often, from which seed, and how wide.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Resampling {
    resamples: usize,
    confidence: f64,
    seed: u64,
}

impl Default for Resampling {
    /// 2,000 resamples, 95 %, a fixed seed.
    fn default() -> Self {
        Self { resamples: 2000, confidence: 0.95, seed: 2402_10453 }
    }
}

impl Resampling {
    /// So many resamples, for intervals that hold the share `confidence` (0.95 for 95 %).
    ///
    /// # Errors
    /// No resample or more than a million, or a confidence that is not between 0 and 1.
    pub fn new(resamples: usize, confidence: f64, seed: u64) -> Result<Self, Error> {
        if resamples == 0 {
            return Err(Error::Setting("0 resamples: at least one is needed, 2,000 are usual".to_owned()));
        }
        if resamples > MOST_RESAMPLES {
            let problem = format!("{resamples} resamples: at most {MOST_RESAMPLES} are drawn, 2,000 are usual");
            return Err(Error::Setting(problem));
        }
        check_confidence(confidence)?;
        Ok(Self { resamples, confidence, seed })
    }

    /// The same with another seed.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// How many resamples are drawn.
    pub fn resamples(&self) -> usize {
        self.resamples
    }

    /// The share that an interval holds.
    pub fn confidence(&self) -> f64 {
        self.confidence
    }

    /// Where the generator starts.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// A statistic of `units` units with its percentile interval: `statistic` is given the numbers of the units to
    /// compute it from, first every unit once, then resamples with repetitions. `None` where it has no finite value for
    /// all units; resamples without one are left out and missing in [`Estimate::resamples`].
    pub fn estimate(&self, units: usize, statistic: impl Fn(&[usize]) -> Option<f64> + Sync) -> Option<Estimate> {
        let all: Vec<usize> = (0..units).collect();
        let finite = |units: &[usize]| statistic(units).filter(|value| value.is_finite());
        let value = finite(&all)?;
        let resampled = self.map_resamples(units, finite).into_iter().flatten().collect();
        Some(self.summed_up(value, resampled))
    }

    /// What `of` makes of each resample of `units` units, in order. Each resample has its own stream of the generator,
    /// so the number of threads is of no consequence.
    pub(crate) fn map_resamples<T: Send>(&self, units: usize, of: impl Fn(&[usize]) -> T + Sync) -> Vec<T> {
        let drawn = |drawn: &mut Vec<usize>, resample: usize| {
            let mut rng = self.stream(resample);
            drawn.clear();
            drawn.extend((0..units).map(|_| rng.random_range(0..units)));
            of(drawn)
        };
        (0..self.resamples).into_par_iter().map_init(Vec::new, drawn).collect()
    }

    /// The generator of one resample.
    pub(crate) fn stream(&self, resample: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(resample as u64);
        rng
    }

    /// A value with the interval of its resampled values; the value alone where there are none.
    pub(crate) fn summed_up(&self, value: f64, mut resampled: Vec<f64>) -> Estimate {
        resampled.sort_by(f64::total_cmp);
        let (below, above) = self.tails();
        let at = |share| quantile(&resampled, share).unwrap_or(value);
        Estimate { value, low: at(below), high: at(above), resamples: resampled.len() }
    }

    /// The shares of resampled values below the lower and below the upper end.
    fn tails(&self) -> (f64, f64) {
        let outside = (1.0 - self.confidence) / 2.0;
        (outside, 1.0 - outside)
    }
}

/// A value with its percentile bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Of all units.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Resamples that had a value. Where they are far fewer than were asked for, the interval says little.
    pub resamples: usize,
}

/// Wilson's score interval (1927) of a share `p` of `n` trials: `(p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)`, with the normal quantile `z`
/// of the `confidence` (1.96 for 0.95). `None` without trials.
///
/// # Errors
/// More successes than trials, or a confidence that is not between 0 and 1.
pub fn wilson(successes: usize, trials: usize, confidence: f64) -> Result<Option<(f64, f64)>, Error> {
    check_confidence(confidence)?;
    if successes > trials {
        return Err(Error::Setting(format!("{successes} successes in {trials} trials: there can't be more")));
    }
    Ok((trials > 0).then(|| wilson_of(successes, trials, confidence)))
}

/// As [`wilson`], for a share of which trials may have given a part, e.g. ties that count half.
///
/// # Errors
/// A share or a confidence that is not between 0 and 1.
pub fn wilson_of_share(share: f64, trials: usize, confidence: f64) -> Result<Option<(f64, f64)>, Error> {
    check_confidence(confidence)?;
    if !(0.0..=1.0).contains(&share) {
        return Err(Error::Setting(format!("a share of {share}: it must lie between 0 and 1")));
    }
    Ok((trials > 0).then(|| around_share(share, trials, confidence)))
}

/// As [`wilson`], for arguments that are known to be right.
pub(crate) fn wilson_of(successes: usize, trials: usize, confidence: f64) -> (f64, f64) {
    around_share(successes as f64 / trials as f64, trials, confidence)
}

fn around_share(share: f64, trials: usize, confidence: f64) -> (f64, f64) {
    let trials = trials as f64;
    let z = normal_upper_quantile((1.0 - confidence) / 2.0);
    let weight = z * z / trials;
    let centre = (share + weight / 2.0) / (1.0 + weight);
    let reach = (weight * (share * (1.0 - share) + weight / 4.0)).sqrt() / (1.0 + weight);
    ((centre - reach).max(0.0), (centre + reach).min(1.0))
}

/// The value below which the share `share` (0 to 1) of values in ascending order lies, linear between neighbours as by
/// NumPy and R (type 7). `None` without values or for a share outside.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let at = sorted.len().checked_sub(1)? as f64 * share;
    let (below, above) = (*sorted.get(at.floor() as usize)?, *sorted.get(at.ceil() as usize)?);
    // Equal neighbours may be infinite, and then have no difference.
    Some(if below == above { below } else { below + (above - below) * at.fract() })
}

fn check_confidence(confidence: f64) -> Result<(), Error> {
    if confidence > 0.0 && confidence < 1.0 {
        return Ok(());
    }
    Err(Error::Setting(format!("a confidence of {confidence}: it must lie between 0 and 1, e.g. 0.95")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_mean_and_widens_when_groups_agree() {
        let groups: Vec<String> = (0..40).map(|group| group.to_string()).collect();
        let independent = groups.iter().enumerate().map(|(at, group)| (group.as_str(), (at % 5) as f64));
        let found = Interval::by_group(independent).unwrap();
        let (low, high) = found.ends().unwrap();
        assert!(low < 2.0 && 2.0 < high && (found.mean - 2.0).abs() < 1e-12);
        let clustered = groups.iter().enumerate().map(|(at, _)| (groups[at % 5].as_str(), (at % 5) as f64));
        let wider = Interval::by_group(clustered).unwrap();
        assert_eq!((wider.values, wider.groups), (40, 5));
        let (wide_low, wide_high) = wider.ends().unwrap();
        assert!(wide_high - wide_low > high - low);
    }

    #[test]
    fn one_group_has_a_mean_and_no_interval() {
        let found = Interval::by_group([("only", 1.0), ("only", 3.0)]).unwrap();
        assert_eq!((found.mean, found.ends(), found.values, found.groups), (2.0, None, 2, 1));
        let written = serde_json::to_value(found).unwrap();
        assert!(written["low"].is_null() && written["high"].is_null());
        assert_eq!(serde_json::from_value::<Interval>(written).unwrap(), found);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 0.5), Some(3.0));
        assert_eq!(quantile(&values, 1.0), Some(8.0));
        assert_eq!(quantile(&[f64::INFINITY; 3], 0.3), Some(f64::INFINITY));
        assert_eq!([quantile(&[], 0.5), quantile(&values, 1.1), quantile(&values, f64::NAN)], [None; 3]);
    }
}
