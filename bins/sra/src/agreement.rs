//! `sra agreement`: how often responses follow the strategy they were asked for, by the classifier of the demonstration language.

use std::collections::BTreeMap;
use std::process::ExitCode;

use command_line::{Failure, Format, dialogues};
use esc_metrics::interval::wilson;
use serde::Serialize;
use strategy_prompting::{ContinuationRecord, TornLine, UNCONDITIONAL, read_records, tidy_response};

use crate::adherence::records_file;
use crate::arguments::Agreement;

/// How often responses follow their strategy.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Judged {
    /// By layout.
    pub(crate) layouts: BTreeMap<String, Share>,
    /// By layout and strategy.
    pub(crate) strategies: BTreeMap<String, BTreeMap<String, Share>>,
    /// What would agree without reading the instruction: one in so many strategies.
    pub(crate) chance: f64,
}

/// A share of responses with its 95 % interval (Wilson).
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Share {
    agreeing: usize,
    responses: usize,
    percent: f64,
    low: f64,
    high: f64,
}

impl Share {
    fn count(&mut self, agrees: bool) {
        self.agreeing += usize::from(agrees);
        self.responses += 1;
        self.percent = 100.0 * self.agreeing as f64 / self.responses as f64;
        // There are never more that agree than responses.
        if let Ok(Some((low, high))) = wilson(self.agreeing, self.responses, 0.95) {
            (self.low, self.high) = (100.0 * low, 100.0 * high);
        }
    }
}

pub(crate) fn run(options: &Agreement, format: Format) -> Result<ExitCode, Failure> {
    let mut records = Vec::new();
    for input in &options.input {
        for record in read_records(&records_file(input), TornLine::Skip)? {
            records.push(record?);
        }
    }
    if let Some(data) = &options.data {
        give_real_strategies(&mut records, data)?;
    }
    let judged = judge(&records);
    if judged.layouts.is_empty() {
        return Err(Failure::work(
            "no response was asked for a strategy: for runs without one, name the dialogues with --data",
        ));
    }
    match format {
        Format::Json => command_line::print_json(&judged)?,
        Format::Text => print(&judged),
    }
    Ok(ExitCode::SUCCESS)
}

/// A response that was not told a strategy is compared with the one that the real supporter used there.
fn give_real_strategies(records: &mut [ContinuationRecord], data: &std::path::Path) -> Result<(), Failure> {
    let real: BTreeMap<String, Vec<String>> =
        dialogues::examples(data)?.into_iter().map(|example| (example.id, example.strategy)).collect();
    for record in records.iter_mut().filter(|record| record.strategy == UNCONDITIONAL) {
        let strategy = real.get(&record.example).and_then(|strategies| strategies.first());
        let strategy = strategy
            .ok_or_else(|| Failure::work(format!("{}: the example {} is not in it", data.display(), record.example)))?;
        record.strategy.clone_from(strategy);
    }
    Ok(())
}

/// Counts agreement by layout and strategy.
pub(crate) fn judge(records: &[ContinuationRecord]) -> Judged {
    let mut judged = Judged { chance: 100.0 / demo_corpus::STRATEGIES as f64, ..Judged::default() };
    for record in records.iter().filter(|record| record.strategy != UNCONDITIONAL) {
        let response = tidy_response(&record.text, &record.strategy);
        let agrees = demo_corpus::classify(&response).strategy == record.strategy;
        let layout = record.layout.name().to_owned();
        let strategies = judged.strategies.entry(layout.clone()).or_default();
        strategies.entry(record.strategy.clone()).or_default().count(agrees);
        judged.layouts.entry(layout).or_default().count(agrees);
    }
    judged
}

pub(crate) fn print(judged: &Judged) {
    println!("responses whose strategy the classifier of the demonstration language recognises");
    for (layout, share) in &judged.layouts {
        println!("  {layout:<9} {}", written(share));
        for (strategy, share) in &judged.strategies[layout] {
            println!("    {strategy:<30} {}", written(share));
        }
    }
    println!("  chance    {:.1} %", judged.chance);
}

fn written(share: &Share) -> String {
    let Share { agreeing, responses, percent, low, high } = share;
    format!("{percent:5.1} %  ({agreeing} of {responses}; 95 % interval {low:.1} to {high:.1} %)")
}
