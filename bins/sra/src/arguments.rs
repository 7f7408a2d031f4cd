//! The command line, word for word.

use std::path::PathBuf;

use attention_viz::Precision;
use clap::{Args, Parser, Subcommand, ValueEnum};
use command_line::{Common, FineTune, InstallFiles, LONG_VERSION, Merge, Runtime, Server, at_least_one};
use strategy_prompting::{AttentionLevel, HistoryFormat, InstructionTemplate, Layout, OnFailure, Shard, TurnRange};

use crate::attention_arguments::{Adherence, Attention, Audit, Intervene, Predictability, TokenProbe, View};
use crate::classifier_arguments::Classifier;
use crate::judge_arguments::{Compare, HeadToHead, Judge};
use crate::score_arguments::Score;
use crate::serve_arguments::Serve;
use crate::training_arguments::{Dataset, Generate};

/// Strategy-steered continuations of emotional support conversations
#[derive(Debug, Parser)]
#[command(name = "sra", version, long_version = LONG_VERSION, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done; each one's help is that of its options.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Prepare(Prepare),
    Stats(Stats),
    Continue(Box<Continue>),
    Chat(Box<Chat>),
    Serve(Box<Serve>),
    Postprocess(Postprocess),
    Export(Export),
    Dataset(Dataset),
    Train(Box<FineTune>),
    Classifier(Classifier),
    Merge(Box<Merge>),
    Generate(Box<Generate>),
    Demo(Box<Demo>),
    Attention(Attention),
    View(View),
    Audit(Audit),
    Adherence(Box<Adherence>),
    Intervene(Box<Intervene>),
    Predictability(Box<Predictability>),
    TokenProbe(Box<TokenProbe>),
    Score(Box<Score>),
    Judge(Box<Judge>),
    Compare(Compare),
    #[command(name = "head2head")]
    HeadToHead(Box<HeadToHead>),
    Agreement(Agreement),
    #[command(flatten)]
    InstallFiles(InstallFiles),
}

/// Cut raw conversations into examples
#[derive(Debug, Args)]
pub(crate) struct Prepare {
    /// ESConv.json, FailedESConv.json, a ThTra or MultiESC text file, or demo:N (N built-in dialogues)
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where the examples go, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// First supporter turn to be cut before
    #[arg(long, value_name = "TURN", default_value_t = 1)]
    pub(crate) starting_turn: usize,
    /// Only the first so many conversations
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// Count what a corpus holds
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// A raw corpus, prepared examples (.jsonl), or demo:N
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
}

/// Continue dialogues once per strategy and layout
#[derive(Debug, Args)]
pub(crate) struct Continue {
    /// demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Prepared examples (.jsonl), a raw corpus, cut on the spot, or demo:N (N built-in dialogues)
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Folder of the run: records go to DIR/continuations.jsonl
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Begin with the finished records of these runs, which differ in the examples that they continue: all shares of this run (--shard)
    #[arg(long, num_args = 1.., value_name = "RUN")]
    pub(crate) merge: Vec<PathBuf>,
    /// Print the resolved settings and the cost estimate, generate nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// What to do when a request can't be served
    #[arg(long, value_parser = on_failure, default_value = "skip", value_name = "skip|stop")]
    pub(crate) on_failure: OnFailure,
    /// Capture attention of the new tokens: spans (mass on every part of the prompt), layers (also whole rows, mean over
    /// heads), full (also every head); one file per continuation in DIR/attention
    #[arg(long, value_name = "spans|layers|full")]
    pub(crate) attention: Option<AttentionLevel>,
    /// How whole rows of attention are stored: f16 or f32
    #[arg(long, default_value = "f16", value_parser = attention_precision, value_name = "f16|f32")]
    pub(crate) attention_precision: Precision,
    #[command(flatten)]
    pub(crate) sweep: Sweep,
    #[command(flatten)]
    pub(crate) generation: Generation,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// What is continued.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is continued")]
pub(crate) struct Sweep {
    /// How the history is laid out; several, separated by commas or repeated
    #[arg(long, value_delimiter = ',', value_parser = Layout::parse, default_value = "c1_hf", value_name = "LAYOUT")]
    pub(crate) layout: Vec<Layout>,
    /// Strategy set: extes15, esconv8, multiesc8, or a TOML file
    #[arg(long, default_value = "extes15", value_name = "SET")]
    pub(crate) strategies: String,
    /// Instruction template: t1 … t6, train, train-unconditional, chat-none, or a text file
    #[arg(long, default_value = InstructionTemplate::DEFAULT_NAME, value_name = "TEMPLATE")]
    pub(crate) instruction: String,
    /// How the history block is written
    #[arg(long, value_parser = history_format, default_value = "prompting", value_name = "prompting|evaluation")]
    pub(crate) history_format: HistoryFormat,
    /// Supporter turns to continue, both ends included
    #[arg(long, default_value = "3..10", value_name = "FIRST..LAST")]
    pub(crate) turns: TurnRange,
    /// Only the first so many conversations
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) conversations: Option<usize>,
    /// Only the first so many examples (cut points)
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Take each pair of example and strategy with this probability instead of all
    #[arg(long, value_name = "P")]
    pub(crate) sample_prob: Option<f64>,
    /// How pairs are chosen; python-compat draws as the published code did (probability 0.3 unless given)
    #[arg(long, value_enum, default_value_t = Sampling::Exhaustive)]
    pub(crate) sampling: Sampling,
    /// Do only share I of N (0-based), to spread a run over machines
    #[arg(long, default_value = "0/1", value_name = "I/N")]
    pub(crate) shard: Shard,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
}

