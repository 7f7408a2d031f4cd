//! The program `magic`: emotional support with motivation-driven strategy inference and a memory of strategies.
//!
//! Each subcommand is one file under `commands` that composes the crate's parts.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use command_line::{Failure, run_program, run_step};

use crate::arguments::{Arguments, Command};
use crate::commands;

/// Runs the program: `words` are its command line, the program's own name first.
#[must_use]
pub fn program(words: Vec<OsString>) -> ExitCode {
    run_program(
        words.into_iter().map(with_dashes).collect(),
        &Arguments::command(),
        |arguments: &Arguments| &arguments.common,
        run,
    )
}

/// Runs one of its commands within another program, which has its own log and threads. `words` as for [`program`].
///
/// # Errors
/// As the command.
pub fn step(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    run_step(words.into_iter().map(with_dashes).collect(), &Arguments::command(), run)
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
        Command::InstallFiles(files) => files.run(Arguments::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_manual_leaves_nothing_out() {
        assert_eq!(command_line::gaps_of_manual(Arguments::command()).unwrap(), Vec::<String>::new());
    }
}
