//! The command line of all stages in one go, word for word.

use std::path::PathBuf;

use clap::Args;

/// Do all stages in one go, and compare what they give
///
/// A preset says which stages there are and with which options: paper (the published settings), small (small models that begin with nothing, a part of the data,
/// no download), joint and vanilla (the baselines of ESConv), or a TOML file of your own in their form (--show-preset prints one). Each stage is a subcommand of
/// its own, run as you could run it by hand; its command line is shown, and what it prints goes to DIR/logs. Run the same command again after an
/// interruption: stages that are done are skipped, the one that was cut goes on. At the end DIR/comparison.json and a table stand all models side by side.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra run --input ESConv.json --preset small --out run
  thtra run --input ESConv.json --preset paper --base blenderbot_small-90M --encoder bert-base-uncased --out paper
  thtra run --preset small --show-preset > mine.toml && thtra run --input ESConv.json --preset mine.toml --out mine")]
pub(crate) struct Run {
    /// ESConv.json
    #[arg(long, required_unless_present = "show_preset", value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Which stages, and their options: a built-in preset or a TOML file
    #[arg(long, default_value = "paper", value_name = "paper|small|joint|vanilla|FILE")]
    pub(crate) preset: String,
    /// Where everything goes
    #[arg(long, required_unless_present = "show_preset", value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// BlenderBot-small to begin with, in place of the preset's: a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) base: Option<String>,
    /// BERT below the helpfulness model, in place of the preset's: a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) encoder: Option<String>,
    /// Only show the command lines of the stages
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Only print the preset
    #[arg(long)]
    pub(crate) show_preset: bool,
    #[command(flatten)]
    pub(crate) machine: command_line::Machine,
}
