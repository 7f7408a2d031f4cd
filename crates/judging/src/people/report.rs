//! What preferences say: how well annotators agree, who wins, and whether a number of the answers goes along.

use std::collections::BTreeMap;

use esc_metrics::agreement::{MeasurementLevel, Ratings};
use esc_metrics::correlation::{pearson, within_percentiles};
use esc_metrics::judge::{JudgeReport, Winner};
use serde::Serialize;

use super::export::{Preference, by_task};
use crate::error::Error;

/// What preferences say. Shares and correlations are of single annotations, as published.
#[derive(Debug, Clone, Serialize)]
pub struct PreferenceReport {
    /// Tasks.
    pub tasks: usize,
    /// Annotations.
    pub annotations: usize,
    /// Krippendorff's alpha of the preferences as interval values; absent where no task has two annotators.
    pub alpha_interval: Option<f64>,
    /// The same on ordinal values.
    pub alpha_ordinal: Option<f64>,
    /// How often each system was preferred among all annotations it took part in; ties count against it.
    pub systems: BTreeMap<String, JudgeReport>,
    /// The first of two systems (in the order of their names) against the second.
    pub pairs: BTreeMap<String, PairReport>,
    /// Correlations over all annotations, by annotator.
    pub pooled: BTreeMap<String, ValueCorrelation>,
}

/// Two systems against each other.
#[derive(Debug, Clone, Serialize)]
pub struct PairReport {
    /// How the first did.
    pub judged: JudgeReport,
    /// Correlation of preference and difference of values, both towards the second system.
    pub correlation: Option<f64>,
}

/// How preferences go along with differences of the answers' values (right minus left).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValueCorrelation {
    /// Annotations with values.
    pub annotations: usize,
    /// Pearson's correlation.
    pub pearson: Option<f64>,
}

/// The preferences whose differences of values lie within the 1st and 99th percentile of all, as the published comparison keeps them; those without values
/// are left out.
pub fn within_usual_differences(preferences: &[Preference]) -> Vec<Preference> {
    let rows: Vec<(&Preference, f64)> = preferences.iter().filter_map(|row| Some((row, difference(row)?))).collect();
    let differences: Vec<f64> = rows.iter().map(|(_, difference)| *difference).collect();
    let kept = within_percentiles(&differences, 0.01, 0.99);
    rows.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|((row, _), _)| row.clone()).collect()
}

fn difference(preference: &Preference) -> Option<f64> {
    preference.values.map(|[left, right]| right - left)
}

impl PreferenceReport {
    /// Sums preferences up.
    ///
    /// # Errors
    /// There are none.
    pub fn new(preferences: &[Preference]) -> Result<Self, Error> {
        let table = by_task(preferences);
        let ratings = Ratings::new(&table);
        let alpha = |level| ratings.as_ref().ok().and_then(|ratings| ratings.krippendorff(level).ok());
        Ok(Self {
            tasks: table.len(),
            annotations: preferences.len(),
            alpha_interval: alpha(MeasurementLevel::Interval),
            alpha_ordinal: alpha(MeasurementLevel::Ordinal),
            systems: systems(preferences)?,
            pairs: pairs(preferences)?,
            pooled: pooled(preferences),
        })
    }
}

fn systems(preferences: &[Preference]) -> Result<BTreeMap<String, JudgeReport>, Error> {
    let mut winners: BTreeMap<String, Vec<Option<Winner>>> = BTreeMap::new();
    for row in preferences {
        for side in 0..2 {
            winners.entry(row.systems[side].clone()).or_default().push(Some(winner(row.preference, side)));
        }
    }
    let report = |(system, winners): (String, Vec<Option<Winner>>)| Ok((system, JudgeReport::of_winners(winners)?));
    winners.into_iter().map(report).collect()
}

/// Who wins, seen from the system on a side.
fn winner(preference: i32, side: usize) -> Winner {
    let towards_right = preference.signum();
    match if side == 1 { towards_right } else { -towards_right } {
        1 => Winner::First,
        -1 => Winner::Second,
        _ => Winner::Tie,
    }
}

/// Who was preferred, and, where both answers have values, the difference of the values and the preference.
type Judged = (Winner, Option<(f64, f64)>);

fn pairs(preferences: &[Preference]) -> Result<BTreeMap<String, PairReport>, Error> {
    let mut pairs: BTreeMap<String, Vec<Judged>> = BTreeMap::new();
    for row in preferences {
        let flipped = row.systems[0] > row.systems[1];
        let [left, right] = &row.systems;
        let name = if flipped { format!("{right} – {left}") } else { format!("{left} – {right}") };
        let towards_second = if flipped { -1.0 } else { 1.0 };
        let point = row
            .values
            .map(|[left, right]| (towards_second * (right - left), towards_second * f64::from(row.preference)));
        pairs.entry(name).or_default().push((winner(row.preference, usize::from(flipped)), point));
    }
    let report = |(name, rows): (String, Vec<Judged>)| {
        let judged = JudgeReport::of_winners(rows.iter().map(|(winner, _)| Some(*winner)))?;
        let points: Vec<(f64, f64)> = rows.iter().filter_map(|(_, point)| *point).collect();
        Ok((name, PairReport { judged, correlation: pearson(&points) }))
    };
    pairs.into_iter().map(report).collect()
}

fn pooled(preferences: &[Preference]) -> BTreeMap<String, ValueCorrelation> {
    let mut points: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for row in preferences {
        if let Some(difference) = difference(row) {
            points.entry(row.annotator.clone()).or_default().push((difference, f64::from(row.preference)));
        }
    }
    let of = |points: Vec<(f64, f64)>| ValueCorrelation { annotations: points.len(), pearson: pearson(&points) };
    points.into_iter().map(|(annotator, points)| (annotator, of(points))).collect()
}
