//! `magic`: emotional support with motivation-driven strategy inference and a memory of strategies.
//!
//! Each subcommand is one file under `commands` that composes the crate's parts; see the library for the method.

mod arguments;
mod commands;
mod generator_arguments;
mod inference_arguments;
mod strategy_tables;
mod train_arguments;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use command_line::{Failure, run_program};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let words = std::env::args_os().map(with_dashes).collect();
    run_program(words, &Arguments::command(), |arguments: &Arguments| &arguments.common, run)
}

/// The published code's options have underscores (`--train_file_path`): they are taken as well. Values stay as they are.
fn with_dashes(word: OsString) -> OsString {
    match word.to_str() {
        Some(text) if text.starts_with("--") => {
            let (name, value) = text.split_at(text.find('=').unwrap_or(text.len()));
            format!("{}{value}", name.replace('_', "-")).into()
        }
        _ => word,
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = arguments.common.format;
    match &arguments.command {
        Command::Preprocess(options) => commands::preprocess::run(options, format),
        Command::CollectMotivations(options) => commands::collect_motivations::run(options, format),
        Command::BuildPrompts(options) => commands::build_prompts::run(options, format),
        Command::Finetune(options) => commands::finetune::run(options, format),
        Command::Export(options) => commands::export::run(options, format),
        Command::InferStrategy(options) => commands::infer_strategy::run(options, format),
        Command::ParseAnswers(options) => commands::parse_answers::run(options, format),
        Command::Train(options) => commands::train::run(options, format),
        Command::Eval(options) => commands::eval::run(options, format),
        Command::Generate(options) => commands::generate::run(options, format),
        Command::ConvertCheckpoint(options) => commands::convert_checkpoint::run(options, format),
        Command::Demo(options) => commands::demo::run(options, format),
        Command::Bank(options) => commands::bank::run(&options.command, format),
        Command::Templates(options) => commands::templates::run(options),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Arguments::command(), "magic", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::with_dashes;

    #[test]
    fn only_names_of_options_get_dashes() {
        for (word, expected) in [
            ("--data_dir", "--data-dir"),
            ("--data_dir=my_data", "--data-dir=my_data"),
            ("my_data", "my_data"),
            ("-a_b", "-a_b"),
        ] {
            assert_eq!(with_dashes(word.into()), expected);
        }
    }
}
