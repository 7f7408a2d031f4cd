//! SRA of many responses: one row each, and groups with intervals by conversation.

use std::collections::BTreeMap;

use esc_metrics::correlation::pearson;
use esc_metrics::interval::{Interval, quantile};
use llm_runtime::{AttentionCapture, Selection};
use serde::Serialize;

use crate::adherence::scored_by;
use crate::error::Error;
use crate::record::ContinuationRecord;
use crate::sra::{SRA_PRESETS, SinkHandling, Sra, SraControls, SraOptions, sra, sra_controls};

/// The published analyses also look at the first so many layers only.
const FIRST_LAYERS: [usize; 4] = [1, 5, 10, 20];

/// SRA of one response.
#[derive(Debug, Clone, PartialEq)]
pub struct SraRow {
    /// What the run is called in tables.
    pub run: String,
    /// What the model is called in tables.
    pub model: String,
    /// Hash of the model (its name where it has no hash). The same request to two models has the same record id.
    pub made_by: String,
    /// The record's id.
    pub id: String,
    /// The example's id.
    pub example: String,
    /// The conversation.
    pub conversation: String,
    /// The supporter turn.
    pub turn: usize,
    /// The layout's name.
    pub layout: String,
    /// The strategy.
    pub strategy: String,
    /// SRA with the options asked for.
    pub sra: Sra,
    /// SRA of the strategy's name under every preset that the prompt has a span for.
    pub presets: BTreeMap<String, Sra>,
    /// The same measure beside the span.
    pub controls: SraControls,
    /// The same measure over the first so many layers only.
    pub first_layers: BTreeMap<usize, f64>,
}

impl SraRow {
    /// Measures one response; `run` and `model` are what tables call where it comes from.
    ///
    /// # Errors
    /// As [`sra`]; a preset whose span the prompt does not have is left out.
    pub fn new(
        run: &str,
        model: &str,
        record: &ContinuationRecord,
        capture: &AttentionCapture,
        options: &SraOptions,
    ) -> Result<Self, Error> {
        let value = |options: SraOptions| sra(capture, &options).ok();
        let preset = |name: &&str| Some(((*name).to_owned(), value(SraOptions::preset(name).ok()?)?));
        let first = |count: &usize| {
            let layers = Selection::Only(std::iter::once(0..*count).collect());
            Some((*count, value(SraOptions { layers, ..options.clone() })?.value))
        };
        Ok(Self {
            run: run.to_owned(),
            model: model.to_owned(),
            made_by: scored_by(&record.model),
            id: record.id.clone(),
            example: record.example.clone(),
            conversation: record.conversation.clone(),
            turn: record.turn,
            layout: record.layout.name().to_owned(),
            strategy: record.strategy.clone(),
            sra: sra(capture, options)?,
            presets: SRA_PRESETS.iter().filter_map(preset).collect(),
            controls: sra_controls(capture, options)?,
            first_layers: FIRST_LAYERS.iter().filter_map(first).collect(),
        })
    }
}

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupBy {
    /// Run.
    Run,
    /// Model.
    Model,
    /// Layout.
    Layout,
    /// Strategy.
    Strategy,
    /// Supporter turn.
    Turn,
}

impl GroupBy {
    /// The group that a row belongs to. Turns sort as numbers.
    pub fn of(self, row: &SraRow) -> String {
        match self {
            Self::Run => row.run.clone(),
            Self::Model => row.model.clone(),
            Self::Layout => row.layout.clone(),
            Self::Strategy => row.strategy.clone(),
            Self::Turn => format!("{:>3}", row.turn),
        }
    }
}

/// SRA of a group of responses, with intervals by conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SraGroup {
    /// SRA.
    pub value: Interval,
    /// Natural logarithm of SRA; responses with SRA 0 are left out.
    pub log_value: Option<Interval>,
    /// Mass on the whole span.
    pub mass: Interval,
    /// Ratio to a uniform row.
    pub uniform_ratio: Interval,
    /// SRA minus the mean of the controls beside the span, of the responses that have one.
    pub above_control: Option<Interval>,
    /// Smallest, lower quartile, median, upper quartile, largest SRA.
    pub quartiles: [f64; 5],
}

/// Groups rows by the values of several columns.
pub fn group_sra(rows: &[SraRow], by: &[GroupBy]) -> BTreeMap<Vec<String>, SraGroup> {
    let mut groups: BTreeMap<Vec<String>, Vec<&SraRow>> = BTreeMap::new();
    for row in rows {
        groups.entry(by.iter().map(|by| by.of(row)).collect()).or_default().push(row);
    }
    groups.into_iter().filter_map(|(key, rows)| Some((key, summed_up(&rows)?))).collect()
}

