//! Agreement between raters beyond chance: Cohen, Fleiss, Randolph, Krippendorff.
//!
//! [`Ratings`] holds who rated which item how; each coefficient is a method, and [`Ratings::interval`] puts a bootstrap
//! interval over items around any of them:
//!
//! ```
//! use esc_metrics::agreement::{MeasurementLevel, Ratings};
//! use esc_metrics::interval::Resampling;
//!
//! let ratings = Ratings::complete(&[[4.0, 4.0], [-2.0, -1.0], [0.0, 0.0], [1.0, 3.0], [-4.0, -4.0]])?;
//! let alpha = ratings.interval(&Resampling::default(), |ratings| ratings.krippendorff(MeasurementLevel::Interval))?;
//! assert!(alpha.low <= alpha.value && alpha.value <= alpha.high);
//! # Ok::<(), esc_metrics::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::correlation::mean_ranks;
use crate::interval::{Estimate, Resampling};

/// What the difference of two ratings means; alpha squares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasurementLevel {
    /// Equal or not.
    Nominal,
    /// Only the order counts: the difference is the number of ratings between the two.
    Ordinal,
    /// c - k.
    Interval,
    /// (c - k) / (c + k), for ratings of zero or more.
    Ratio,
}

impl MeasurementLevel {
    /// The variant's name in reports, e.g. `krippendorff-alpha|interval`.
    pub fn signature(self) -> &'static str {
        match self {
            Self::Nominal => "krippendorff-alpha|nominal",
            Self::Ordinal => "krippendorff-alpha|ordinal",
            Self::Interval => "krippendorff-alpha|interval",
            Self::Ratio => "krippendorff-alpha|ratio",
        }
    }
}

/// How much a disagreement weighs in Cohen's kappa, by the places of the two labels in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// All alike.
    None,
    /// |i - j|.
    Linear,
    /// (i - j)².
    Quadratic,
}

impl Weighting {
    /// The variant's name in reports, e.g. `cohen-kappa|linear`.
    pub fn signature(self) -> &'static str {
        match self {
            Self::None => "cohen-kappa|unweighted",
            Self::Linear => "cohen-kappa|linear",
            Self::Quadratic => "cohen-kappa|quadratic",
        }
    }

    fn of(self, first: usize, second: usize) -> f64 {
        let apart = first.abs_diff(second) as f64;
        match self {
            Self::None => f64::from(first != second),
            Self::Linear => apart,
            Self::Quadratic => apart * apart,
        }
    }
}

/// Ratings of items: a row for each item, a column for each rater, with gaps where a rater did not rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratings {
    raters: usize,
    /// `[item, rater]`.
    values: Vec<Option<f64>>,
}

impl Ratings {
    /// Ratings with gaps: a row of as many places as there are raters for each item. Categories are numbers, too.
    ///
    /// # Errors
    /// There are no rows or no raters, rows differ in length, or a rating is not finite.
    pub fn new<R: AsRef<[Option<f64>]>>(items: &[R]) -> Result<Self, Error> {
        let raters = items.first().map_or(0, |row| row.as_ref().len());
        if raters == 0 {
            return Err(Error::Empty("ratings"));
        }
        let mut values = Vec::with_capacity(items.len() * raters);
        for (item, row) in items.iter().map(AsRef::as_ref).enumerate() {
            if row.len() != raters {
                return Err(Error::Lengths { what: "raters of different items", left: raters, right: row.len() });
            }
            if row.iter().flatten().any(|rating| !rating.is_finite()) {
                return Err(Error::Setting(format!("item {item} has a rating that is no finite number")));
            }
            // 0 and -0 are one rating.
            values.extend(row.iter().map(|rating| rating.map(|rating| rating + 0.0)));
        }
        Ok(Self { raters, values })
    }

