//! Predicted against true classes: accuracy, F1, confusion, chance-corrected agreement, top-k, edit distance.
//!
//! [`Labelled`] checks the labels once; a [`ClassificationReport`] is what scikit-learn's functions give, an undefined
//! precision or F1 being 0.
//!
//! ```
//! use esc_metrics::classification::{Averaged, Labelled};
//!
//! let names = ["Question", "Information", "Others"].map(str::to_owned);
//! let labelled = Labelled::new(&names, &[0, 0, 1, 1], &[0, 1, 1, 1])?;
//! let report = labelled.report(Averaged::Present);
//! assert_eq!((report.accuracy, report.classes[1].recall), (0.75, 1.0));
//! assert_eq!(report.macro_f1, (2.0 / 3.0 + 0.8) / 2.0);
//! # Ok::<(), esc_metrics::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::agreement::{Weighting, cohen_kappa};
use crate::interval::{Estimate, Interval, Resampling};
use crate::metric::share;

/// Which classes a macro average is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaged {
    /// Those that occur or are predicted, as scikit-learn does by default.
    #[default]
    Present,
    /// All that have a name.
    All,
}

impl Averaged {
    /// The macro-F1's name in reports: `macro-f1|present-classes` or `macro-f1|all-classes`.
    pub fn signature(self) -> &'static str {
        match self {
            Self::Present => "macro-f1|present-classes",
            Self::All => "macro-f1|all-classes",
        }
    }
}

/// True and predicted classes of the same items.
#[derive(Debug, Clone, Copy)]
pub struct Labelled<'a> {
    names: &'a [String],
    gold: &'a [usize],
    predicted: &'a [usize],
}

impl<'a> Labelled<'a> {
    /// Labels are places in `names`.
    ///
    /// # Errors
    /// Lengths differ, there are no items, or a label has no name.
    pub fn new(names: &'a [String], gold: &'a [usize], predicted: &'a [usize]) -> Result<Self, Error> {
        if gold.len() != predicted.len() {
            return Err(Error::Lengths { what: "labels and predictions", left: gold.len(), right: predicted.len() });
        }
        if gold.is_empty() {
            return Err(Error::Empty("no item is labelled"));
        }
        if let Some(unknown) = gold.iter().chain(predicted).find(|label| **label >= names.len()) {
            return Err(Error::Setting(format!("label {unknown} has no name: there are {}, from 0 on", names.len())));
        }
        Ok(Self { names, gold, predicted })
    }

    /// How good the predictions are.
    pub fn report(&self, averaged: Averaged) -> ClassificationReport {
        let counts = self.counts(self.pairs());
        let classes: Vec<ClassReport> =
            self.names.iter().zip(&counts).map(|(name, counts)| counts.report(name)).collect();
        let averages = Averages::of(&counts, averaged);
        let items = self.gold.len();
        let accuracy = counts.iter().map(|counts| counts.right).sum::<usize>() as f64 / items as f64;
        ClassificationReport {
            items,
            accuracy,
            micro_f1: accuracy,
            macro_precision: averages.precision,
            macro_recall: averages.recall,
            macro_f1: averages.f1,
            weighted_f1: classes.iter().map(|class| class.f1 * class.support as f64).sum::<f64>() / items as f64,
            matthews: matthews(&counts),
            cohen_kappa: cohen_kappa(self.gold, self.predicted, Weighting::None).ok(),
            chance: 1.0 / self.names.len() as f64,
            majority: counts.iter().map(|counts| counts.gold).max().unwrap_or(0) as f64 / items as f64,
            confusion: self.confusion(),
            classes,
        }
    }

    /// The report with its intervals; macro values are of the classes that occur or are predicted.
    ///
    /// # Errors
    /// There are more or fewer groups than items.
    pub fn report_by_group(&self, groups: &[&str]) -> Result<GroupedReport, Error> {
        let averaged = Averaged::Present;
        let intervals = self.intervals(averaged, groups, &Resampling::default())?;
        Ok(GroupedReport { report: self.report(averaged), groups: intervals.accuracy.groups, intervals })
    }

