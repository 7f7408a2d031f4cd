//! The command line of `persuasion eval`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::{Server, at_least_one};

use crate::subject_arguments::{SubjectOptions, of_persuasion};

/// Tell what a model is worth on held-out pairs
///
/// With the adapter and without it, side by side: how often the chosen reply has the higher reward (with a bootstrap interval over posts, since pairs of one post are
/// not independent), beside preferring the longer reply and beside the base model's own likelihood; margins, accuracy by difference of length, perplexity, KL. Of replies
/// (--generations, or --generate): lengths, variety, and how many copy eight or more words in a row from the post or from a training reply. --judge lets a model
/// compare them with the base model's or with people's, each pair in both orders.
#[derive(Debug, Args)]
#[command(
    mut_args(of_persuasion),
    after_help = "Examples:
  persuasion eval --adapter run
  persuasion eval --adapter run --generate 50 --judge openai:NAME@http://localhost:8000/v1
  persuasion eval --generations replies.jsonl --judge judge.gguf --by likelihood --against human --out evaluation.json
  persuasion eval --model demo --data pairs/test.jsonl --out base.json --format json"
)]
pub(crate) struct Eval {
    #[command(flatten)]
    pub(crate) subject: SubjectOptions,
    /// File of pairs [default: test.jsonl of the run's data]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Only so many pairs, always the same ones: they are drawn from the whole file and stay in its order
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// β of the rewards [default: the run's, else 0.1]
    #[arg(long, allow_negative_numbers = true, value_name = "BETA")]
    pub(crate) beta: Option<f64>,
    /// Pairs that go through the model at a time
    #[arg(long, default_value_t = 4, value_parser = at_least_one(), value_name = "N")]
    pub(crate) evaluation_batch: usize,
    /// Where the evaluation is written; replies and verdicts lie beside it [default: RUN/outputs/evaluation.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the replies and verdicts of an interrupted call
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) bootstrap: Bootstrap,
    #[command(flatten)]
    pub(crate) replies: ReplyOptions,
    #[command(flatten)]
    pub(crate) judging: JudgeOptions,
}

/// How intervals are made.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Intervals")]
pub(crate) struct Bootstrap {
    /// Resamples of the bootstrap
    #[arg(long, default_value_t = 2000, value_name = "N")]
    pub(crate) resamples: usize,
    /// What an interval holds, between 0 and 1
    #[arg(long, default_value_t = 0.95, allow_negative_numbers = true, value_name = "SHARE")]
    pub(crate) confidence: f64,
    /// Where the bootstrap's generator starts, and that of sampled texts for Self-BLEU
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
}

/// Which replies are looked at.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Replies")]
pub(crate) struct ReplyOptions {
    /// Files of `persuasion generate`
    #[arg(long, num_args = 1.., conflicts_with = "generate", value_name = "FILE")]
    pub(crate) generations: Vec<PathBuf>,
    /// Reply greedily to the first so many prompts, with the adapter and without
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) generate: Option<usize>,
    /// New tokens of such a reply
    #[arg(long, default_value_t = 512, value_parser = at_least_one(), value_name = "TOKENS")]
    pub(crate) max_new_tokens: usize,
    /// Pairs that were learned from, to find copied replies [default: train.jsonl of the run's data]
    #[arg(long, value_name = "FILE")]
    pub(crate) train_data: Option<PathBuf>,
}

/// Who compares replies, and with what.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Judge")]
pub(crate) struct JudgeOptions {
    /// The judge: demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, value_name = "MODEL")]
    pub(crate) judge: Option<String>,
    /// What replies are compared with: base, human (the chosen reply), or both [default: base where there are such replies, else human]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "base|human")]
    pub(crate) against: Vec<Against>,
    /// What the judge is told: persuasiveness, or a file; its slots are {{ instruction }} (the post), {{ response_a }} and {{ response_b }}
    #[arg(long, default_value = "persuasiveness", value_name = "TEMPLATE")]
    pub(crate) judge_template: String,
    /// text (it writes reasons and a verdict) or likelihood (every verdict is scored)
    #[arg(long, value_enum, default_value_t = By::Text)]
    pub(crate) by: By,
    /// At most this many new tokens of the judge
    #[arg(long, default_value_t = 1024, value_parser = at_least_one(), value_name = "TOKENS")]
    pub(crate) judge_tokens: usize,
    /// Softmax temperature of the judge; 0 is greedy
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "T")]
    pub(crate) judge_temperature: f32,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// What replies are compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// The base model's reply
    Base,
    /// The reply that people preferred
    Human,
}

/// How a judge's opinion is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// It writes reasons and a verdict
    Text,
    /// Every possible verdict is scored
    Likelihood,
}
