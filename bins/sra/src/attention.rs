//! `sra attention`: strategy-relevant attention of captured runs, by layout, strategy and turn.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;
use strategy_prompting::{
    ADHERENCE_ROWS, GroupBy, Interval, SraCorrelation, SraGroup, SraOptions, SraRow, group_sra, read_rows,
};

use crate::arguments::Format;
use crate::attention_arguments::Attention;
use crate::failure::Failure;
use crate::{attention_figures, attention_tables, captured};

pub(crate) fn run(options: &Attention, format: Format) -> Result<ExitCode, Failure> {
    let measure = options.measure.options()?;
    let mut rows = Vec::new();
    captured::for_each(&options.runs, &mut |run, record, capture| {
        let row = SraRow::new(run, record, capture, &measure);
        rows.push(row.map_err(|error| Failure::work(format!("record {}: {error}", record.id)))?);
        Ok(())
    })?;
    if rows.is_empty() {
        return Err(Failure::work("no response of these runs was asked for a strategy"));
    }
    let margins = margins(options)?;
    let correlation = (!margins.is_empty()).then(|| SraCorrelation::new(&rows, &margins));
    if let Some(out) = &options.out {
        attention_tables::write(out, &rows, &measure, correlation.as_ref())?;
        attention_figures::write(out, &rows, &margins)?;
    }
    report(&rows, &measure, correlation.as_ref(), format)?;
    Ok(ExitCode::SUCCESS)
}

/// Adherence margins by record id.
fn margins(options: &Attention) -> Result<BTreeMap<String, f64>, Failure> {
    let mut margins = BTreeMap::new();
    for file in &options.adherence {
        margins.extend(read_rows(file, ADHERENCE_ROWS)?.into_iter().map(|row| (row.id.clone(), row.margin())));
    }
    Ok(margins)
}

#[derive(Serialize)]
struct Told<'a> {
    options: &'a SraOptions,
    groups: BTreeMap<&'static str, Vec<Group>>,
    correlation: Option<&'a SraCorrelation>,
}

#[derive(Serialize)]
struct Group {
    key: Vec<String>,
    #[serde(flatten)]
    group: SraGroup,
}

/// Tables and what they are grouped by.
const TABLES: [(&str, &[GroupBy]); 3] = [
    ("layout", &[GroupBy::Model, GroupBy::Layout]),
    ("strategy", &[GroupBy::Layout, GroupBy::Strategy]),
    ("turn", &[GroupBy::Layout, GroupBy::Turn]),
];

fn report(
    rows: &[SraRow],
    measure: &SraOptions,
    correlation: Option<&SraCorrelation>,
    format: Format,
) -> Result<(), Failure> {
    if format == Format::Json {
        let groups = TABLES.iter().map(|(name, by)| {
            let groups = group_sra(rows, by).into_iter().map(|(key, group)| Group { key, group }).collect();
            (*name, groups)
        });
        return crate::export::print_json(&Told { options: measure, groups: groups.collect(), correlation });
    }
    println!("SRA of {} responses; 95 % intervals by conversation", rows.len());
    println!("measured as: {}", described(measure));
    for (name, by) in TABLES {
        println!("\nby {name}");
        println!(
            "  {:<42} {:>5}  {:<32} {:>8}  {:>7}  {:>9}  {:>10}",
            "", "n", "SRA", "log SRA", "mass", "× uniform", "− control"
        );
        for (key, group) in group_sra(rows, by) {
            print_group(&key.join(" · "), &group);
        }
    }
    if let Some(correlation) = correlation {
        print_correlation(correlation);
    }
    Ok(())
}

/// The choices behind a number, in one line.
pub(crate) fn described(options: &SraOptions) -> String {
    serde_json::to_string(options).unwrap_or_default()
}

fn print_group(key: &str, group: &SraGroup) {
    let optional = |interval: &Option<Interval>, digits: usize| {
        interval.map_or_else(|| "-".to_owned(), |interval| format!("{:.digits$}", interval.mean))
    };
    println!(
        "  {key:<42} {:>5}  {:<32} {:>8}  {:>7.4}  {:>9.3}  {:>10}",
        group.value.values,
        crate::adherence::written(&group.value, 1.0, 6),
        optional(&group.log_value, 4),
        group.mass.mean,
        group.uniform_ratio.mean,
        optional(&group.above_control, 6),
    );
}

fn print_correlation(correlation: &SraCorrelation) {
    let written = |value: Option<f64>| value.map_or_else(|| "not defined".to_owned(), |value| format!("{value:+.3}"));
    println!("\nPearson's correlation of log SRA and adherence margin");
    println!("  pooled over {} responses: {}", correlation.responses, written(correlation.pooled));
    for pair in &correlation.pairs {
        println!(
            "  within {} − {}: {}  ({} matched responses)",
            pair.layouts.0,
            pair.layouts.1,
            written(pair.pearson),
            pair.matched
        );
    }
}
