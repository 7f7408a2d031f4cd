//! `sra attention`: strategy-relevant attention of captured runs, by layout, strategy and turn.

use std::collections::BTreeMap;
use std::process::ExitCode;

use command_line::{Failure, Format, output_place};
use esc_metrics::interval::Interval;
use serde::Serialize;
use strategy_prompting::{
    ADHERENCE_ROWS, GroupBy, ModelNames, SraCorrelation, SraGroup, SraOptions, SraRow, group_sra, read_rows,
};

use crate::adherence::{counted, written};
use crate::attention_arguments::Attention;
use crate::captured::{CapturedRuns, Reading, Skipped, SkippedLine};
use crate::measured_span::MeasuredSpan;
use crate::{attention_figures, attention_tables};

pub(crate) fn run(options: &Attention, format: Format) -> Result<ExitCode, Failure> {
    let measure = options.measure.options()?;
    if let Some(out) = &options.out {
        output_place::check_folder(out)?;
    }
    let runs = CapturedRuns::open(&options.runs)?;
    let reading = if measure.wants_rows() { Reading::Rows } else { Reading::Sums };
    let (mut rows, mut skipped) = (Vec::new(), Skipped::default());
    runs.for_each(reading, &mut |source, record, capture| {
        let row = SraRow::new(source.run, source.model, record, capture, &measure);
        rows.extend(skipped.keep(source, record, row)?);
        Ok(())
    })?;
    if rows.is_empty() {
        return Err(skipped.everything());
    }
    let margins = Margins::read(options)?;
    let correlation = margins.correlation(&rows)?;
    if let Some(out) = &options.out {
        attention_tables::write(out, &rows, &measure, correlation.as_ref())?;
        attention_figures::write(out, &rows, &measure, &margins)?;
    }
    let told = Told { measure, rows, skipped, correlation };
    told.report(runs.models(), format)?;
    Ok(ExitCode::SUCCESS)
}

/// Adherence margins of responses.
pub(crate) struct Margins {
    /// By who made the response (nothing in rows of earlier versions) and the record's id.
    by_response: BTreeMap<(String, String), f64>,
    were_asked_for: bool,
}

impl Margins {
    fn read(options: &Attention) -> Result<Self, Failure> {
        let mut by_response = BTreeMap::new();
        for file in &options.adherence {
            let rows = read_rows(file, ADHERENCE_ROWS)?.into_iter();
            by_response.extend(rows.map(|row| ((row.made_by.clone(), row.id.clone()), row.margin())));
        }
        Ok(Self { by_response, were_asked_for: !options.adherence.is_empty() })
    }

    /// The margin of a measured response, if it was scored.
    pub(crate) fn of(&self, row: &SraRow) -> Option<f64> {
        let by = |made_by: &str| self.by_response.get(&(made_by.to_owned(), row.id.clone())).copied();
        by(&row.made_by).or_else(|| by(""))
    }

    fn correlation(&self, rows: &[SraRow]) -> Result<Option<Correlations>, Failure> {
        if !self.were_asked_for {
            return Ok(None);
        }
        if rows.iter().all(|row| self.of(row).is_none()) {
            return Err(Failure::work("--adherence: none of its rows is about a response of these runs"));
        }
        Ok(Some(Correlations::new(rows, self)))
    }
}

/// How SRA and adherence go together.
#[derive(Serialize)]
pub(crate) struct Correlations {
    /// Over all responses.
    #[serde(flatten)]
    all: SraCorrelation,
    /// By model, where there are several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<String, SraCorrelation>,
}

impl Correlations {
    fn new(rows: &[SraRow], margins: &Margins) -> Self {
        let over = |rows: &[&SraRow]| SraCorrelation::new(rows.iter().copied(), &|row| margins.of(row));
        let mut models: BTreeMap<String, Vec<&SraRow>> = BTreeMap::new();
        for row in rows {
            models.entry(row.model.clone()).or_default().push(row);
        }
        if models.len() == 1 {
            models.clear();
        }
        let models = models.into_iter().map(|(model, rows)| (model, over(&rows))).collect();
        Self { all: over(&rows.iter().collect::<Vec<_>>()), models }
    }
}

/// Tables and what they are grouped by.
const TABLES: [(&str, &[GroupBy]); 3] = [
    ("layout", &[GroupBy::Model, GroupBy::Layout]),
    ("strategy", &[GroupBy::Model, GroupBy::Layout, GroupBy::Strategy]),
    ("turn", &[GroupBy::Model, GroupBy::Layout, GroupBy::Turn]),
];

/// A table by its groups.
type Table = Vec<(Vec<String>, SraGroup)>;

/// What the command tells.
struct Told {
    measure: SraOptions,
    rows: Vec<SraRow>,
    skipped: Skipped,
    correlation: Option<Correlations>,
}

#[derive(Serialize)]
struct Json<'a> {
    options: &'a SraOptions,
    groups: BTreeMap<&'static str, Vec<JsonGroup>>,
    skipped: Vec<SkippedLine>,
    correlation: Option<&'a Correlations>,
}

#[derive(Serialize)]
struct JsonGroup {
    key: Vec<String>,
    #[serde(flatten)]
    group: SraGroup,
}

