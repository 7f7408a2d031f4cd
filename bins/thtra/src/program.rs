//! The program `thtra`: emotional support that looks ahead, knows the situation and is aligned to helpfulness.
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
    run_program(words, &Arguments::command(), |arguments: &Arguments| &arguments.common, run)
}

/// Runs one of its commands within another program, which has its own log and threads. `words` as for [`program`].
///
/// # Errors
/// As the command.
pub fn step(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    run_step(words, &Arguments::command(), run)
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
        Command::InstallFiles(files) => files.run(Arguments::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_leaves_nothing_out() {
        assert_eq!(command_line::gaps_of_manual(Arguments::command()).unwrap(), Vec::<String>::new());
    }
}
