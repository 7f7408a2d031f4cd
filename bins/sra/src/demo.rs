//! `sra demo`: the whole method on built-in dialogues and the built-in model, in two minutes.
//!
//! Three dialogues, every strategy, two layouts: the instruction beside the last turn, and as system text in front of the
//! dialogue. The table shows what the model says; the count below shows how often a simple classifier recognises the strategy.

use std::ops::ControlFlow;
use std::process::ExitCode;

use command_line::{AnyModel, Delivery, Failure, Format, dialogues, interrupt, output_place};
use esconv_data::{Example, StrategySet};
use llm_runtime::GenerationOptions;
use serde::Serialize;
use strategy_prompting::{
    ContinuationRecord, ExistingRun, InstructionTemplate, Journal, Layout, OnFailure, SweepPlan, SweepSettings,
    TornLine, TurnRange, read_records, run_sweep, tidy_response,
};

use crate::agreement::{self, Judged};
use crate::arguments::Demo;
use crate::continuation::{self, print_statistics};

/// Layouts that are compared.
const LAYOUTS: [Layout; 2] = [Layout::C1HistoryFirst, Layout::Standard];
/// Supporter turn that is continued: late enough for a system text to be far away.
const TURN: usize = 4;

pub(crate) fn run(options: &Demo, format: Format) -> Result<ExitCode, Failure> {
    let examples = examples(options.dialogues)?;
    let strategies = StrategySet::built_in("extes15")?;
    let settings = SweepSettings {
        layouts: LAYOUTS.to_vec(),
        turns: TurnRange::new(TURN, TURN)?,
        generation: GenerationOptions { max_new_tokens: 64, temperature: 0.0, ..GenerationOptions::default() },
        ..SweepSettings::default()
    };
    let template = InstructionTemplate::default();
    let plan = SweepPlan::new(settings, &strategies, template, &examples)?;
    if let Some(out) = &options.out {
        output_place::check_folder(out)?;
    }
    let mut model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    let scratch = tempfile::tempdir().map_err(Failure::work)?;
    let folder = options.out.as_deref().unwrap_or(scratch.path());
    let manifest = continuation::manifest(&plan, &model)?;
    let mut journal = Journal::open(folder, &manifest, ExistingRun::Refuse)?;
    interrupt::listen();
    let summary = run_sweep(&plan, &mut model, &mut journal, OnFailure::Stop, None, &mut |_| {
        if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    journal.finish()?;
    if summary.stopped {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let records = read_records(&folder.join(strategy_prompting::CONTINUATIONS), TornLine::Skip)?
        .collect::<Result<Vec<_>, _>>()?;
    let judged = agreement::judge(&records);
    match format {
        Format::Json => command_line::print_json(&Told { records: &records, agreement: &judged })?,
        Format::Text => {
            print_table(&records, &strategies);
            print_statistics(&summary.statistics);
            println!();
            agreement::print(&judged);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The first built-in dialogues that are long enough.
fn examples(dialogues: usize) -> Result<Vec<Example>, Failure> {
    // About every second dialogue has so many turns.
    let name = format!("demo:{}", dialogues.saturating_mul(8));
    let mut examples = dialogues::examples(std::path::Path::new(&name))?;
    examples.retain(|example| example.turn == TURN);
    examples.truncate(dialogues);
    Ok(examples)
}

#[derive(Serialize)]
struct Told<'a> {
    records: &'a [ContinuationRecord],
    agreement: &'a Judged,
}

fn print_table(records: &[ContinuationRecord], strategies: &StrategySet) {
    let mut examples: Vec<&ContinuationRecord> = Vec::new();
    for record in records {
        if !examples.iter().any(|known| known.example == record.example) {
            examples.push(record);
        }
    }
    examples.sort_by(|left, right| left.example.cmp(&right.example));
    for example in examples {
        println!("situation: {}", example.situation);
        for (speaker, text) in example.speakers.iter().zip(&example.dialog) {
            println!("  {speaker:<9} {text}");
        }
        println!();
        for strategy in &strategies.strategies {
            println!("  {}", strategy.name);
            for layout in LAYOUTS {
                let found = records.iter().find(|record| {
                    record.example == example.example && record.strategy == strategy.name && record.layout == layout
                });
                if let Some(record) = found {
                    println!("    {:<9} {}", layout.name(), tidy_response(&record.text, &record.strategy));
                }
            }
        }
        println!();
    }
}