    /// Ratings without gaps.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn complete<R: AsRef<[f64]>>(items: &[R]) -> Result<Self, Error> {
        let with_gaps = |row: &R| row.as_ref().iter().copied().map(Some).collect();
        Self::new(&items.iter().map(with_gaps).collect::<Vec<Vec<Option<f64>>>>())
    }

    /// Items.
    pub fn items(&self) -> usize {
        self.values.len() / self.raters
    }

    /// Raters.
    pub fn raters(&self) -> usize {
        self.raters
    }

    /// Cohen's kappa (1960; weighted 1968) of two raters over the items that both rated: `1 − Σ w·o / Σ w·e`, with the share `o` of items in each
    /// cell of their table, the share `e` that their own label counts would give it, and the weight `w` of a disagreement. Labels are those
    /// that occur, in ascending order. At most 1; 0 is chance.
    ///
    /// # Errors
    /// There is no such rater or item, or both gave everything the same label.
    pub fn cohen(&self, first: usize, second: usize, weighting: Weighting) -> Result<f64, Error> {
        if let Some(unknown) = [first, second].into_iter().find(|rater| *rater >= self.raters) {
            return Err(Error::Setting(format!("there is no rater {unknown}: {} raters count from 0", self.raters)));
        }
        let both: Vec<(f64, f64)> = self.rows().filter_map(|row| row[first].zip(row[second])).collect();
        let labels = Categories::of(both.iter().flat_map(|(first, second)| [*first, *second]));
        let places: Vec<(usize, usize)> =
            both.iter().map(|(first, second)| (labels.place(*first), labels.place(*second))).collect();
        cohen_kappa_of_places(&places, labels.len(), weighting)
    }

    /// Fleiss' kappa (1971): `(P − Pₑ) / (1 − Pₑ)`, with the mean share `P` of agreeing pairs of raters and `Pₑ = Σ pⱼ²` of the categories'
    /// shares `pⱼ` among all ratings. At most 1; 0 is chance.
    ///
    /// # Errors
    /// There are fewer than two raters, there are gaps, or all ratings are the same.
    pub fn fleiss(&self) -> Result<f64, Error> {
        let complete = self.without_gaps("fleiss-kappa")?;
        let categories = Categories::of(complete.iter().copied());
        let mut counts = vec![0.0; categories.len()];
        complete.iter().for_each(|rating| counts[categories.place(*rating)] += 1.0);
        let chance = counts.iter().map(|count| (count / complete.len() as f64).powi(2)).sum();
        beyond_chance("fleiss-kappa", self.observed_agreement(&complete, &categories), chance)
    }

    /// Randolph's free-marginal kappa (2005): as [`Self::fleiss`] with `Pₑ = 1 / categories`, the number that raters could choose from.
    ///
    /// # Errors
    /// There are fewer than two raters, there are gaps, or fewer than two categories or than occur.
    pub fn randolph(&self, categories: usize) -> Result<f64, Error> {
        let complete = self.without_gaps("randolph-kappa")?;
        let present = Categories::of(complete.iter().copied());
        if categories < present.len().max(2) {
            let needed = present.len().max(2);
            return Err(Error::Setting(format!("{categories} categories to choose from, but at least {needed} are")));
        }
        beyond_chance("randolph-kappa", self.observed_agreement(&complete, &present), 1.0 / categories as f64)
    }

    /// Krippendorff's alpha (2004): `1 − Dₒ / Dₑ`. With the squared difference `δ²` of two ratings ([`MeasurementLevel`]) and `n` ratings in all,
    /// `Dₒ = 1/n · Σᵤ Σ_{c≠k ∈ u} δ²(c, k) / (nᵤ − 1)` over the items `u` of `nᵤ` ratings, and `Dₑ = Σ_{c≠k} δ²(c, k) / (n (n − 1))` over all
    /// ordered pairs of ratings. Items with one rating are ignored, gaps are allowed. At most 1; 0 is chance.
    ///
    /// # Errors
    /// No item has two ratings, all ratings are the same, or [`MeasurementLevel::Ratio`] meets a negative rating.
    pub fn krippendorff(&self, level: MeasurementLevel) -> Result<f64, Error> {
        let undefined = |problem: &str| Error::Undefined { metric: level.signature(), problem: problem.to_owned() };
        let units = Units::of(self);
        let Some(one) = units.ratings.first() else {
            return Err(undefined("no item has two ratings"));
        };
        if units.ratings.iter().all(|rating| rating == one) {
            return Err(undefined("all ratings are the same, so none could have disagreed"));
        }
        if level == MeasurementLevel::Ratio && units.ratings.iter().any(|rating| *rating < 0.0) {
            return Err(undefined("a rating is negative, but a ratio scale starts at zero"));
        }
        let (observed, expected) = units.disagreement(level);
        let alpha = 1.0 - observed / expected;
        if alpha.is_finite() { Ok(alpha) } else { Err(undefined("the ratings are too large or too close together")) }
    }

    /// Any coefficient with its percentile bootstrap interval over items. Resamples in which it is undefined (all
    /// ratings the same, say) are left out.
    ///
    /// # Errors
    /// Those of the coefficient on all items.
    pub fn interval(
        &self,
        resampling: &Resampling,
        coefficient: impl Fn(&Self) -> Result<f64, Error> + Sync,
    ) -> Result<Estimate, Error> {
        coefficient(self)?;
        let of_drawn = |items: &[usize]| coefficient(&self.resampled(items)).ok();
        let undefined = || Error::Undefined { metric: "agreement", problem: "it is not a finite number".to_owned() };
        resampling.estimate(self.items(), of_drawn).ok_or_else(undefined)
    }

    fn rows(&self) -> impl Iterator<Item = &[Option<f64>]> {
        self.values.chunks_exact(self.raters)
    }

    fn resampled(&self, items: &[usize]) -> Self {
        let row = |item: &usize| &self.values[item * self.raters..(item + 1) * self.raters];
        Self { raters: self.raters, values: items.iter().flat_map(row).copied().collect() }
    }

    fn without_gaps(&self, metric: &'static str) -> Result<Vec<f64>, Error> {
        let undefined = |problem: String| Error::Undefined { metric, problem };
        if self.raters < 2 {
            return Err(undefined("there is only one rater".to_owned()));
        }
        if let Some(gap) = self.values.iter().position(Option::is_none) {
            let item = gap / self.raters;
            return Err(undefined(format!("item {item} lacks a rating; Krippendorff's alpha allows gaps")));
        }
        Ok(self.values.iter().flatten().copied().collect())
    }

    /// Mean over items of the share of pairs of raters that agree.
    fn observed_agreement(&self, complete: &[f64], categories: &Categories) -> f64 {
        let pairs = (self.raters * (self.raters - 1)) as f64;
        let mut counts = vec![0_usize; categories.len()];
        let agreeing = complete.chunks_exact(self.raters).map(|row| {
            counts.fill(0);
            row.iter().for_each(|rating| counts[categories.place(*rating)] += 1);
            counts.iter().map(|count| count * count.saturating_sub(1)).sum::<usize>() as f64 / pairs
        });
        agreeing.sum::<f64>() / self.items() as f64
    }
}

