//! The command line, word for word.

use clap::{Parser, Subcommand};
use command_line::{Common, InstallFiles, LONG_VERSION};

use crate::demo_arguments::Demo;
use crate::eval_arguments::Eval;
use crate::generate_arguments::Generate;
use crate::prepare_arguments::Prepare;
use crate::report_arguments::{Compare, Report};
use crate::search_arguments::Search;
use crate::threads_arguments::Threads;
use crate::train_arguments::Train;

/// Persuasive replies: DPO with LoRA on pairs of replies, hyper-parameter search, evaluation, reports
#[derive(Debug, Parser)]
#[command(name = "persuasion", version, long_version = LONG_VERSION, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done; each one's help is that of its options.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Prepare(Box<Prepare>),
    Threads(Threads),
    Train(Box<Train>),
    Search(Box<Search>),
    Generate(Box<Generate>),
    Eval(Box<Eval>),
    Report(Report),
    Compare(Compare),
    Demo(Demo),
    #[command(flatten)]
    InstallFiles(InstallFiles),
}
