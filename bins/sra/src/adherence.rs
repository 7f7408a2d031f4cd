//! `sra adherence`: is a response likelier under its own strategy's prompt than under the others'?

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{AnyModel, Delivery, Failure, Format, Progress, interrupt, must_be_local, output_place};
use esc_metrics::interval::Interval;
use esconv_data::StrategySet;
use llm_runtime::{ModelIdentity, TextModel};
use strategy_prompting::{
    ADHERENCE_ROWS, AdherenceOptions, AdherenceRow, AdherenceSummary, CONTINUATIONS, ContinuationRecord, ModelNames,
    RowFile, RunManifest, StrategyText, TornLine, UNCONDITIONAL, is_scored, read_records, score_adherence, scored_by,
};

use crate::attention_arguments::Adherence;
use crate::runs::{Responses, nothing_to_measure, spread, warn_of_nothing};

pub(crate) fn run(options: &Adherence, format: Format) -> Result<ExitCode, Failure> {
    if options.attention {
        must_be_local(&options.model, "--attention looks into the model while it scores")?;
    }
    output_place::check_file(&options.out)?;
    let records = conditional_records(&options.runs, options.limit)?;
    let strategies = strategies(options.strategies.as_deref(), &options.runs)?;
    let mut model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    let mut file = RowFile::open(&options.out, options.resume, &scored_by(&model.identity()), ADHERENCE_ROWS)?;
    let pending: Vec<ContinuationRecord> = records.into_iter().filter(|record| !is_scored(&file, record)).collect();
    interrupt::listen();
    let total = file.rows().len() + pending.len();
    let mut bar = Progress::new("scoring", file.rows().len() as u64, total as u64);
    let settings = AdherenceOptions { attention: options.attention, ..AdherenceOptions::default() };
    score_adherence(&pending, &strategies, &mut model, &settings, &mut |row| {
        file.append(row)?;
        bar.set(file.rows().len() as u64);
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    bar.finish();
    report(file.rows(), format)?;
    Ok(if file.rows().len() < total { ExitCode::from(interrupt::EXIT_CODE) } else { ExitCode::SUCCESS })
}

/// Records that were asked for a strategy; with a limit, evenly spread over all and over the strategies.
pub(crate) fn conditional_records(runs: &[PathBuf], limit: Option<usize>) -> Result<Vec<ContinuationRecord>, Failure> {
    let mut records = Vec::new();
    let (mut empty, mut responses) = (Vec::new(), Responses::default());
    for run in runs {
        let before = records.len();
        for record in read_records(&records_file(run), TornLine::Skip)? {
            let record = record?;
            if record.strategy != UNCONDITIONAL && (record.new_tokens > 0 || !record.text.is_empty()) {
                responses.add(run, &record)?;
                records.push(record);
            }
        }
        if records.len() == before {
            empty.push(run.clone());
        }
    }
    if records.is_empty() {
        return Err(nothing_to_measure(runs));
    }
    warn_of_nothing(&empty)?;
    // The order of finishing differs between runs; the order of ids does not.
    records.sort_by(|left, right| left.id.cmp(&right.id));
    Ok(spread(records, limit, |record| &record.strategy))
}

/// A run folder's file of records, or the file itself.
pub(crate) fn records_file(run: &Path) -> PathBuf {
    if run.is_dir() { run.join(CONTINUATIONS) } else { run.to_owned() }
}

/// The strategies whose prompts are compared: those asked for, else the first run's.
pub(crate) fn strategies(set: Option<&str>, runs: &[PathBuf]) -> Result<Vec<StrategyText>, Failure> {
    if let Some(set) = set {
        let set = StrategySet::by_name_or_path(set)?;
        return Ok(set.strategies.iter().map(StrategyText::from).collect());
    }
    match runs.iter().find(|run| run.is_dir()) {
        Some(run) => Ok(RunManifest::read(run)?.strategies),
        None => Err(Failure::wrong_use("a file of records does not tell its strategy set: name it with --strategies")),
    }
}

fn report(rows: &[AdherenceRow], format: Format) -> Result<(), Failure> {
    let summaries = by_layout(rows);
    if format == Format::Json {
        return Ok(command_line::print_json(&summaries)?);
    }
    for (layout, summary) in &summaries {
        print_summary(layout, summary);
    }
    let mut by_model: BTreeMap<String, Vec<&AdherenceRow>> = BTreeMap::new();
    for (model, row) in models(rows).into_iter().zip(rows) {
        by_model.entry(model).or_default().push(row);
    }
    let are_several = by_model.len() > 1;
    for (model, rows) in by_model {
        if let Some(summary) = AdherenceSummary::of(rows) {
            println!();
            print_confusion(&summary, are_several.then_some(&model));
        }
    }
    Ok(())
}

/// Summaries by layout, in the order of their names; where several models made the responses, by model and layout.
pub(crate) fn by_layout(rows: &[AdherenceRow]) -> BTreeMap<String, AdherenceSummary> {
    let mut layouts: BTreeMap<String, Vec<&AdherenceRow>> = BTreeMap::new();
    for (group, row) in groups(rows).into_iter().zip(rows) {
        layouts.entry(group).or_default().push(row);
    }
    layouts.into_iter().filter_map(|(layout, rows)| Some((layout, AdherenceSummary::of(rows)?))).collect()
}

/// The group of each row.
pub(crate) fn groups(rows: &[AdherenceRow]) -> Vec<String> {
    let models = models(rows);
    let are_several = models.iter().any(|model| *model != models[0]);
    let group = |(row, model): (&AdherenceRow, String)| match are_several {
        true => format!("{model} · {}", row.layout),
        false => row.layout.clone(),
    };
    rows.iter().zip(models).map(group).collect()
}

/// What the model that made each row's response is called.
fn models(rows: &[AdherenceRow]) -> Vec<String> {
    let identity = |row: &AdherenceRow| ModelIdentity {
        name: if row.model.is_empty() { "unnamed model".to_owned() } else { row.model.clone() },
        sha256: row.made_by.clone(),
        ..ModelIdentity::default()
    };
    let identities: Vec<ModelIdentity> = rows.iter().map(identity).collect();
    let names: ModelNames = identities.iter().collect();
    identities.iter().map(|model| names.name(model)).collect()
}

pub(crate) fn print_summary(name: &str, summary: &AdherenceSummary) {
    let AdherenceSummary { responses, margin, .. } = summary;
    let conversations = counted(margin.groups, "conversation");
    println!("{name:<9} {} of {conversations} (95 % intervals by conversation)", counted(*responses, "response"));
    print_numbers(summary);
}

pub(crate) fn print_numbers(summary: &AdherenceSummary) {
    let AdherenceSummary { margin, accuracy, chance, own_sra, other_sra, .. } = summary;
    println!("  diagonal margin          {}  nats per token", written(margin, 1.0, 4));
    println!("  fits its strategy best   {}  %  (chance {:.1} %)", written(accuracy, 100.0, 1), 100.0 * chance);
    if let (Some(own), Some(other)) = (own_sra, other_sra) {
        println!("  SRA behind own prompt    {}", written(own, 1.0, 6));
        println!("  SRA behind the others    {}", written(other, 1.0, 6));
    }
}

/// `mean [low, high]`, scaled; `mean [–]` where one conversation alone gives no interval.
pub(crate) fn written(interval: &Interval, scale: f64, digits: usize) -> String {
    let ends = interval.ends().map(|(low, high)| (low * scale, high * scale));
    format!("{:.digits$} {}", interval.mean * scale, written_ends(ends, digits))
}

/// `[low, high]`, or `[–]`.
pub(crate) fn written_ends(ends: Option<(f64, f64)>, digits: usize) -> String {
    ends.map_or_else(|| "[–]".to_owned(), |(low, high)| format!("[{low:.digits$}, {high:.digits$}]"))
}

/// `1 response`, `2 responses`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn print_confusion(summary: &AdherenceSummary, model: Option<&String>) {
    let model = model.map(|model| format!("{model}: ")).unwrap_or_default();
    println!("{model}asked for / fits best (percent of the row)");
    for (asked, fits) in &summary.confusion {
        let total: usize = fits.values().sum();
        let mut fits: Vec<(&String, &usize)> = fits.iter().collect();
        fits.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
        let shares: Vec<String> = fits
            .iter()
            .take(3)
            .map(|(name, count)| format!("{name} {:.0} %", 100.0 * **count as f64 / total as f64))
            .collect();
        println!("  {asked:<30} {total:>6}  {}", shares.join(", "));
    }
}
