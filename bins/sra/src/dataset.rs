//! `sra dataset`: chats to fine-tune on, made of continuation runs.

use std::path::Path;
use std::process::ExitCode;

use strategy_prompting::{
    CONTINUATIONS, ContinuationRecord, InstructionTemplate, TornLine, TrainingDataOptions, TrainingDataSummary,
    read_records, write_training_data,
};

use crate::arguments::Format;
use crate::failure::Failure;
use crate::training_arguments::Dataset;

pub(crate) fn run(options: &Dataset, format: Format) -> Result<ExitCode, Failure> {
    let unconditional = options.unconditional.as_deref().map(InstructionTemplate::by_name_or_path).transpose()?;
    let settings = TrainingDataOptions {
        conditional: InstructionTemplate::by_name_or_path(&options.instruction)?,
        unconditional,
        dev: options.dev,
        test: options.test,
        seed: options.seed,
    };
    let records = records(options)?;
    let summary = write_training_data(records.into_iter().map(Ok), &options.out, &settings)?;
    match format {
        Format::Json => crate::export::print_json(&summary)?,
        Format::Text => print(&summary),
    }
    Ok(ExitCode::SUCCESS)
}

fn records(options: &Dataset) -> Result<Vec<ContinuationRecord>, Failure> {
    let mut chosen = Vec::new();
    for input in &options.input {
        for record in read_records(&records_of(input), TornLine::Skip)? {
            let record = record?;
            if options.layout.is_none_or(|layout| layout == record.layout) {
                chosen.push(record);
            }
        }
    }
    chosen.truncate(options.limit.unwrap_or(usize::MAX));
    match chosen.is_empty() {
        true => Err(Failure::work("the runs hold no continuation of this layout")),
        false => Ok(chosen),
    }
}

fn records_of(input: &Path) -> std::path::PathBuf {
    if input.is_dir() { input.join(CONTINUATIONS) } else { input.to_path_buf() }
}

fn print(summary: &TrainingDataSummary) {
    for file in &summary.files {
        println!("{}: {} conversations, {} chats", file.path.display(), file.conversations, file.chats);
    }
    for (strategy, count) in &summary.strategies {
        println!("{count:>8}  {strategy}");
    }
    if summary.empty > 0 {
        println!("{:>8}  left out: empty responses", summary.empty);
    }
    if summary.without_strategy > 0 {
        println!("{:>8}  left out: no strategy (take them with --unconditional)", summary.without_strategy);
    }
}