    /// Intervals of accuracy and macro-F1 by bootstrap over groups (conversations) that the items belong to.
    ///
    /// # Errors
    /// There are more or fewer groups than items.
    pub fn intervals(
        &self,
        averaged: Averaged,
        groups: &[&str],
        resampling: &Resampling,
    ) -> Result<ClassificationIntervals, Error> {
        if groups.len() != self.gold.len() {
            return Err(Error::Lengths { what: "items and groups", left: self.gold.len(), right: groups.len() });
        }
        let right = self.pairs().map(|(gold, predicted)| f64::from(gold == predicted));
        let accuracy = Interval::by_group_with(groups.iter().copied().zip(right), resampling);
        let counts = self.counts_by_group(groups);
        let macro_f1 = resampling.estimate(counts.len(), |drawn| {
            let mut sums = vec![ClassCounts::default(); self.names.len()];
            for group in drawn.iter().filter_map(|group| counts.get(*group)) {
                group.iter().for_each(|(class, counts)| sums[*class].add(counts));
            }
            Some(Averages::of(&sums, averaged).f1)
        });
        // Labels are never empty.
        let accuracy = accuracy.ok_or(Error::Empty("no item is labelled"))?;
        Ok(ClassificationIntervals { accuracy, macro_f1: macro_f1.filter(|_| counts.len() > 1) })
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.gold.iter().copied().zip(self.predicted.iter().copied())
    }

    fn counts(&self, pairs: impl Iterator<Item = (usize, usize)>) -> Vec<ClassCounts> {
        let mut counts = vec![ClassCounts::default(); self.names.len()];
        for (gold, predicted) in pairs {
            counts[gold].gold += 1;
            counts[predicted].predicted += 1;
            counts[gold].right += usize::from(gold == predicted);
        }
        counts
    }

    /// The classes that occur in each group.
    fn counts_by_group(&self, groups: &[&str]) -> Vec<Vec<(usize, ClassCounts)>> {
        let mut pairs: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
        for (group, pair) in groups.iter().zip(self.pairs()) {
            pairs.entry(group).or_default().push(pair);
        }
        let of_group = |pairs: Vec<(usize, usize)>| {
            let counts = self.counts(pairs.into_iter()).into_iter().enumerate();
            counts.filter(|(_, counts)| counts.occurs()).collect()
        };
        pairs.into_values().map(of_group).collect()
    }

    fn confusion(&self) -> Vec<Vec<usize>> {
        let mut confusion = vec![vec![0; self.names.len()]; self.names.len()];
        self.pairs().for_each(|(gold, predicted)| confusion[gold][predicted] += 1);
        confusion
    }
}

/// How good predictions are. All shares lie between 0 and 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// Items that were predicted.
    pub items: usize,
    /// Share of right predictions.
    pub accuracy: f64,
    /// F1 of all classes' counts together: the accuracy, as each item has one label.
    pub micro_f1: f64,
    /// Mean of the classes' precision.
    pub macro_precision: f64,
    /// Mean of the classes' recall.
    pub macro_recall: f64,
    /// Mean of the classes' F1.
    pub macro_f1: f64,
    /// Mean of the classes' F1, weighted by their support.
    pub weighted_f1: f64,
    /// Matthews' correlation of labels and predictions, -1 to 1; 0 where either is always the same.
    pub matthews: f64,
    /// Cohen's kappa of labels and predictions. `None` where both are always the same.
    pub cohen_kappa: Option<f64>,
    /// One in so many classes.
    pub chance: f64,
    /// What always naming the most frequent class would give.
    pub majority: f64,
    /// By class, as named.
    pub classes: Vec<ClassReport>,
    /// `[true class, predicted class]`: items.
    pub confusion: Vec<Vec<usize>>,
}

/// How good the predictions of one class are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Right among those predicted; 0 if none is.
    pub precision: f64,
    /// Right among those that are; 0 if none is.
    pub recall: f64,
    /// Harmonic mean of the two; 0 if the class neither occurs nor is predicted.
    pub f1: f64,
    /// Items of the class.
    pub support: usize,
}

/// How good predictions are, and how far that can be trusted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupedReport {
    /// How good they are.
    #[serde(flatten)]
    pub report: ClassificationReport,
    /// Groups (conversations) that the items belong to.
    pub groups: usize,
    /// 95 % intervals by bootstrap over the groups.
    pub intervals: ClassificationIntervals,
}

/// Intervals by group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassificationIntervals {
    /// Of the accuracy.
    pub accuracy: Interval,
    /// Of the macro-F1; none where there is one group only.
    pub macro_f1: Option<Estimate>,
}

/// What one class's scores are computed from.
#[derive(Debug, Clone, Copy, Default)]
struct ClassCounts {
    gold: usize,
    predicted: usize,
    right: usize,
}

impl ClassCounts {
    fn occurs(&self) -> bool {
        self.gold + self.predicted > 0
    }

    fn add(&mut self, other: &Self) {
        self.gold += other.gold;
        self.predicted += other.predicted;
        self.right += other.right;
    }

