//! `sra`: strategy-steered continuations of emotional support conversations.
//!
//! Method: "Steering Conversational Large Language Models for Long Emotional Support Conversations" (arXiv 2402.10453).
//! Each subcommand is one file that composes crates.

mod adherence;
mod agreement;
mod arguments;
mod attention;
mod attention_arguments;
mod attention_figures;
mod attention_tables;
mod audit;
mod captured;
mod chat;
mod classifier;
mod classifier_arguments;
mod compare;
mod continuation;
mod dataset;
mod demo;
mod export;
mod generate;
mod head_to_head;
mod intervene;
mod judge;
mod judge_arguments;
mod measured_span;
mod postprocess;
mod predictability;
mod prepare;
mod runs;
mod score;
mod score_arguments;
mod serve;
mod serve_arguments;
mod statistics;
mod token_probe;
mod training_arguments;
mod view;

use std::process::ExitCode;

use clap::CommandFactory;
use command_line::{Failure, Shortening, fine_tune, merge, run_program};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let words = std::env::args_os().collect();
    run_program(words, &Arguments::command(), |arguments: &Arguments| &arguments.common, run)
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let format = arguments.common.format;
    match &arguments.command {
        Command::Prepare(options) => prepare::run(options, format),
        Command::Stats(options) => statistics::run(options, format),
        Command::Continue(options) => continuation::run(options, format),
        Command::Chat(options) => chat::run(options, format),
        Command::Serve(options) => serve::run(options),
        Command::Postprocess(options) => postprocess::run(options, format),
        Command::Export(options) => export::run(options, format),
        Command::Dataset(options) => dataset::run(options, format),
        Command::Train(options) => fine_tune(options, &Shortening::default(), format),
        Command::Classifier(options) => classifier::run(&options.command, format),
        Command::Merge(options) => merge(options, format),
        Command::Generate(options) => generate::run(options, format),
        Command::Demo(options) => demo::run(options, format),
        Command::Attention(options) => attention::run(options, format),
        Command::Audit(options) => audit::run(options, format),
        Command::View(options) => view::run(options),
        Command::Predictability(options) => predictability::run(options, format),
        Command::TokenProbe(options) => token_probe::run(options, format),
        Command::Adherence(options) => adherence::run(options, format),
        Command::Intervene(options) => intervene::run(options, format),
        Command::Score(options) => score::run(options, format),
        Command::Judge(options) => judge::run(options, format),
        Command::Compare(options) => compare::run(options, format),
        Command::HeadToHead(options) => head_to_head::run(options, format),
        Command::Agreement(options) => agreement::run(options, format),
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
