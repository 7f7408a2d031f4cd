//! The command line of `persuasion threads`.

use std::path::PathBuf;

use clap::Args;
use persuasion::corpus::DeltaRule;

/// Write the threads of a dump in which a post's author answers, for annotation
///
/// A line for each comment of a post's author: the post, and the comments from the one that replies to it down to that comment, oldest first, with whether the last one gives
/// a delta.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  persuasion threads --posts CMV_submissions.zst --comments CMV_comments.zst --out threads.json
  persuasion threads --posts posts.jsonl --comments comments.jsonl --delta-rule reference --skip-bad")]
pub(crate) struct Threads {
    /// Posts of a dump, JSON Lines (.gz and .zst are decompressed)
    #[arg(long, num_args = 1.., required = true, value_name = "FILE")]
    pub(crate) posts: Vec<PathBuf>,
    /// Comments of the dump
    #[arg(long, num_args = 1.., required = true, value_name = "FILE")]
    pub(crate) comments: Vec<PathBuf>,
    /// Where the threads go, JSON Lines
    #[arg(long, default_value = "threads.json", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// What counts as a delta: a sign outside of quotes and code, or `!delta` or `&#8710;` anywhere, as in the published threads
    #[arg(long, default_value_t = DeltaRule::Ours, value_parser = DeltaRule::parse, value_name = "ours|reference")]
    pub(crate) delta_rule: DeltaRule,
    /// Leave lines out that can't be read, and count them; without it the first one ends the work
    #[arg(long)]
    pub(crate) skip_bad: bool,
}