impl Told {
    fn report(&self, models: &ModelNames, format: Format) -> Result<(), Failure> {
        match format {
            Format::Json => self.print_json(),
            Format::Text => {
                self.print(models);
                Ok(())
            }
        }
    }

    fn tables(&self) -> Vec<(&'static str, Table)> {
        let trimmed = |key: Vec<String>| key.iter().map(|part| part.trim().to_owned()).collect();
        let table = |by| group_sra(&self.rows, by).into_iter().map(|(key, group)| (trimmed(key), group)).collect();
        TABLES.iter().map(|(name, by)| (*name, table(by))).collect()
    }

    fn print_json(&self) -> Result<(), Failure> {
        let groups = |table: Table| table.into_iter().map(|(key, group)| JsonGroup { key, group }).collect();
        command_line::print_json(&Json {
            options: &self.measure,
            groups: self.tables().into_iter().map(|(name, table)| (name, groups(table))).collect(),
            skipped: self.skipped.lines(),
            correlation: self.correlation.as_ref(),
        })?;
        Ok(())
    }

    fn print(&self, models: &ModelNames) {
        let span = MeasuredSpan::of(&self.measure);
        let responses = counted(self.rows.len(), "response");
        println!("{} of {responses}; 95 % intervals by conversation", span.title());
        println!("measured as: {}", serde_json::to_string(&self.measure).unwrap_or_default());
        self.skipped.told(models).iter().for_each(|line| println!("{line}"));
        let tables = self.tables();
        if tables.iter().flat_map(|(_, table)| table).any(|(_, group)| group.value.ends().is_none()) {
            println!("[–]: one conversation alone gives no interval");
        }
        for (name, table) in tables {
            println!("\nby {name}");
            print_table(&span, table, models);
        }
        for reason in self.missing_controls() {
            println!("\n{reason}");
        }
        if let Some(correlation) = &self.correlation {
            print_correlations(correlation, &span);
        }
    }

    /// Why responses have no controls, where there are such.
    fn missing_controls(&self) -> Vec<String> {
        let label = &self.measure.span;
        let alone = self.rows.iter().filter(|row| row.controls.mean().is_none());
        let (without_rows, without_room): (Vec<&SraRow>, Vec<&SraRow>) = alone.partition(|row| row.controls.needs_rows);
        let level = if self.measure.heads == llm_runtime::Selection::All { "layers" } else { "full" };
        let reasons = [
            (
                without_rows.len(),
                format!(
                    "beside `{label}` they are added up from whole rows, which were not kept: capture with --attention {level}"
                ),
            ),
            (without_room.len(), format!("beside `{label}` the prompt has fewer tokens than it, or sinks")),
        ];
        let told = reasons.into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, reason)| format!("no controls for {} ({reason})", counted(count, "response"))).collect()
    }
}

fn print_table(span: &MeasuredSpan, table: Table, models: &ModelNames) {
    // A single model is not repeated in every line.
    let shown = |key: &[String]| key[usize::from(!models.are_several())..].join(" · ");
    let width = table.iter().map(|(key, _)| shown(key).chars().count()).max().unwrap_or(0);
    let [value, log] = span.columns();
    println!(
        "  {:<width$} {:>5}  {value:<32} {log:>8}  {:>7}  {:>9}  {:>10}",
        "", "n", "mass", "× uniform", "− control"
    );
    for (key, group) in table {
        print_group(&format!("{:<width$}", shown(&key)), &group);
    }
}

fn print_group(key: &str, group: &SraGroup) {
    let optional = |interval: &Option<Interval>, digits: usize| {
        interval.map_or_else(|| "–".to_owned(), |interval| format!("{:.digits$}", interval.mean))
    };
    println!(
        "  {key} {:>5}  {:<32} {:>8}  {:>7.4}  {:>9.3}  {:>10}",
        group.value.values,
        written(&group.value, 1.0, 6),
        optional(&group.log_value, 4),
        group.mass.mean,
        group.uniform_ratio.mean,
        optional(&group.above_control, 6),
    );
}

fn print_correlations(correlations: &Correlations, span: &MeasuredSpan) {
    let [_, log] = span.columns();
    println!("\nPearson's correlation of {log} and adherence margin");
    let Correlations { all, models } = correlations;
    if models.is_empty() {
        return print_correlation(all);
    }
    println!("  pooled over models: {}", pooled(all));
    for (model, correlation) in models {
        println!(" {model}");
        print_correlation(correlation);
    }
}

fn print_correlation(correlation: &SraCorrelation) {
    println!("  pooled: {}", pooled(correlation));
    for pair in &correlation.pairs {
        let (left, right) = &pair.layouts;
        println!(
            "  {left} − {right}, differences: {} ({} matched)",
            coefficient(pair.pearson),
            counted(pair.matched, "response")
        );
    }
}

fn pooled(correlation: &SraCorrelation) -> String {
    format!("{} ({})", coefficient(correlation.pooled), counted(correlation.responses, "response"))
}

fn coefficient(value: Option<f64>) -> String {
    value.map_or_else(|| "not defined".to_owned(), |value| format!("{value:+.3}"))
}
