//! What `score` prints.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::named::METRICS;
use crate::suite::{ComparedRow, ScoreRow};

/// What `score` found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// One system.
    Scores(ScoreReport),
    /// Two systems.
    Comparison(ComparisonReport),
    /// The list of metrics was asked for.
    Metrics,
}

/// The numbers of one system. Printed, it is a table.
#[derive(Debug, Serialize)]
pub struct ScoreReport {
    /// The preset.
    pub suite: String,
    /// Responses.
    pub items: usize,
    /// The numbers.
    pub rows: Vec<ScoreRow>,
    /// Responses and numbers of parts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, (usize, Vec<ScoreRow>)>,
}

/// Two systems beside each other. Printed, it is a table.
#[derive(Debug, Serialize)]
pub struct ComparisonReport {
    /// Their files.
    pub systems: [String; 2],
    /// Responses of each.
    pub items: usize,
    /// The numbers.
    pub rows: Vec<ComparedRow>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scores(report) => report.fmt(out),
            Self::Comparison(report) => report.fmt(out),
            Self::Metrics => METRICS.iter().try_for_each(|metric| writeln!(out, "{:<24}{}", metric.name, metric.about)),
        }
    }
}

impl fmt::Display for ScoreReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} responses, preset {}", self.items, self.suite)?;
        let width = width(self.rows.iter().map(|row| &row.name));
        for row in &self.rows {
            let interval = row.interval.map(|(low, high)| format!("[{}, {}]", number(low), number(high)));
            let interval = interval.unwrap_or_default();
            writeln!(out, "  {:<width$}  {:>9}  {interval:<22}  {}", row.name, number(row.value), row.signature)?;
        }
        for (label, (items, rows)) in &self.parts {
            writeln!(out, "\n{label}: {items} responses")?;
            for row in rows {
                writeln!(out, "  {:<width$}  {:>9}", row.name, number(row.value))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} responses\nA: {}\nB: {}", self.items, self.systems[0], self.systems[1])?;
        let width = width(self.rows.iter().map(|row| &row.name));
        writeln!(
            out,
            "  {:<width$}  {:>9}  {:>9}  {:>9}  {:<22}  p (bootstrap, swaps)",
            "", "A", "B", "A − B", "95 %"
        )?;
        for row in &self.rows {
            let (first, second) = (number(row.first), number(row.second));
            let difference = number(row.first - row.second);
            write!(out, "  {:<width$}  {first:>9}  {second:>9}  {difference:>9}", row.name)?;
            match &row.comparison {
                Some(comparison) => {
                    let found = comparison.bootstrap.difference;
                    let interval = format!("[{}, {}]", number(found.low), number(found.high));
                    let (bootstrap, swaps) = (comparison.bootstrap.p, comparison.randomisation.p);
                    writeln!(out, "  {interval:<22}  {bootstrap:.4}, {swaps:.4}")?;
                }
                None => writeln!(out)?,
            }
        }
        Ok(())
    }
}

fn width<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0)
}

/// Four significant digits or so: four places below ten, two above.
fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        10.0.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
