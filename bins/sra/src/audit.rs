//! `sra audit`: one table of SRA under every preset, and what each choice changes.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;
use strategy_prompting::{ContinuationRecord, Interval, SRA_PRESETS, SraOptions, audit_steps, sra};

use crate::arguments::Format;
use crate::attention_arguments::Audit;
use crate::captured;
use crate::failure::Failure;

/// The presets that [`SRA_PRESETS`] compares with the default.
const PUBLISHED: [&str; 3] = ["paper", "reference-prompting", "reference-eval"];

pub(crate) fn run(options: &Audit, format: Format) -> Result<ExitCode, Failure> {
    let columns = columns()?;
    let mut found: BTreeMap<String, Vec<Measured>> = BTreeMap::new();
    captured::for_each(&options.runs, &mut |_, record, capture| {
        let values = columns
            .iter()
            .map(|column| sra(capture, &column.options).map(|found| found.value))
            .collect::<Result<Vec<f64>, _>>()
            .map_err(|error| Failure::work(format!("record {}: {error}", record.id)))?;
        found.entry(record.layout.name().to_owned()).or_default().push(Measured::new(record, values));
        Ok(())
    })?;
    if found.is_empty() {
        return Err(Failure::work("no response of these runs was asked for a strategy"));
    }
    let table = table(&columns, &found);
    if let Some(out) = &options.out {
        std::fs::write(out, csv(&table)).map_err(|error| Failure::work(format!("{}: {error}", out.display())))?;
    }
    match format {
        Format::Json => crate::export::print_json(&table)?,
        Format::Text => print(&table),
    }
    Ok(ExitCode::SUCCESS)
}

/// One way to measure.
struct Column {
    preset: &'static str,
    step: String,
    options: SraOptions,
}

/// Every preset, reached from `ours` one choice at a time.
fn columns() -> Result<Vec<Column>, Failure> {
    let mut columns = vec![Column { preset: SRA_PRESETS[0], step: "ours".into(), options: SraOptions::ours() }];
    for preset in PUBLISHED {
        let steps = audit_steps(preset)?.into_iter().skip(1);
        columns.extend(steps.map(|(step, options)| Column { preset, step, options }));
    }
    Ok(columns)
}

struct Measured {
    conversation: String,
    values: Vec<f64>,
}

impl Measured {
    fn new(record: &ContinuationRecord, values: Vec<f64>) -> Self {
        Self { conversation: record.conversation.clone(), values }
    }
}

/// One line of the table: a layout measured one way.
#[derive(Serialize)]
struct Line {
    layout: String,
    preset: &'static str,
    step: String,
    value: Interval,
    /// Mean over the mean of `ours`.
    ratio: f64,
    /// Place of the layout among all, from the largest SRA.
    rank: usize,
}

fn table(columns: &[Column], found: &BTreeMap<String, Vec<Measured>>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, column) in columns.iter().enumerate() {
        let over = |measured: &[Measured], number: usize| {
            Interval::by_group(measured.iter().map(|one| (one.conversation.as_str(), one.values[number])))
        };
        let means: Vec<(&String, Interval, f64)> = found
            .iter()
            .filter_map(|(layout, measured)| Some((layout, over(measured, number)?, over(measured, 0)?.mean)))
            .collect();
        for (layout, value, ours) in &means {
            let rank = 1 + means.iter().filter(|(_, other, _)| other.mean > value.mean).count();
            lines.push(Line {
                layout: (*layout).clone(),
                preset: column.preset,
                step: column.step.clone(),
                value: *value,
                ratio: value.mean / ours,
                rank,
            });
        }
    }
    lines
}

fn print(table: &[Line]) {
    println!("mean SRA under every preset; steps lead from `ours` to each preset, one choice at a time");
    println!(
        "{:<20} {:<36} {:<9} {:<32} {:>7}  rank",
        "preset", "choice", "layout", "SRA [95 % by conversation]", "÷ ours"
    );
    for line in table {
        println!(
            "{:<20} {:<36} {:<9} {:<32} {:>7.3}  {:>4}",
            line.preset,
            line.step,
            line.layout,
            crate::adherence::written(&line.value, 1.0, 6),
            line.ratio,
            line.rank
        );
    }
}

fn csv(table: &[Line]) -> String {
    let mut text = "preset,choice,layout,sra,low,high,responses,ratio_to_ours,rank\n".to_owned();
    for Line { layout, preset, step, value, ratio, rank } in table {
        let Interval { mean, low, high, values, .. } = value;
        text += &format!("{preset},\"{step}\",{layout},{mean},{low},{high},{values},{ratio},{rank}\n");
    }
    text
}
