//! `solace`: the four systems as parts of one.
//!
//! A planner chooses strategies, a realiser says them, judges put what was said in order, and the order becomes preference pairs, from which
//! `persuasion train` makes an adapter of the realiser. The scoreboard holds whole systems against each other on the same dialogues.

mod arguments;
mod candidates;
mod demo;
mod judges;
mod pairs;
mod plan;
mod point;
mod rank;
mod realise;
mod scoreboard;
mod steps;
mod strategies;

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
        Command::Plan(options) => plan::run(options, format),
        Command::Realise(options) => realise::run(options, format),
        Command::Rank(options) => rank::run(options, format),
        Command::Pairs(options) => pairs::run(options, format),
        Command::Scoreboard(options) => scoreboard::run(options, format),
        Command::Demo(options) => demo::run(options, &arguments.common),
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
