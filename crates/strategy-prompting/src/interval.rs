//! Means with bootstrap intervals by conversation, and correlations.
//!
//! Responses of one conversation are alike, so an interval that treats them as independent is too narrow. Here whole
//! conversations are drawn with replacement.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Bootstrap samples of an interval.
const RESAMPLES: usize = 2000;
const SEED: u64 = 2402_10453;

/// A mean with its 95 % interval (percentile bootstrap over groups, 2,000 resamples, fixed seed).
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
    /// The interval of values that belong to groups. `None` without values. Values that are not finite are left out.
    pub fn by_group<'a>(values: impl IntoIterator<Item = (&'a str, f64)>) -> Option<Self> {
        let groups = Groups::collect(values);
        if groups.sums.is_empty() {
            return None;
        }
        let ends = (groups.sums.len() > 1).then(|| groups.percentiles());
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
struct Groups {
    sums: Vec<(f64, usize)>,
}

impl Groups {
    fn collect<'a>(values: impl IntoIterator<Item = (&'a str, f64)>) -> Self {
        let mut sums: std::collections::BTreeMap<&str, (f64, usize)> = std::collections::BTreeMap::new();
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

    fn percentiles(&self) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut means: Vec<f64> = (0..RESAMPLES)
            .map(|_| mean_of((0..self.sums.len()).map(|_| &self.sums[rng.random_range(0..self.sums.len())])))
            .collect();
        means.sort_by(f64::total_cmp);
        let at = |share: f64| means[((RESAMPLES - 1) as f64 * share).round() as usize];
        (at(0.025), at(0.975))
    }
}

fn mean_of<'a>(groups: impl Iterator<Item = &'a (f64, usize)>) -> f64 {
    let (sum, count) = groups.fold((0.0, 0), |all, group| (all.0 + group.0, all.1 + group.1));
    sum / count as f64
}

/// Pearson's correlation of pairs; `None` with fewer than three pairs or where one side does not vary. Pairs with a value
/// that is not finite are left out.
pub fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let finite: Vec<(f64, f64)> = pairs.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    if finite.len() < 3 {
        return None;
    }
    let count = finite.len() as f64;
    let (mean_x, mean_y) = finite.iter().fold((0.0, 0.0), |sum, (x, y)| (sum.0 + x / count, sum.1 + y / count));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in &finite {
        xx += (x - mean_x) * (x - mean_x);
        yy += (y - mean_y) * (y - mean_y);
        xy += (x - mean_x) * (y - mean_y);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
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
        let earlier = r#"{"mean": 2.0, "low": 1.5, "high": 2.5, "values": 4, "groups": 2}"#;
        assert_eq!(serde_json::from_str::<Interval>(earlier).unwrap().ends(), Some((1.5, 2.5)));
    }

    #[test]
    fn correlation_by_hand() {
        let line: Vec<(f64, f64)> = (0..5).map(|x| (f64::from(x), 3.0 - 2.0 * f64::from(x))).collect();
        assert!((pearson(&line).unwrap() + 1.0).abs() < 1e-12);
        let found = pearson(&[(1.0, 2.0), (2.0, 1.0), (3.0, 4.0), (4.0, 3.0), (f64::NAN, 1.0)]).unwrap();
        assert!((found - 0.6).abs() < 1e-12);
        assert_eq!(pearson(&[(1.0, 2.0), (1.0, 3.0), (1.0, 4.0)]), None);
    }
}