/// Cohen's kappa of two raters' labels of the same items. Labels that occur, in ascending order, are the scale.
///
/// # Errors
/// Lengths differ, there are no items, or both gave everything the same label.
pub fn cohen_kappa<T: Ord>(first: &[T], second: &[T], weighting: Weighting) -> Result<f64, Error> {
    let mut labels: Vec<&T> = first.iter().chain(second).collect();
    labels.sort_unstable();
    labels.dedup();
    cohen_kappa_on(&labels, &first.iter().collect::<Vec<_>>(), &second.iter().collect::<Vec<_>>(), weighting)
}

/// Cohen's kappa on a given scale: `labels` in the order that linear and quadratic weights count in, those that nobody
/// used included.
///
/// # Errors
/// As [`cohen_kappa`], or a label is not on the scale.
pub fn cohen_kappa_on<T: PartialEq>(
    labels: &[T],
    first: &[T],
    second: &[T],
    weighting: Weighting,
) -> Result<f64, Error> {
    if first.len() != second.len() {
        return Err(Error::Lengths { what: "labels of two raters", left: first.len(), right: second.len() });
    }
    let place = |(item, label): (usize, &T)| {
        let problem = || Error::Setting(format!("the label of item {item} is not on the scale"));
        labels.iter().position(|known| known == label).ok_or_else(problem)
    };
    let places = |rater: &[T]| rater.iter().enumerate().map(place).collect::<Result<Vec<usize>, Error>>();
    let places: Vec<(usize, usize)> = places(first)?.into_iter().zip(places(second)?).collect();
    cohen_kappa_of_places(&places, labels.len(), weighting)
}