/// How pairs are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sampling {
    /// All pairs, or each with --sample-prob by its own generator
    Exhaustive,
    /// The published code's draws
    PythonCompat,
}

/// See the method at work on built-in dialogues and a built-in model
///
/// Continues a late turn of each dialogue with every strategy in two layouts: the instruction beside the last turn (c1_hf), and as
/// system text in front of the dialogue (standard).
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The built-in model (demo), or any other
    #[arg(long, default_value = "demo", value_name = "MODEL")]
    pub(crate) model: String,
    /// How many of the built-in dialogues
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) dialogues: usize,
    /// Keep the run in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Count how often responses follow their strategy (demonstration language only)
///
/// The classifier is fitted on the synthetic dialogues of the demonstration model and knows no other language.
#[derive(Debug, Args)]
pub(crate) struct Agreement {
    /// Run folders or files of continuation records
    #[arg(long, required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) input: Vec<PathBuf>,
    /// The dialogues of the runs: responses without a strategy are then compared with the real supporter's
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
}

/// How text is generated.
#[derive(Debug, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct Generation {
    /// At most this many new tokens
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub(crate) max_new_tokens: usize,
    /// No end before this many new tokens
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) min_new_tokens: usize,
    /// Softmax temperature; 0 is greedy [default: 0.7, with several beams 0]
    #[arg(long, allow_negative_numbers = true, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// Keep the K most likely tokens; 0 keeps all
    #[arg(long, default_value_t = 50, value_name = "K")]
    pub(crate) top_k: usize,
    /// Keep the most likely tokens up to this probability
    #[arg(long, default_value_t = 0.9, value_name = "P")]
    pub(crate) top_p: f32,
    /// Keep tokens at least this many times as likely as the most likely
    #[arg(long, default_value_t = 0.0, value_name = "P")]
    pub(crate) min_p: f32,
    /// Locally typical sampling: probability to keep
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    pub(crate) typical_p: f32,
    /// Penalty on tokens that occurred already; 1 is none
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub(crate) repetition_penalty: f32,
    /// No n-gram of this size twice; 0 allows all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) no_repeat_ngram_size: usize,
    /// Beams; 1 is sampling or greedy decoding
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) beam_width: usize,
    /// Beam scores are divided by length to this power
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "X")]
    pub(crate) length_penalty: f32,
    /// End before this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
}

