//! `sra dataset`: chats to fine-tune on, made of continuation runs or of a corpus.

use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format, dialogues};
use esconv_data::StrategySet;
use strategy_prompting::{
    CONTINUATIONS, InstructionTemplate, TornLine, TrainingDataOptions, TrainingDataSummary, TrainingSource,
    read_records, write_training_data,
};

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
    let sources = sources(options)?;
    let summary = write_training_data(sources.into_iter().map(Ok), &options.out, &settings)?;
    match format {
        Format::Json => command_line::print_json(&summary)?,
        Format::Text => print(&summary),
    }
    Ok(ExitCode::SUCCESS)
}

fn sources(options: &Dataset) -> Result<Vec<TrainingSource>, Failure> {
    let mut chosen = Vec::new();
    for input in &options.input {
        for record in read_records(&records_of(input), TornLine::Skip)? {
            let record = record?;
            if options.layout.is_none_or(|layout| layout == record.layout) {
                chosen.push(TrainingSource::of_record(&record)?);
            }
        }
    }
    let strategies = StrategySet::by_name_or_path(&options.strategies)?;
    for corpus in &options.corpus {
        for example in dialogues::examples(corpus)? {
            chosen.push(TrainingSource::of_example(&example, &strategies)?);
        }
    }
    chosen.truncate(options.limit.unwrap_or(usize::MAX));
    match chosen.is_empty() {
        true => Err(Failure::work("there is no continuation of this layout, and no example")),
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
