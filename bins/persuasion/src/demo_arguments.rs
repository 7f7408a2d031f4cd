//! The command line of `persuasion demo`.

use std::path::PathBuf;

use clap::Args;
use command_line::at_least_one;

/// Show what preferences teach, on built-in pairs and the built-in model, in minutes
///
/// The demonstration model first learns all replies of built-in pairs, good and bad (pft); then DPO teaches it which are better, with that adapter as start and
/// reference; then a search varies the hyper-parameters of DPO on harder pairs and gives up trials that lag behind. One table tells reward accuracy on held-out
/// pairs and how many generated replies help nobody; RUN/report.html and STUDY/report.html show the runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  persuasion demo
  persuasion demo --out demo --seeds 3
  persuasion demo --pairs 120 --trials 4")]
pub(crate) struct Demo {
    /// Keep the runs in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Repeat both trainings with so many seeds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub(crate) seeds: u64,
    /// Pairs to learn from
    #[arg(long, default_value_t = 320, value_parser = at_least_one(), value_name = "N")]
    pub(crate) pairs: usize,
    /// Held-out pairs for validation, and as many for the test
    #[arg(long, default_value_t = 80, value_parser = at_least_one(), value_name = "N")]
    pub(crate) held_out: usize,
    /// Trials of the search; 0 leaves it out
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub(crate) trials: u64,
}
