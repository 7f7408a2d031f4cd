//! `thtra`: emotional support that looks ahead, knows the situation and is aligned to helpfulness.
//!
//! Each subcommand is one file under `commands` that composes the crate's parts; see the library for the method.

mod align_arguments;
mod answer_arguments;
mod arguments;
mod commands;
mod helpfulness_arguments;
mod run_arguments;
mod train_arguments;

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
        Command::Process(options) => commands::process::run(options, format),
        Command::Prepare(options) => commands::prepare::run(options, format),
        Command::TrainLookAhead(options) => commands::train::look_ahead(options, format),
        Command::TrainSituation(options) => commands::train::situation(options, format),
        Command::TrainBaseline(options) => commands::train::baseline(options, format),
        Command::Helpfulness(options) => commands::helpfulness::run(options, format),
        Command::Infer(options) => commands::infer::run(options, format),
        Command::Eval(options) => commands::eval::run(options, format),
        Command::Chat(options) => commands::chat::run(options, format),
        Command::Candidates(options) => commands::candidates::run(options, format),
        Command::Align(options) => commands::align::run(options, format),
        Command::Run(options) => commands::run::run(options, &arguments.common),
        Command::Demo(options) => commands::demo::run(options, format),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Arguments::command(), "thtra", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
