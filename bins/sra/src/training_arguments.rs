//! The command line of what has to do with training, word for word. Defaults of `train` are the settings of the published
//! fine-tuning.

use std::path::PathBuf;

use clap::Args;
use command_line::{Runtime, Server, at_least_one};
use strategy_prompting::{Layout, Share};

use crate::arguments::Generation;

/// Make chats to fine-tune on out of continuation runs or a corpus
#[derive(Debug, Args)]
pub(crate) struct Dataset {
    /// Run folders or files of continuation records
    #[arg(long, num_args = 1.., value_name = "RUN", required_unless_present = "corpus")]
    pub(crate) input: Vec<PathBuf>,
    /// Raw corpora or prepared examples (.jsonl): learn what supporters really said
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub(crate) corpus: Vec<PathBuf>,
    /// Strategy set of the corpus: esconv8, extes15, multiesc8, or a TOML file
    #[arg(long, default_value = "esconv8", value_name = "SET")]
    pub(crate) strategies: String,
    /// Folder for train.jsonl, dev.jsonl and test.jsonl
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Only continuations of this layout [default: all]
    #[arg(long, value_parser = Layout::parse, value_name = "LAYOUT")]
    pub(crate) layout: Option<Layout>,
    /// System text of responses with a strategy
    #[arg(long, default_value = "train", value_name = "TEMPLATE")]
    pub(crate) instruction: String,
    /// Take responses without a strategy too, with this system text
    #[arg(long, num_args = 0..=1, default_missing_value = "train-unconditional", value_name = "TEMPLATE")]
    pub(crate) unconditional: Option<String>,
    /// Conversations for dev.jsonl: a number, or a fraction like 0.1
    #[arg(long, default_value = "0.1", value_parser = share, value_name = "N")]
    pub(crate) dev: Share,
    /// Conversations for test.jsonl
    #[arg(long, default_value = "0.1", value_parser = share, value_name = "N")]
    pub(crate) test: Share,
    /// Only the first so many responses
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Seed of the split
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
}

/// Answer chats with a layout and an adapter
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Chats as `sra dataset` writes them; the last answer is left out and kept as the reference
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// JSON Lines: each chat with `model_response`
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// How the chat is laid out
    #[arg(long, value_parser = Layout::parse, default_value = "standard", value_name = "LAYOUT")]
    pub(crate) layout: Layout,
    /// Only so many chats, drawn with the seed
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Seed of draws and sampling
    #[arg(long, default_value_t = 43, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) generation: Generation,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

fn share(text: &str) -> Result<Share, String> {
    let wrong = || format!("`{text}` is neither a number of conversations nor a fraction below 1");
    if let Ok(count) = text.parse() {
        return Ok(Share::Count(count));
    }
    let fraction: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..1.0).contains(&fraction) { Ok(Share::Fraction(fraction)) } else { Err(wrong()) }
}