fn summed_up(rows: &[&SraRow]) -> Option<SraGroup> {
    let over = |value: &dyn Fn(&SraRow) -> f64| {
        Interval::by_group(rows.iter().map(|row| (row.conversation.as_str(), value(row))))
    };
    let mut values: Vec<f64> = rows.iter().map(|row| row.sra.value).collect();
    values.sort_by(f64::total_cmp);
    Some(SraGroup {
        value: over(&|row| row.sra.value)?,
        log_value: over(&|row| row.sra.log_value),
        mass: over(&|row| row.sra.mass)?,
        uniform_ratio: over(&|row| row.sra.uniform_ratio)?,
        above_control: over(&|row| row.sra.value - row.controls.mean().unwrap_or(f64::NAN)),
        quartiles: [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| quantile(&values, share).unwrap_or(f64::NAN)),
    })
}

/// Pearson's correlation of log SRA with another value of the same responses: over all of them, and for every pair of
/// layouts between the differences of matched responses (same example and strategy).
///
/// A pooled correlation can be high only because layouts differ in both; within a pair that is taken away.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SraCorrelation {
    /// Over all responses.
    pub pooled: Option<f64>,
    /// Responses that have both values, and SRA above 0.
    pub responses: usize,
    /// For each pair of layouts.
    pub pairs: Vec<PairCorrelation>,
}

/// One pair of [`SraCorrelation`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairCorrelation {
    /// The two layouts.
    pub layouts: (String, String),
    /// Correlation of the differences.
    pub pearson: Option<f64>,
    /// Matched responses.
    pub matched: usize,
}

impl SraCorrelation {
    /// Correlates log SRA with `other`; rows that it has no value for are left out.
    pub fn new<'a>(rows: impl IntoIterator<Item = &'a SraRow>, other: &dyn Fn(&SraRow) -> Option<f64>) -> Self {
        let both = rows.into_iter().filter_map(|row| Some((row, (row.sra.log_value, other(row)?))));
        let is_finite = |values: &(f64, f64)| values.0.is_finite() && values.1.is_finite();
        let both: Vec<(&SraRow, (f64, f64))> = both.filter(|(_, values)| is_finite(values)).collect();
        let mut layouts: Vec<&str> = both.iter().map(|(row, _)| row.layout.as_str()).collect();
        layouts.sort_unstable();
        layouts.dedup();
        let pairs = layouts
            .iter()
            .enumerate()
            .flat_map(|(at, left)| layouts[at + 1..].iter().map(|right| (*left, *right)).collect::<Vec<_>>());
        let pairs = pairs.map(|(left, right)| Self::of_pair(&both, left, right)).collect();
        let values: Vec<(f64, f64)> = both.iter().map(|(_, values)| *values).collect();
        Self { pooled: pearson(&values), responses: values.len(), pairs }
    }

    fn of_pair(both: &[(&SraRow, (f64, f64))], left: &str, right: &str) -> PairCorrelation {
        let of = |layout: &str| -> BTreeMap<(&str, &str, &str), (f64, f64)> {
            let rows = both.iter().filter(|(row, _)| row.layout == layout);
            rows.map(|(row, values)| ((row.model.as_str(), row.example.as_str(), row.strategy.as_str()), *values))
                .collect()
        };
        let right_values = of(right);
        let differences: Vec<(f64, f64)> = of(left)
            .into_iter()
            .filter_map(|(key, (sra, other))| {
                let (right_sra, right_other) = right_values.get(&key)?;
                Some((sra - right_sra, other - right_other))
            })
            .collect();
        PairCorrelation {
            layouts: (left.to_owned(), right.to_owned()),
            pearson: pearson(&differences),
            matched: differences.len(),
        }
    }
}

/// How a table would look under other presets.
///
/// One switch after the other leads from `ours` to each preset, so that the share of every choice is seen.
pub fn audit_steps(preset: &str) -> Result<Vec<(String, SraOptions)>, Error> {
    let target = SraOptions::preset(preset)?;
    let mut at = SraOptions::ours();
    let mut steps = vec![("ours".to_owned(), at.clone())];
    let mut step = |name: String, at: &SraOptions| steps.push((name, at.clone()));
    if at.sink != target.sink {
        at.sink = target.sink;
        step(
            match target.sink {
                SinkHandling::Keep => "sinks kept, nothing renormalised",
                SinkHandling::DropFirst => "only position 0 dropped",
                SinkHandling::DropAll => "all sinks dropped",
            }
            .to_owned(),
            &at,
        );
    }
    if at.span != target.span {
        at.span.clone_from(&target.span);
        step(format!("span {}", target.span), &at);
    }
    if at.span_end != target.span_end {
        at.span_end = target.span_end;
        step("last token of the span left out".to_owned(), &at);
    }
    if at.rows != target.rows {
        at.rows = target.rows;
        step("first new token only".to_owned(), &at);
    }
    Ok(steps)
}
