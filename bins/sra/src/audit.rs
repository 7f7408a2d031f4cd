//! `sra audit`: one table of SRA under every preset, and what each choice changes.

use std::collections::BTreeMap;
use std::process::ExitCode;

use charts::csv_field;
use command_line::{Failure, Format, output_place};
use esc_metrics::interval::Interval;
use llm_runtime::output_file;
use serde::Serialize;
use strategy_prompting::{Error, SRA_PRESETS, SraOptions, audit_steps, sra};

use crate::adherence::written;
use crate::attention_arguments::Audit;
use crate::captured::{CapturedRuns, Reading, Skipped};

/// The presets that [`SRA_PRESETS`] compares with the default.
const PUBLISHED: [&str; 3] = ["paper", "reference-prompting", "reference-eval"];

pub(crate) fn run(options: &Audit, format: Format) -> Result<ExitCode, Failure> {
    let columns = columns()?;
    if let Some(out) = &options.out {
        output_place::check_file(out)?;
    }
    let runs = CapturedRuns::open(&options.runs)?;
    let (mut found, mut skipped): (BTreeMap<Group, Vec<Measured>>, _) = (BTreeMap::new(), Skipped::default());
    runs.for_each(Reading::Sums, &mut |source, record, capture| {
        let values: Result<Vec<f64>, Error> =
            columns.iter().map(|column| Ok(sra(capture, &column.options)?.value)).collect();
        if let Some(values) = skipped.keep(source, record, values)? {
            let group = Group { model: source.model.to_owned(), layout: source.layout.to_owned() };
            found.entry(group).or_default().push(Measured { conversation: record.conversation.clone(), values });
        }
        Ok(())
    })?;
    if found.is_empty() {
        return Err(skipped.everything());
    }
    for line in skipped.told(runs.models()) {
        tracing::warn!("{line}");
    }
    let table = table(&columns, &found);
    if let Some(out) = &options.out {
        output_file::write(out, csv(&table)).map_err(Failure::at(out))?;
    }
    match format {
        Format::Json => command_line::print_json(&table)?,
        Format::Text => print(&table, runs.models().are_several()),
    }
    Ok(ExitCode::SUCCESS)
}

/// What is measured together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Group {
    model: String,
    layout: String,
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

/// One line of the table: a model and layout measured one way.
#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    group: Group,
    preset: &'static str,
    step: String,
    value: Interval,
    /// Mean over the mean of `ours`.
    ratio: f64,
    /// Place of the layout among all of the model, from the largest SRA.
    rank: usize,
}

fn table(columns: &[Column], found: &BTreeMap<Group, Vec<Measured>>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, column) in columns.iter().enumerate() {
        let over = |measured: &[Measured], number: usize| {
            Interval::by_group(measured.iter().map(|one| (one.conversation.as_str(), one.values[number])))
        };
        let means: Vec<(&Group, Interval, f64)> = found
            .iter()
            .filter_map(|(group, measured)| Some((group, over(measured, number)?, over(measured, 0)?.mean)))
            .collect();
        for (group, value, ours) in &means {
            let is_above = |other: &Group, mean: f64| other.model == group.model && mean > value.mean;
            lines.push(Line {
                group: (*group).clone(),
                preset: column.preset,
                step: column.step.clone(),
                value: *value,
                ratio: value.mean / ours,
                rank: 1 + means.iter().filter(|(other, value, _)| is_above(other, value.mean)).count(),
            });
        }
    }
    lines
}

fn print(table: &[Line], names_models: bool) {
    println!("mean SRA under every preset; steps lead from `ours` to each preset, one choice at a time");
    let shown = |Group { model, layout }: &Group| match names_models {
        true => format!("{model} · {layout}"),
        false => layout.clone(),
    };
    let width = table.iter().map(|line| shown(&line.group).chars().count()).max().unwrap_or(0);
    let group = if names_models { "model · layout" } else { "layout" };
    let width = width.max(group.chars().count());
    println!(
        "{:<20} {:<36} {group:<width$} {:<32} {:>7}  rank",
        "preset", "choice", "SRA [95 % by conversation]", "÷ ours"
    );
    for line in table {
        println!(
            "{:<20} {:<36} {:<width$} {:<32} {:>7.3}  {:>4}",
            line.preset,
            line.step,
            shown(&line.group),
            written(&line.value, 1.0, 6),
            line.ratio,
            line.rank
        );
    }
    if table.iter().any(|line| line.value.ends().is_none()) {
        println!("[–]: one conversation alone gives no interval");
    }
}

fn csv(table: &[Line]) -> String {
    let mut text = "preset,choice,model,layout,sra,low,high,responses,ratio_to_ours,rank\n".to_owned();
    let end = |end: Option<f64>| end.map(|end| end.to_string()).unwrap_or_default();
    for Line { group: Group { model, layout }, preset, step, value, ratio, rank } in table {
        let Interval { mean, low, high, values, .. } = value;
        let (model, low, high) = (csv_field(model), end(*low), end(*high));
        text += &format!("{preset},\"{step}\",{model},{layout},{mean},{low},{high},{values},{ratio},{rank}\n");
    }
    text
}
