//! The command line of `persuasion search`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::train_arguments::{Setup, published};

/// Search the hyper-parameters of `persuasion train`
///
/// Each trial is a training run in STUDY/trials. What is known of trials is in STUDY/journal.jsonl; several processes, on several machines that share the folder,
/// can work on one study: start the same command in each. An interrupted search goes on when the command is given again, and so do its trials. The metric is told
/// after each evaluation, so that trials that lag behind are given up. At the end of a search STUDY/study_results.json is written; `persuasion report STUDY` makes a
/// page of it.
#[derive(Debug, Args)]
#[command(
    mut_args(published),
    after_help = "Examples:
  persuasion search --model demo --data pairs --trials 12 --study study
  persuasion search --model Llama-2-7b-hf --quantize q4_k --data pairs --space space.toml --pruner hyperband --study study

A space file has a table for each parameter:
  learning_rate = { low = 1e-6, high = 1e-4, log = true }
  beta = { choices = [0.1, 0.15, 0.2, 0.25] }
  epochs = { low = 2, high = 5, step = 1 }

Parameters: learning_rate, beta, schedule, epochs, rank, alpha, dropout, label_smoothing, loss, micro_batch, accumulate, weight_decay, clip."
)]
pub(crate) struct Search {
    #[command(flatten)]
    pub(crate) setup: Setup,
    /// Folder of the study
    #[arg(long, value_name = "STUDY")]
    pub(crate) study: PathBuf,
    /// Trials of the study in all
    #[arg(long, default_value_t = 10, help_heading = "Search", value_name = "N")]
    pub(crate) trials: u64,
    /// What is searched: a TOML file [default: learning rate, beta, schedule and epochs as published]
    #[arg(long, help_heading = "Search", value_name = "FILE")]
    pub(crate) space: Option<PathBuf>,
    /// What is searched for: a metric of evaluations, whose largest value is the best, or loss, whose smallest is [default: rewards/accuracies for dpo, else loss]
    #[arg(long, help_heading = "Search", value_name = "METRIC")]
    pub(crate) metric: Option<String>,
    /// How trials are suggested
    #[arg(long, value_enum, default_value_t = SamplerName::Tpe, help_heading = "Search", value_name = "SAMPLER")]
    pub(crate) sampler: SamplerName,
    /// Trials before a model of the study suggests others
    #[arg(long, default_value_t = 10, help_heading = "Search", value_name = "N")]
    pub(crate) startup_trials: usize,
    /// Which trials are given up
    #[arg(long, value_enum, default_value_t = PrunerName::Median, help_heading = "Search", value_name = "PRUNER")]
    pub(crate) pruner: PrunerName,
    /// Complete trials before the median gives one up [default: 3]
    #[arg(long, help_heading = "Search", value_name = "N")]
    pub(crate) pruner_startup: Option<usize>,
    /// Try a trial whose process was lost so many times again, from its last checkpoint
    #[arg(long, default_value_t = 2, help_heading = "Search", value_name = "N")]
    pub(crate) retry: u64,
    /// Seed of the suggestions
    #[arg(long, default_value_t = 42, help_heading = "Search", value_name = "N")]
    pub(crate) sampler_seed: u64,
}

/// How trials are suggested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerName {
    /// Tree-structured Parzen estimator over all parameters together
    Tpe,
    /// The same, parameter by parameter, as in the published searches
    TpeUnivariate,
    /// At random
    Random,
    /// All combinations, in a shuffled order; the space must be finite
    Grid,
}

/// Which trials are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrunerName {
    /// None
    None,
    /// Those below the median of the others at the same step
    Median,
    /// All but the best quarter at each rung
    Halving,
    /// Brackets of successive halving
    Hyperband,
}
