//! `persuasion`: DPO with LoRA on pairs of persuasive and unpersuasive replies.
//!
//! Each subcommand is one file under `commands` that composes crates; see the library for the parts.

mod arguments;
mod commands;
mod prepare_arguments;
mod report_arguments;

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
        Command::Report(options) => commands::report::run(options, format),
        Command::Compare(options) => commands::compare::run(options, format),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Arguments::command(), "persuasion", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