/// Talk with a model that answers by the strategy of your choice
///
/// You are the seeker, the model is the supporter. /help lists the commands, /strategy the strategies. Ctrl-C ends an answer
/// early and, while you are typing, the chat; Ctrl-D ends the chat too. From a pipe, each line is a text or a command. With
/// --format json each turn is one line, a JSON object.
#[derive(Debug, Args)]
pub(crate) struct Chat {
    /// demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Strategy set: extes15, esconv8, multiesc8, or a TOML file
    #[arg(long, default_value = "extes15", value_name = "SET")]
    pub(crate) strategies: String,
    /// Strategy to begin with: a name, a number of the set, none or random
    #[arg(long, default_value = "none", value_name = "STRATEGY")]
    pub(crate) strategy: String,
    /// How the history is laid out: standard, or c1, c3, c5 with _hf or _hl
    #[arg(long, value_parser = Layout::parse, default_value = "standard", value_name = "LAYOUT")]
    pub(crate) layout: Layout,
    /// Instruction template: t1 … t6, train, train-unconditional, chat-none, or a text file [default: train, with a
    /// situation t1]; where it needs a strategy and none is chosen, chat-none
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) instruction: Option<String>,
    /// Your situation, for instructions that tell it
    #[arg(long, value_name = "TEXT")]
    pub(crate) situation: Option<String>,
    /// Keep the chat in this new file after each turn (JSON Lines)
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Seed of everything that is drawn
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) monitoring: Monitoring,
    #[command(flatten)]
    pub(crate) generation: Generation,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// What is measured of a chat's answers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Drift monitor")]
pub(crate) struct Monitoring {
    /// Measure each answer: attention to the strategy's name (SRA), and adherence, for which it is scored behind the prompts of
    /// all strategies; --monitor=sra leaves adherence out. Local models only
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all",
        value_name = "all|sra",
        hide_possible_values = true
    )]
    pub(crate) monitor: Option<Watched>,
    /// Change the layout once an answer's adherence is below this many nats per token, for the answers after it
    #[arg(long, requires = "monitor", value_parser = finite, allow_negative_numbers = true, value_name = "X")]
    pub(crate) relayout_below: Option<f64>,
    /// The layout that it is changed to, one of those of --layout [default: c1_hf]
    #[arg(long, requires = "relayout_below", value_parser = Layout::parse, value_name = "LAYOUT")]
    pub(crate) relayout_to: Option<Layout>,
}

/// What a monitor measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Watched {
    /// SRA and adherence
    All,
    /// SRA alone
    Sra,
}

/// Tidy the responses of a run
#[derive(Debug, Args)]
pub(crate) struct Postprocess {
    /// A run folder, its continuations.jsonl, or a folder of the reference's JSON files
    #[arg(long, value_name = "PATH")]
    pub(crate) input: PathBuf,
    /// Where the result goes
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Do exactly what the published code did: lower-case, and delete the label anywhere
    #[arg(long)]
    pub(crate) compat: bool,
}

/// Write a run in the forms other tools read
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// A run folder
    #[arg(long, value_name = "DIR")]
    pub(crate) input: PathBuf,
    /// A folder (reference) or a file (chat)
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// reference: one JSON file per example; chat: JSON Lines of messages, as the `datasets` library loads them
    #[arg(long, value_enum, default_value_t = ExportForm::Reference)]
    pub(crate) form: ExportForm,
    /// Only this layout [default: all; `reference` makes a folder for each]
    #[arg(long, value_parser = Layout::parse, value_name = "LAYOUT")]
    pub(crate) layout: Option<Layout>,
    /// Write responses tidied instead of raw
    #[arg(long)]
    pub(crate) tidy: bool,
}

/// What an export looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// One JSON file per example, as the published code writes
    Reference,
    /// JSON Lines of chat messages
    Chat,
}

fn attention_precision(text: &str) -> Result<Precision, String> {
    match text {
        "f16" => Ok(Precision::F16),
        "f32" => Ok(Precision::F32),
        _ => Err("expected f16 or f32".into()),
    }
}

fn finite(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "expected a finite number of nats per token, such as 0.1".to_owned())
}

fn on_failure(text: &str) -> Result<OnFailure, String> {
    match text {
        "skip" => Ok(OnFailure::Skip),
        "stop" => Ok(OnFailure::Stop),
        _ => Err("expected skip or stop".into()),
    }
}

fn history_format(text: &str) -> Result<HistoryFormat, String> {
    match text {
        "prompting" => Ok(HistoryFormat::Prompting),
        "evaluation" => Ok(HistoryFormat::Evaluation),
        _ => Err("expected prompting or evaluation".into()),
    }
}
