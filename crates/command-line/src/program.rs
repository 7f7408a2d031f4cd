//! What every program does before and after its work: it reads the command line, begins the log and tells failures.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::RangedU64ValueParser;
use clap::{ArgAction, Args, FromArgMatches, ValueEnum};

use crate::{Failure, config, console};

/// Options that every subcommand takes.
#[derive(Debug, Args)]
pub struct Common {
    /// TOML file with options; an option on the command line wins over the file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Threads to compute with [default: one per core]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<usize>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// More log lines (twice: still more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Errors only, no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people
    Text,
    /// One JSON value for programs
    Json,
}

/// Runs a program: `words` are its command line, `command` says how they are read, `common` finds the common options in what was read, and
/// `work` does what was asked for. Gives the exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted.
pub fn run_program<A: FromArgMatches>(
    words: Vec<OsString>,
    command: &clap::Command,
    common: fn(&A) -> &Common,
    work: fn(&A) -> Result<ExitCode, Failure>,
) -> ExitCode {
    llm_runtime::keep_freed_memory();
    console::end_where_nothing_can_be_printed();
    let done = parse(words, command).and_then(|arguments| {
        begin(common(&arguments))?;
        work(&arguments)
    });
    done.unwrap_or_else(|failure| failure.report(command.get_name()))
}

/// Runs what a command line says within another program, which has begun its own log and chosen its threads: as [`run_program`], but failures are
/// handed on.
///
/// # Errors
/// The command line is wrong, or the work fails.
pub fn run_step<A: FromArgMatches>(
    words: Vec<OsString>,
    command: &clap::Command,
    work: fn(&A) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    work(&parse(words, command)?)
}

fn parse<A: FromArgMatches>(words: Vec<OsString>, command: &clap::Command) -> Result<A, Failure> {
    check_text(&words)?;
    let words = config::merge(words, command)?;
    Ok(A::from_arg_matches(&command.clone().try_get_matches_from(words)?)?)
}

/// Names of files end up in settings, in records of runs and in results, all of which are UTF-8: one that is not would be found out after the work.
fn check_text(words: &[OsString]) -> Result<(), Failure> {
    match words.iter().enumerate().skip(1).find(|(_, word)| word.to_str().is_none()) {
        Some((number, word)) => Err(Failure::wrong_use(format!(
            "word {number} of the command line, {word:?}, is not UTF-8 text, as names in settings and in records of runs have to be: rename the file, or \
             name it by a link"
        ))),
        None => Ok(()),
    }
}

fn begin(common: &Common) -> Result<(), Failure> {
    console::start(common.quiet, common.verbose);
    let named = || std::env::var("RAYON_NUM_THREADS").ok()?.parse().ok().filter(|threads| *threads > 0);
    let threads = common.threads.or_else(named).unwrap_or_else(one_per_core);
    llm_runtime::set_threads(threads).map_err(Failure::wrong_use)
}

fn one_per_core() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// For options that count something: of nothing there is nothing to tell.
pub fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Reads a weight, a factor or a temperature: a number from 0 on.
///
/// # Errors
/// It is none, or not finite.
pub fn at_least_zero(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err("expected a number from 0 on".into()) }
}
