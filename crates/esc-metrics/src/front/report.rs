//! What `score` prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::files::Row;
use crate::named::NamedMetric;
use crate::suite::{ComparedRow, ScoreRow, Scored};

/// What `score` found. Printed, it is a table.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// One system.
    Scores(ScoreReport),
    /// Two systems.
    Comparison(ComparisonReport),
    /// The list of metrics was asked for.
    Metrics(Vec<MetricRow>),
}

/// A metric that can be asked for.
#[derive(Debug, Serialize)]
pub struct MetricRow {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
}

impl From<&NamedMetric> for MetricRow {
    fn from(metric: &NamedMetric) -> Self {
        Self { name: metric.name, about: metric.about }
    }
}

/// The numbers of one system.
#[derive(Debug, Serialize)]
pub struct ScoreReport {
    /// Its file.
    pub system: String,
    /// The preset; `metrics` where single ones were asked for.
    pub suite: String,
    /// Responses.
    pub items: usize,
    /// What is drawn for intervals, e.g. `130 conversations`.
    pub units: String,
    /// How often; 0 where there are no intervals.
    pub resamples: usize,
    /// What numbers lack to be those of published programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The numbers.
    pub rows: Vec<ScoreRow>,
    /// The numbers of parts, where they were asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, Part>,
}

/// The numbers of some of the responses.
#[derive(Debug, Serialize)]
pub struct Part {
    /// Responses.
    pub items: usize,
    /// The numbers.
    pub rows: Vec<ScoreRow>,
}

/// Two systems beside each other.
#[derive(Debug, Serialize)]
pub struct ComparisonReport {
    /// Their files.
    pub systems: [String; 2],
    /// The preset; `metrics` where single ones were asked for.
    pub suite: String,
    /// Responses of each.
    pub items: usize,
    /// What is drawn and swapped, e.g. `130 conversations`.
    pub units: String,
    /// How often.
    pub resamples: usize,
    /// What numbers lack to be those of published programs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The numbers.
    pub rows: Vec<ComparedRow>,
}

/// What is drawn as a whole: conversations where every row names its own, else single responses.
pub(super) struct Units {
    of_rows: Vec<String>,
    are_conversations: bool,
}

impl Units {
    pub(super) fn of(rows: &[Row]) -> Self {
        let conversations: Option<Vec<String>> = rows.iter().map(Row::conversation).collect();
        let are_conversations = conversations.is_some();
        let single = || (0..rows.len()).map(|row| row.to_string()).collect();
        Self { of_rows: conversations.unwrap_or_else(single), are_conversations }
    }

    /// The unit of each row.
    pub(super) fn names(&self) -> Vec<&str> {
        self.of_rows.iter().map(String::as_str).collect()
    }

    pub(super) fn told(&self) -> String {
        let count = self.of_rows.iter().collect::<BTreeSet<_>>().len();
        let unit = if self.are_conversations { "conversation" } else { "response" };
        format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// What to know before numbers are laid beside published ones.
pub(super) fn notes(scored: &Scored) -> Vec<String> {
    let signatures: Vec<String> = scored.measured().iter().map(|measured| measured.metric.signature()).collect();
    let told = [
        (
            "meteor15-exact-stem",
            "METEOR without its synonyms and paraphrases, which published numbers have: name its folder with --meteor or \
             $SOLACE_METEOR",
        ),
        (
            "nltk-meteor-no-wordnet",
            "NLTK's METEOR without WordNet, which published numbers have: name its folder with --wordnet or $SOLACE_WORDNET",
        ),
        (
            ":own-punkt",
            "sentences are split by built-in rules, not by NLTK's tables: numbers may differ in the third digit; name NLTK's \
             data with --nltk-data or $NLTK_DATA",
        ),
    ];
    let has_full_meteor = signatures.iter().any(|signature| signature.starts_with("meteor15|"));
    let is_told = |mark: &str| {
        signatures.iter().any(|signature| signature.contains(mark))
            && !(has_full_meteor && mark.starts_with("meteor15"))
    };
    told.into_iter().filter(|(mark, _)| is_told(mark)).map(|(_, note)| note.to_owned()).collect()
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scores(report) => report.fmt(out),
            Self::Comparison(report) => report.fmt(out),
            Self::Metrics(rows) => rows.iter().try_for_each(|row| writeln!(out, "{:<22}  {}", row.name, row.about)),
        }
    }
}

impl fmt::Display for ScoreReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { system, suite, items, units, resamples, .. } = self;
        writeln!(out, "{system}: {items} responses, {suite}")?;
        if *resamples > 0 {
            writeln!(out, "95 % intervals by {resamples} resamples of {units}")?;
        }
        let width = width(self.rows.iter().map(|row| &row.name));
        for row in &self.rows {
            let interval = row.interval.map(|(low, high)| written_interval(low, high)).unwrap_or_default();
            let column = if *resamples > 0 { 20 } else { 0 };
            writeln!(out, "  {:<width$}  {:>8}  {interval:<column$}  {}", row.name, number(row.value), row.signature)?;
        }
        for (value, part) in &self.parts {
            writeln!(out, "\n{value}: {} responses", part.items)?;
            for row in &part.rows {
                writeln!(out, "  {:<width$}  {:>8}", row.name, number(row.value))?;
            }
        }
        write_notes(out, &self.notes)
    }
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { systems: [first, second], suite, items, units, resamples, .. } = self;
        writeln!(out, "A  {first}\nB  {second}")?;
        match resamples {
            0 => writeln!(out, "{items} responses each, {suite}\n")?,
            _ => writeln!(
                out,
                "{items} responses each, {suite}; {resamples} resamples and swaps of {units}\n\
                 p: share of resamples without A's lead (or B's); two-sided p of swapping A's and B's responses\n"
            )?,
        }
        let width = width(self.rows.iter().map(|row| &row.name));
        let head = ["A", "B", "A - B"];
        writeln!(
            out,
            "  {:<width$}  {:>8}  {:>8}  {:>8}  {:<20}  {:>6}  {:>6}  signature",
            "", head[0], head[1], head[2], "95 %", "p", "p"
        )?;
        for row in &self.rows {
            let [first, second, difference] = [row.first, row.second, row.first - row.second].map(number);
            write!(out, "  {:<width$}  {first:>8}  {second:>8}  {difference:>8}", row.name)?;
            let (interval, bootstrap, swaps) = match &row.comparison {
                Some(found) => {
                    let difference = found.bootstrap.difference;
                    let interval = written_interval(difference.low, difference.high);
                    (interval, format!("{:.4}", found.bootstrap.p), format!("{:.4}", found.randomisation.p))
                }
                None => ("not resampled".to_owned(), String::new(), String::new()),
            };
            writeln!(out, "  {interval:<20}  {bootstrap:>6}  {swaps:>6}  {}", row.signature)?;
        }
        write_notes(out, &self.notes)
    }
}

fn write_notes(out: &mut fmt::Formatter<'_>, notes: &[String]) -> fmt::Result {
    notes.iter().try_for_each(|note| writeln!(out, "\nnote: {note}"))
}

fn width<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0)
}

fn written_interval(low: f64, high: f64) -> String {
    format!("[{}, {}]", number(low), number(high))
}

/// Four places below ten, two above.
fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "none".to_owned(),
        10.0.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