    fn precision(&self) -> f64 {
        share(self.right, self.predicted)
    }

    fn recall(&self) -> f64 {
        share(self.right, self.gold)
    }

    fn f1(&self) -> f64 {
        share(2 * self.right, self.gold + self.predicted)
    }

    fn report(&self, name: &str) -> ClassReport {
        let (precision, recall, f1) = (self.precision(), self.recall(), self.f1());
        ClassReport { name: name.to_owned(), precision, recall, f1, support: self.gold }
    }
}

/// Macro averages.
struct Averages {
    precision: f64,
    recall: f64,
    f1: f64,
}

impl Averages {
    fn of(counts: &[ClassCounts], averaged: Averaged) -> Self {
        let is_averaged = |counts: &&ClassCounts| averaged == Averaged::All || counts.occurs();
        let classes: Vec<&ClassCounts> = counts.iter().filter(is_averaged).collect();
        let mean =
            |of: fn(&ClassCounts) -> f64| classes.iter().map(|counts| of(counts)).sum::<f64>() / classes.len() as f64;
        Self { precision: mean(ClassCounts::precision), recall: mean(ClassCounts::recall), f1: mean(ClassCounts::f1) }
    }
}

/// Matthews' correlation for several classes (Gorodkin 2004): the covariance of labels and predictions, divided by the
/// geometric mean of their variances.
fn matthews(counts: &[ClassCounts]) -> f64 {
    let sum = |of: fn(&ClassCounts) -> f64| counts.iter().map(of).sum::<f64>();
    let items = sum(|counts| counts.gold as f64);
    let both = items * sum(|counts| counts.right as f64) - sum(|counts| counts.gold as f64 * counts.predicted as f64);
    let gold = items * items - sum(|counts| (counts.gold as f64).powi(2));
    let predicted = items * items - sum(|counts| (counts.predicted as f64).powi(2));
    if gold > 0.0 && predicted > 0.0 { both / (gold.sqrt() * predicted.sqrt()) } else { 0.0 }
}

/// Share of items whose true class is among the `k` with the highest scores; of equal scores the lower class comes
/// first. `scores` holds a row for each item, a score for each class.
///
/// # Errors
/// Lengths differ, there are no items, `k` is 0, an item has no score for its true class, or a score is NaN.
pub fn top_k_accuracy<R: AsRef<[f64]>>(scores: &[R], gold: &[usize], k: usize) -> Result<f64, Error> {
    if scores.len() != gold.len() {
        return Err(Error::Lengths { what: "rows of scores and labels", left: scores.len(), right: gold.len() });
    }
    if gold.is_empty() {
        return Err(Error::Empty("no item is labelled"));
    }
    if k == 0 {
        return Err(Error::Setting("top-0 accuracy: k counts from 1".to_owned()));
    }
    let mut hits = 0;
    for (item, (row, gold)) in scores.iter().zip(gold).enumerate() {
        hits += usize::from(rank(row.as_ref(), *gold, item)? < k);
    }
    Ok(hits as f64 / gold.len() as f64)
}

/// How many classes come before the true one.
fn rank(scores: &[f64], gold: usize, item: usize) -> Result<usize, Error> {
    let undefined = |problem: String| Error::Undefined { metric: "top-k-accuracy", problem };
    if scores.iter().any(|score| score.is_nan()) {
        return Err(undefined(format!("item {item} has a score that is NaN")));
    }
    let Some(own) = scores.get(gold) else {
        return Err(undefined(format!("item {item} is of class {gold}, but has scores of {} only", scores.len())));
    };
    let is_before = |(class, score): &(usize, &f64)| *score > own || (*score == own && *class < gold);
    Ok(scores.iter().enumerate().filter(is_before).count())
}

/// Levenshtein's distance of two sequences (a dialogue's strategies, say), divided by the length of the longer one: 0
/// for equal ones and 1 for those that share nothing. Two empty ones are equal.
pub fn normalised_edit_distance<T: PartialEq>(first: &[T], second: &[T]) -> f64 {
    let mut row: Vec<usize> = (0..=second.len()).collect();
    for (number, one) in first.iter().enumerate() {
        // `diagonal` is the distance before either of the two items.
        let (mut diagonal, mut left) = (number, number + 1);
        for (other, above) in second.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(one != other);
            diagonal = *above;
            left = replaced.min(*above + 1).min(left + 1);
            *above = left;
        }
    }
    let distance = if second.is_empty() { first.len() } else { row.last().copied().unwrap_or(0) };
    share(distance, first.len().max(second.len()))
}
