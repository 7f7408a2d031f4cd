//! The command line of `persuasion generate`.

use std::path::PathBuf;

use clap::Args;
use command_line::{Server, at_least_one};

use crate::subject_arguments::{Sampling, SubjectOptions, of_persuasion};

/// Reply to the prompts of pairs
///
/// Each different prompt of the file is replied to once (or --samples times), greedily unless --temperature says otherwise. Replies are kept as they come: --resume
/// goes on after an interruption, and the finished file is the same as without one. Beside the JSON Lines stand the same replies as CSV, with the columns of the
/// published runs, and the settings (.metadata.json). A model behind a server gets each prompt as a chat.
#[derive(Debug, Args)]
#[command(
    mut_args(of_persuasion),
    after_help = "Examples:
  persuasion generate --adapter run --data pairs/validation.jsonl --out replies.jsonl --with-base
  persuasion generate --model Llama-2-7b-hf --data pairs/test.jsonl --out base.jsonl --limit 100
  persuasion generate --adapter run --data pairs/test.jsonl --out five.jsonl --samples 5 --temperature 0.7 --top-p 0.9
  persuasion generate --model openai:NAME@http://localhost:8000/v1 --data pairs/test.jsonl --out other.jsonl"
)]
pub(crate) struct Generate {
    #[command(flatten)]
    pub(crate) subject: SubjectOptions,
    /// File of pairs whose prompts are replied to [default: validation.jsonl of the run's data]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Only the first so many prompts
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Also let the model reply without its adapter
    #[arg(long)]
    pub(crate) with_base: bool,
    /// Replies, one JSON object a line; CSV and settings are written beside it
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted call ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) sampling: Sampling,
    #[command(flatten)]
    pub(crate) server: Server,
}
