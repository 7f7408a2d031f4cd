//! The command line of what looks at runs afterwards, word for word.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use persuasion::report::{At, SampleRows};

/// Make one HTML page of a run or a search
///
/// The page needs nothing else and asks nothing of the network: curves of loss, rewards, log-probabilities, perplexities, learning rate and gradient norm;
/// the final evaluation with its intervals; a table of samples that can be sorted and searched, with their texts; the replies to the same prompts over the
/// epochs, beside each other; the configuration. Of the folder of a search it shows the best trial and a table of all trials. A run that is still going on can be
/// reported too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  persuasion report runs/dpo
  persuasion report runs/dpo --out dpo.html --samples held-out
  persuasion report studies/first")]
pub(crate) struct Report {
    /// Folder of a run or of a search
    #[arg(value_name = "RUN")]
    pub(crate) run: PathBuf,
    /// The page [default: RUN/report.html]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Which samples the page holds; they make most of its size
    #[arg(long, value_enum, default_value_t = Samples::All)]
    pub(crate) samples: Samples,
}

/// Compare runs: final and best metrics, reward accuracy on the same held-out pairs, settings that differ
///
/// The reward accuracy of each run is held against that of the first one on the held-out pairs that both have judged (outputs/samples.jsonl): a paired
/// bootstrap that draws groups of pairs (posts), since pairs of one post are not independent of each other. Pairs are matched by name, and must have the same texts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  persuasion compare runs/beta-0.1 runs/beta-0.3
  persuasion compare runs/* --at best --html comparison.html
  persuasion compare runs/a runs/b --format json")]
pub(crate) struct Compare {
    /// Folders of runs; the first one is what the others are held against
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Which evaluation of each run is compared: the final one, or the one that ranks most pairs right
    #[arg(long, value_enum, default_value_t = Evaluation::Final)]
    pub(crate) at: Evaluation,
    /// Also make one HTML page with the curves over each other
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Resamples of the bootstrap
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    pub(crate) resamples: usize,
    /// What an interval holds, between 0 and 1
    #[arg(long, default_value_t = 0.95, value_name = "SHARE")]
    pub(crate) confidence: f64,
    /// Where the bootstrap's generator starts
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
}

/// Which samples a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Samples {
    /// All
    All,
    /// Those of held-out pairs
    HeldOut,
    /// Those of the last evaluation
    Last,
    /// None
    None,
}

impl From<Samples> for SampleRows {
    fn from(samples: Samples) -> Self {
        match samples {
            Samples::All => Self::All,
            Samples::HeldOut => Self::HeldOut,
            Samples::Last => Self::Last,
            Samples::None => Self::None,
        }
    }
}

/// Which evaluation of a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Evaluation {
    /// The last one
    Final,
    /// The first of those that rank most pairs right
    Best,
}

impl From<Evaluation> for At {
    fn from(evaluation: Evaluation) -> Self {
        match evaluation {
            Evaluation::Final => Self::Final,
            Evaluation::Best => Self::Best,
        }
    }
}
