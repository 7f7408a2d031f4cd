//! `sra intervene`: what becomes of adherence when attention to the strategy is masked or scaled.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::process::ExitCode;

use command_line::{Failure, Format, Progress, interrupt, load_engine, must_be_local, output_place};
use esc_metrics::interval::Interval;
use llm_runtime::{AttentionEdit, Engine, SpanChoice};
use serde::Serialize;
use strategy_prompting::{
    AdherenceOptions, AdherenceRow, AdherenceSummary, ContinuationRecord, Error, StrategyText, score_adherence,
    write_json_lines,
};

use crate::adherence::{by_layout, conditional_records, groups, print_numbers, print_summary, strategies, written};
use crate::attention_arguments::Intervene;

pub(crate) fn run(options: &Intervene, format: Format) -> Result<ExitCode, Failure> {
    must_be_local(&options.model, "`sra intervene` changes attention inside the model")?;
    if let Some(out) = &options.out {
        output_place::check_file(out)?;
    }
    let records = conditional_records(&options.runs, options.limit)?;
    check_spans(options, &records)?;
    let strategies = strategies(options.strategies.as_deref(), &options.runs)?;
    let mut model = load_engine(&options.model, &options.runtime)?;
    check(options, &model)?;
    interrupt::listen();
    let mut bar = Progress::new("scoring", 0, 2 * records.len() as u64);
    let before = score(&records, &strategies, &mut model, None, &mut bar)?;
    let after = score(&records, &strategies, &mut model, Some(edit(options)), &mut bar)?;
    bar.finish();
    if after.len() < records.len() {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    if let Some(out) = &options.out {
        let pairs: Vec<Pair<'_>> = before.iter().zip(&after).map(|(before, after)| Pair { before, after }).collect();
        write_json_lines(out, &pairs)?;
    }
    report(options, &before, &after, format)?;
    Ok(ExitCode::SUCCESS)
}

/// One line of `--out`.
#[derive(Serialize)]
struct Pair<'a> {
    before: &'a AdherenceRow,
    after: &'a AdherenceRow,
}

/// A name that no prompt has a part of would change nothing, silently.
fn check_spans(options: &Intervene, records: &[ContinuationRecord]) -> Result<(), Failure> {
    let known: BTreeSet<&str> =
        records.iter().flat_map(|record| &record.spans).map(|span| span.label.as_str()).collect();
    match options.spans.iter().find(|label| !known.contains(label.as_str())) {
        // Not every instruction has all parts that are masked by default.
        Some(label) if options.spans.iter().all(|label| !known.contains(label.as_str())) => {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Err(Failure::wrong_use(format!("--spans: no prompt has a part `{label}` (parts: {known})")))
        }
        _ => Ok(()),
    }
}

/// A layer or head that the model does not have is a slip, not a wish.
fn check(options: &Intervene, model: &Engine) -> Result<(), Failure> {
    let config = model.model().config();
    for (what, selection, count) in [("layer", &options.layers, config.layers), ("head", &options.heads, config.heads)]
    {
        if let llm_runtime::Selection::Only(ranges) = selection
            && ranges.iter().any(|range| range.end > count)
        {
            return Err(Failure::wrong_use(format!("{what}s {selection}: the model has {count}, counted from 0")));
        }
    }
    if !(options.factor >= 0.0 && options.factor.is_finite()) {
        return Err(Failure::wrong_use(format!("--factor {} is not at least 0 and finite", options.factor)));
    }
    Ok(())
}

fn edit(options: &Intervene) -> AttentionEdit {
    AttentionEdit {
        spans: SpanChoice::parts(options.spans.clone()),
        factor: options.factor,
        layers: options.layers.clone(),
        heads: options.heads.clone(),
        rows: options.rows,
    }
}

fn score(
    records: &[ContinuationRecord],
    strategies: &[StrategyText],
    model: &mut Engine,
    edit: Option<AttentionEdit>,
    bar: &mut Progress,
) -> Result<Vec<AdherenceRow>, Error> {
    let done = if edit.is_some() { records.len() } else { 0 };
    let settings = AdherenceOptions { edit, ..AdherenceOptions::default() };
    let mut rows = Vec::new();
    score_adherence(records, strategies, model, &settings, &mut |row| {
        rows.push(row);
        bar.set((done + rows.len()) as u64);
        Ok(if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(rows)
}

/// What an intervention did to the responses of a layout.
#[derive(Serialize)]
struct Effect {
    before: AdherenceSummary,
    after: AdherenceSummary,
    /// Change of each response's margin, in nats per token.
    margin_change: Option<Interval>,
    /// Change of the log-likelihood behind the own strategy's prompt, in nats per token.
    own_change: Option<Interval>,
}

fn report(options: &Intervene, before: &[AdherenceRow], after: &[AdherenceRow], format: Format) -> Result<(), Failure> {
    let groups = groups(before);
    let (firsts, seconds) = (by_layout(before), by_layout(after));
    let mut effects = BTreeMap::new();
    for ((layout, first), second) in firsts.into_iter().zip(seconds.into_values()) {
        let pairs = before.iter().zip(after).zip(&groups).filter(|(_, group)| **group == layout);
        let (margin_change, own_change) = changes(&pairs.map(|(pair, _)| pair).collect::<Vec<_>>());
        effects.insert(layout, Effect { before: first, after: second, margin_change, own_change });
    }
    if format == Format::Json {
        return Ok(command_line::print_json(&effects)?);
    }
    println!(
        "attention to {} multiplied by {} in layers {}, heads {}, rows {}",
        options.spans.join(", "),
        options.factor,
        options.layers,
        options.heads,
        if options.rows == llm_runtime::EditedRows::New { "new" } else { "all" },
    );
    for (layout, effect) in &effects {
        println!();
        print_summary(layout, &effect.before);
        println!("  after the change:");
        print_numbers(&effect.after);
        for (what, change) in
            [("margin changes by", &effect.margin_change), ("own prompt changes by", &effect.own_change)]
        {
            if let Some(change) = change {
                println!("  {what:<24} {}  nats per token", written(change, 1.0, 4));
            }
        }
    }
    Ok(())
}

fn changes(pairs: &[(&AdherenceRow, &AdherenceRow)]) -> (Option<Interval>, Option<Interval>) {
    let own = |row: &AdherenceRow| row.log_likelihood.get(&row.strategy).copied().unwrap_or(f64::NAN);
    let over = |change: &dyn Fn(&AdherenceRow, &AdherenceRow) -> f64| {
        Interval::by_group(pairs.iter().map(|(first, second)| (first.conversation.as_str(), change(first, second))))
    };
    (
        over(&|first, second| second.margin() - first.margin()),
        over(&|first, second| (own(second) - own(first)) / first.tokens as f64),
    )
}