/// 1 - observed / expected weighted disagreement; places lie below `labels`.
fn cohen_kappa_of_places(places: &[(usize, usize)], labels: usize, weighting: Weighting) -> Result<f64, Error> {
    if places.is_empty() {
        return Err(Error::Empty("no item has a label of both raters"));
    }
    let (mut first, mut second) = (vec![0.0; labels], vec![0.0; labels]);
    for (one, other) in places {
        first[*one] += 1.0;
        second[*other] += 1.0;
    }
    let observed: f64 = places.iter().map(|(one, other)| weighting.of(*one, *other)).sum();
    let by_chance = |one: usize| -> f64 {
        second.iter().enumerate().map(|(other, count)| weighting.of(one, other) * first[one] * count).sum()
    };
    let expected = (0..labels).map(by_chance).sum::<f64>() / places.len() as f64;
    if expected > 0.0 {
        return Ok(1.0 - observed / expected);
    }
    let problem = "both raters gave everything the same label".to_owned();
    Err(Error::Undefined { metric: weighting.signature(), problem })
}

fn beyond_chance(metric: &'static str, observed: f64, chance: f64) -> Result<f64, Error> {
    if chance < 1.0 {
        return Ok((observed - chance) / (1.0 - chance));
    }
    Err(Error::Undefined { metric, problem: "all ratings are the same".to_owned() })
}

/// The different ratings, in ascending order.
struct Categories(Vec<f64>);

impl Categories {
    fn of(ratings: impl Iterator<Item = f64>) -> Self {
        let mut categories: Vec<f64> = ratings.collect();
        categories.sort_by(f64::total_cmp);
        categories.dedup();
        Self(categories)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// The place of a rating that is among them.
    fn place(&self, rating: f64) -> usize {
        self.0.partition_point(|category| *category < rating)
    }
}

/// The ratings of items with at least two of them.
struct Units {
    ratings: Vec<f64>,
    /// How many of them each item has, in the same order.
    sizes: Vec<usize>,
}

impl Units {
    fn of(ratings: &Ratings) -> Self {
        let mut units = Self { ratings: Vec::new(), sizes: Vec::new() };
        for row in ratings.rows() {
            let count = row.iter().flatten().count();
            if count > 1 {
                units.ratings.extend(row.iter().flatten());
                units.sizes.push(count);
            }
        }
        units
    }

    /// Observed and expected disagreement, times the number of ratings.
    fn disagreement(&self, level: MeasurementLevel) -> (f64, f64) {
        match level {
            MeasurementLevel::Nominal => self.summed(&self.ratings, nominal_disagreement),
            MeasurementLevel::Interval => self.summed(&self.ratings, squared_differences),
            // Between two ratings lie as many others as between their mean ranks.
            MeasurementLevel::Ordinal => self.summed(&mean_ranks(&self.ratings), squared_differences),
            MeasurementLevel::Ratio => self.summed(&self.ratings, ratio_disagreement),
        }
    }

    /// `of_all` sums the differences over all ordered pairs among some values.
    fn summed(&self, values: &[f64], of_all: fn(&[f64]) -> f64) -> (f64, f64) {
        let mut rest = values;
        let mut observed = 0.0;
        for size in &self.sizes {
            let (unit, others) = rest.split_at(*size);
            observed += of_all(unit) / (size - 1) as f64;
            rest = others;
        }
        (observed, of_all(values) / (values.len() - 1) as f64)
    }
}

fn nominal_disagreement(values: &[f64]) -> f64 {
    let counts = counted(values);
    let same: f64 = counts.iter().map(|(_, count)| count * count).sum();
    (values.len() * values.len()) as f64 - same
}

/// Σ (c - k)² over ordered pairs is twice the number of values times their squared deviations from the mean.
fn squared_differences(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    2.0 * values.len() as f64 * values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>()
}

fn ratio_disagreement(values: &[f64]) -> f64 {
    let counts = counted(values);
    let difference = |c: f64, k: f64| if c == k { 0.0 } else { ((c - k) / (c + k)).powi(2) };
    let with_all = |(c, count): &(f64, f64)| -> f64 {
        count * counts.iter().map(|(k, other)| other * difference(*c, *k)).sum::<f64>()
    };
    counts.iter().map(with_all).sum()
}

/// The different values and how often each occurs.
fn counted(values: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|left, right| left == right).map(|run| (run[0], run.len() as f64)).collect()
}
