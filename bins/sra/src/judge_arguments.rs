//! The command line of judging: by a model, by people, in a live chat.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::{Runtime, Server, at_least_one};
use llm_runtime::GenerationOptions;
use strategy_prompting::Layout;

use crate::arguments::Generation;

/// Let a language model judge how well strategies are followed
///
/// With two runs it says, for each dialogue and strategy that both answered, which answer is better; each pair is shown in both
/// orders, and only a verdict that follows the answer across the swap is a win. With one run and a template that rates, it
/// rates answers from 1 to 5.
#[derive(Debug, Args)]
pub(crate) struct Judge {
    /// One or two run folders, files of records, or files of `sra generate`
    #[arg(required = true, num_args = 1..=2, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The judge: demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// What the judge is told: strategy-following, quality, rate-strategy-following, rate-empathy, rate-coherence, or a file
    /// [default: strategy-following, for one run rate-strategy-following]
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,
    /// How its opinion is found: text (it writes reasons and a verdict) or likelihood (every verdict is scored; nothing is
    /// written and none is invalid)
    #[arg(long, value_enum, default_value_t = By::Text)]
    pub(crate) by: By,
    /// Ratings that are written: how often each answer is rated; the mean counts [default: 1]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
    pub(crate) samples: Option<u16>,
    /// Which layout of a run is judged; two, separated by a comma, for two runs (which may be the same)
    #[arg(long, value_delimiter = ',', value_name = "LAYOUT")]
    pub(crate) layout: Vec<String>,
    /// Only so many, evenly spread over dialogues and strategies
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Judgements, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted call ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// At most this many new tokens of the judge
    #[arg(long, default_value_t = 1024, value_name = "N")]
    pub(crate) max_new_tokens: usize,
    /// Softmax temperature of the judge; 0 is greedy
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true, value_name = "T")]
    pub(crate) temperature: f32,
    /// Seed of sampling
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// How a judge's opinion is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// It writes reasons and a verdict
    Text,
    /// Every possible verdict is scored
    Likelihood,
}

impl Judge {
    pub(crate) fn template_name(&self) -> &str {
        let default = if self.runs.len() == 1 { "rate-strategy-following" } else { "strategy-following" };
        self.template.as_deref().unwrap_or(default)
    }

    pub(crate) fn generation(&self) -> GenerationOptions {
        GenerationOptions {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            seed: self.seed,
            ..GenerationOptions::default()
        }
    }
}

/// Let people compare two runs: tasks for Label Studio, and what their answers say
///
/// With two runs and --out it writes tasks.json, view.xml and key.json (what stood where; not for annotators). With --annotations
/// it reads an export back and reports who was preferred, how well annotators agree, and whether SRA goes along.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Two run folders, files of records, or files of `sra generate`
    #[arg(num_args = 0..=2, value_name = "RUN", conflicts_with = "annotations")]
    pub(crate) runs: Vec<PathBuf>,
    /// Folder for the tasks
    #[arg(long, value_name = "DIR", required_unless_present = "annotations", conflicts_with = "annotations")]
    pub(crate) out: Option<PathBuf>,
    /// Which layout of a run is compared; two, separated by a comma, for two runs (which may be the same)
    #[arg(long, value_delimiter = ',', value_name = "LAYOUT", conflicts_with = "annotations")]
    pub(crate) layout: Vec<String>,
    /// At most this many tasks: strategies as even as possible, conversations in turn
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) most: usize,
    /// Seed of choice, order and sides
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Label Studio's JSON export, or rows as the published comparison has them
    #[arg(long, value_name = "FILE")]
    pub(crate) annotations: Option<PathBuf>,
    /// key.json of the tasks; without it, rows as published are expected
    #[arg(long, value_name = "FILE", requires = "annotations")]
    pub(crate) key: Option<PathBuf>,
    /// Leave out annotations whose difference of SRA lies beyond the 1st and 99th percentile, as published
    #[arg(long, requires = "annotations")]
    pub(crate) usual_differences: bool,
}

/// Chat with two models at a time without knowing which is which, and say whose answer is better
///
/// Both models get the same texts and the same strategy, each with its own answers as history. Which one stands on which side is
/// drawn anew for every chat. In the terminal (/help lists the commands), or with --web as a page in the browser, for
/// several visitors, each with a chat of their own.
#[derive(Debug, Args)]
pub(crate) struct HeadToHead {
    /// The first model: demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// The second model
    #[arg(long, value_name = "MODEL")]
    pub(crate) against: String,
    /// Adapter of the second model (the first one's is --adapter)
    #[arg(long, value_name = "DIR")]
    pub(crate) against_adapter: Option<PathBuf>,
    /// Preferences, one JSON object a line; added to what is there
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Serve a page in the browser instead of chatting here
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:5230")]
    pub(crate) web: Option<SocketAddr>,
    /// Also answer to this host name; may be repeated
    #[arg(long, value_name = "NAME", requires = "web")]
    pub(crate) allow_host: Vec<String>,
    /// Chats that are kept at a time; the one that was idle longest gives way to a new one
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..), value_name = "N", requires = "web")]
    pub(crate) visitors: u16,
    /// Strategy set: extes15, esconv8, multiesc8, or a TOML file
    #[arg(long, default_value = "extes15", value_name = "SET")]
    pub(crate) strategies: String,
    /// Strategy to begin with: a name, a number of the set, none or random
    #[arg(long, default_value = "none", value_name = "STRATEGY")]
    pub(crate) strategy: String,
    /// How the history is laid out
    #[arg(long, value_parser = Layout::parse, default_value = "standard", value_name = "LAYOUT")]
    pub(crate) layout: Layout,
    /// Instruction template: t1 … t6, train, train-unconditional, chat-none, or a text file [default: train, with a
    /// situation t1]; where it needs a strategy and none is chosen, chat-none
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) instruction: Option<String>,
    /// Your situation, for instructions that tell it
    #[arg(long, value_name = "TEXT")]
    pub(crate) situation: Option<String>,
    /// Seed of sides and sampling
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) generation: Generation,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}
