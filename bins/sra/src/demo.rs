//! `sra demo`: the whole method on built-in dialogues and the built-in model, in two minutes.
//!
//! Three dialogues, every strategy, two layouts: the instruction beside the last turn, and as system text in front of the
//! dialogue. The table shows what the model says; the count below shows how often a simple classifier recognises the strategy.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use command_line::{AnyModel, Delivery, Failure, Format, interrupt};
use esconv_data::{Example, StrategySet};
use llm_runtime::{GenerationOptions, TextModel};
use serde::Serialize;
use strategy_prompting::{
    ContinuationRecord, ExistingRun, InstructionTemplate, Journal, Layout, OnFailure, RunManifest, SweepPlan,
    SweepSettings, TornLine, TurnRange, read_records, run_sweep, tidy_response,
};

use crate::agreement::{self, Judged};
use crate::arguments::Demo;
use crate::continuation::print_statistics;
use crate::prepare;

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
    let template = InstructionTemplate::built_in("t4")?;
    let plan = SweepPlan::new(settings, &strategies, template, &examples)?;
    let mut model = AnyModel::load(&options.model, &options.runtime, &options.server, Delivery::Whole)?;
    let scratch = Scratch::new(options.out.clone())?;
    let manifest = RunManifest::new(&plan, &model.identity())?;
    let mut journal = Journal::open(&scratch.folder, &manifest, ExistingRun::Refuse)?;
    interrupt::listen();
    let summary = run_sweep(&plan, &mut model, &mut journal, OnFailure::Stop, None, &mut |_| {
        if interrupt::was_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    journal.finish()?;
    if summary.stopped {
        return Ok(ExitCode::from(interrupt::EXIT_CODE));
    }
    let records = read_records(&scratch.folder.join(strategy_prompting::CONTINUATIONS), TornLine::Skip)?
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
    let mut examples = prepare::examples(std::path::Path::new(&name))?;
    examples.retain(|example| example.turn == TURN);
    examples.truncate(dialogues);
    Ok(examples)
}

#[derive(Serialize)]
struct Told<'a> {
    records: &'a [ContinuationRecord],
    agreement: &'a Judged,
}

/// Where the run is kept: the user's folder, or one that goes away.
struct Scratch {
    folder: PathBuf,
    is_temporary: bool,
}

impl Scratch {
    fn new(out: Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(folder) = out {
            return Ok(Self { folder, is_temporary: false });
        }
        let folder = std::env::temp_dir().join(format!("sra-demo-{}", std::process::id()));
        Ok(Self { folder, is_temporary: true })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_temporary {
            // What is left over in a temporary folder is the system's to remove.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
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
