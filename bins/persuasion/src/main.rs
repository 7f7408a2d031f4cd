//! `persuasion`: DPO with LoRA on pairs of persuasive and unpersuasive replies.
//!
//! Each subcommand is one file under `commands` that composes crates; see the library for the parts.

mod arguments;
mod commands;
mod demo_arguments;
mod eval_arguments;
mod generate_arguments;
mod pair_draw;
mod prepare_arguments;
mod replies;
mod report_arguments;
mod run_settings;
mod search_arguments;
mod subject;
mod subject_arguments;
mod threads_arguments;
mod train_arguments;
mod wordings;
mod written_replies;

use std::process::ExitCode;

use clap::CommandFactory;
use command_line::{Failure, run_program};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let words = std::env::args_os().collect();
    run_program(words, &Arguments::command(), |arguments: &Arguments| &arguments.common, run)
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = arguments.common.format;
    match &arguments.command {
        Command::Prepare(options) => commands::prepare::run(options, format),
        Command::Threads(options) => commands::threads::run(options, format),
        Command::Train(options) => commands::train::run(options, format),
        Command::Search(options) => commands::search::run(options, format),
        Command::Generate(options) => commands::generate::run(options, format),
        Command::Eval(options) => commands::eval::run(options, format),
        Command::Report(options) => commands::report::run(options, format),
        Command::Compare(options) => commands::compare::run(options, format),
        Command::Demo(options) => commands::demo::run(options, format),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Arguments::command(), "persuasion", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
