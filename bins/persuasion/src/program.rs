//! The program `persuasion`: DPO with LoRA on pairs of persuasive and unpersuasive replies.
//!
//! Each subcommand is one file under `commands` that composes crates.

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
        Command::Prepare(options) => commands::prepare::run(options, format),
        Command::Threads(options) => commands::threads::run(options, format),
        Command::Train(options) => commands::train::run(options, format),
        Command::Search(options) => commands::search::run(options, format),
        Command::Generate(options) => commands::generate::run(options, format),
        Command::Eval(options) => commands::eval::run(options, format),
        Command::Report(options) => commands::report::run(options, format),
        Command::Compare(options) => commands::compare::run(options, format),
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
