//! The command line of what has to do with training, word for word. Defaults of `train` are the settings of the published
//! fine-tuning.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::Server;
use llm_runtime::ExportType;
use lora::LoraConfig;
use lora::sft::{BadRecords, BuiltInPlain, ColumnMap, EncodeOptions, LearnOn, PlainTemplate, ReadOptions, SftError};
use lora::{ALL_LINEAR, Targets};
use strategy_prompting::{Layout, Share};
use training::{AdamWOptions, Schedule, TrainerOptions, Warmup};

use crate::arguments::{Generation, ModelOptions, Runtime, at_least_one};

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

/// Fine-tune a model with LoRA
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder of the run: adapter/, events.jsonl, curve.svg, checkpoints/ …
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print the resolved settings and what they cost, train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) data: TrainingData,
    #[command(flatten)]
    pub(crate) lora: Lora,
    #[command(flatten)]
    pub(crate) loop_: Loop,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
}

/// What is learned from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub(crate) struct TrainingData {
    /// JSON or JSON Lines: chat messages, instruction/input/output, or prompt/completion
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// Held-out files, or a folder of *dev.json* and *val.json* files; the first decides which checkpoint is the best
    #[arg(long, num_args = 1.., value_name = "PATH")]
    pub(crate) dev: Vec<PathBuf>,
    /// Names of the fields in the files, e.g. instruction=question,output=answer
    #[arg(long, default_value = "", value_name = "MAP")]
    pub(crate) columns: ColumnMap,
    /// Write prompts with this text file (or plain, human-assistant) instead of the model's chat template
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) plain: Option<String>,
    /// Which part is learned
    #[arg(long, value_enum, default_value_t = Learn::Last)]
    pub(crate) learn_on: Learn,
    /// Tokens of an example at most; the oldest turns are dropped
    #[arg(long, value_name = "TOKENS")]
    pub(crate) cutoff: Option<usize>,
    /// Put short examples together up to this many tokens
    #[arg(long, value_name = "TOKENS")]
    pub(crate) pack: Option<usize>,
    /// Leave out records that can't be used instead of failing
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Only the first so many training examples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// Which part of a chat is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Learn {
    /// The last answer with its end
    Last,
    /// All answers
    Answers,
    /// Everything
    Everything,
}

/// The adapter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Adapter")]
pub(crate) struct Lora {
    /// Rank of the update
    #[arg(long, default_value_t = 128, value_name = "R")]
    pub(crate) rank: usize,
    /// The update is scaled by ALPHA / R
    #[arg(long, default_value_t = 256.0, allow_negative_numbers = true, value_name = "ALPHA")]
    pub(crate) alpha: f64,
    /// Probability with which inputs of the update are dropped
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true, value_name = "P")]
    pub(crate) dropout: f64,
    /// Layers by the end of their names (q_proj,v_proj), or all-linear
    #[arg(long, value_delimiter = ',', default_value = ALL_LINEAR, value_name = "NAMES")]
    pub(crate) targets: Vec<String>,
    /// Scale by ALPHA / √R (rsLoRA)
    #[arg(long)]
    pub(crate) rslora: bool,
    /// Learn the length of each output row too (DoRA)
    #[arg(long)]
    pub(crate) dora: bool,
    /// Go on training this adapter (a PEFT folder) instead of a fresh one; its own shape counts
    #[arg(long, value_name = "DIR")]
    pub(crate) from_adapter: Option<PathBuf>,
}

/// The training loop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct Loop {
    /// Passes over the data; may be a fraction
    #[arg(long, default_value_t = 5.0, allow_negative_numbers = true, value_name = "N")]
    pub(crate) epochs: f64,
    /// Examples that go through the model at a time
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) micro_batch: usize,
    /// Micro-batches of an optimiser step
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub(crate) accumulate: usize,
    /// Put examples of like lengths into a micro-batch
    #[arg(long)]
    pub(crate) by_length: bool,
    /// Peak learning rate
    #[arg(long, default_value_t = 5e-5, allow_negative_numbers = true, value_name = "RATE")]
    pub(crate) learning_rate: f64,
    /// constant, linear, cosine, cosine-with-restarts:N, cosine-with-floor:SHARE, polynomial:POWER:END, inverse-sqrt or warmup-stable-decay:STEPS
    #[arg(long, default_value = "cosine-with-restarts:5", value_name = "SCHEDULE")]
    pub(crate) schedule: Schedule,
    /// Steps of the warm-up, or a fraction of all steps like 0.1
    #[arg(long, default_value = "0.1", value_parser = warmup, value_name = "N")]
    pub(crate) warmup: Warmup,
    /// Steps between evaluations; 0 is once an epoch
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(crate) evaluate_every: u64,
    #[command(flatten)]
    pub(crate) usual: UsualLoop,
}

/// What every training loop has.
#[derive(Debug, Args)]
pub(crate) struct UsualLoop {
    /// End after so many optimiser steps instead
    #[arg(long, value_name = "N")]
    pub(crate) max_steps: Option<u64>,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "X")]
    pub(crate) weight_decay: f64,
    /// Largest norm over all gradients; 0 does not clip
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "X")]
    pub(crate) clip: f64,
    /// Keep only each layer's input for the backward pass: less memory, a third more time
    #[arg(long)]
    pub(crate) gradient_checkpointing: bool,
    /// Steps between checkpoints; 0 is once an epoch
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) save_every: u64,
    /// Checkpoints to keep beside the best
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) keep: usize,
    /// End after so many evaluations without a better one; 0 never does
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) patience: u64,
    /// Steps between records of the loss
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) log_every: u64,
    /// Seed of fresh weights, shuffles, dropout and of what is held out
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) tracking: Tracking,
}

/// Records for others.
#[derive(Debug, Args)]
pub(crate) struct Tracking {
    /// Write records for this tracker too; wandb: a folder that `wandb sync` uploads
    #[arg(long, value_enum, value_name = "TRACKER")]
    pub(crate) track: Option<Track>,
    /// Project name for the tracker
    #[arg(long, default_value = "solace-sra", value_name = "NAME")]
    pub(crate) project: String,
}

/// A tracker beside events.jsonl and TensorBoard, which are always written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Track {
    /// An offline run folder of Weights & Biases
    Wandb,
}

/// Fold an adapter into its model and write the result; without an adapter: write the model in another form
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// LoRA adapter: a PEFT folder, or a run of `sra train`
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// A .gguf file, or a folder for safetensors
    #[arg(long, value_name = "PATH")]
    pub(crate) out: PathBuf,
    /// f32, f16, bf16; for GGUF also q8_0, q4_k or q6_k
    #[arg(id = "type", long = "type", default_value = "f16", value_name = "TYPE")]
    pub(crate) form: ExportType,
    /// Largest safetensors shard, e.g. 5G
    #[arg(long, default_value = "5G", value_parser = llm_runtime::parse_bytes, value_name = "SIZE")]
    pub(crate) export_size: u64,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
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

impl Lora {
    pub(crate) fn config(&self) -> LoraConfig {
        let targets = match self.targets.as_slice() {
            [one] if one == ALL_LINEAR => Targets::Named(one.clone()),
            names => Targets::Any(names.to_vec()),
        };
        LoraConfig {
            rank: self.rank,
            alpha: self.alpha,
            dropout: self.dropout,
            targets,
            use_rslora: self.rslora,
            use_dora: self.dora,
            ..LoraConfig::default()
        }
    }
}

impl Loop {
    pub(crate) fn options(&self) -> TrainerOptions {
        TrainerOptions {
            epochs: self.epochs,
            batch: self.micro_batch,
            accumulate: self.accumulate,
            by_length: self.by_length,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            evaluate_first: true,
            evaluation_batch: self.micro_batch.max(4),
            ..self.usual.options()
        }
    }
}

impl UsualLoop {
    pub(crate) fn options(&self) -> TrainerOptions {
        TrainerOptions {
            max_steps: self.max_steps,
            adamw: AdamWOptions { weight_decay: self.weight_decay, ..AdamWOptions::default() },
            clip: (self.clip != 0.0).then_some(self.clip),
            gradient_checkpointing: self.gradient_checkpointing,
            save_every: self.save_every,
            keep: self.keep,
            patience: self.patience,
            log_every: self.log_every,
            seed: self.seed,
            ..TrainerOptions::default()
        }
    }
}

impl TrainingData {
    pub(crate) fn bad_records(&self) -> BadRecords {
        if self.skip_bad { BadRecords::Skip } else { BadRecords::Fail }
    }

    pub(crate) fn reading(&self) -> ReadOptions {
        ReadOptions { columns: self.columns.clone(), bad_records: self.bad_records(), ..ReadOptions::default() }
    }

    pub(crate) fn encoding(&self) -> EncodeOptions {
        let learn_on = match self.learn_on {
            Learn::Last => LearnOn::LastAssistant,
            Learn::Answers => LearnOn::AllAssistants,
            Learn::Everything => LearnOn::Everything,
        };
        EncodeOptions { learn_on, cutoff: self.cutoff, ..EncodeOptions::default() }
    }

    /// The text template that takes the place of the model's chat template.
    pub(crate) fn plain_template(&self) -> Result<Option<PlainTemplate>, SftError> {
        let Some(name) = &self.plain else { return Ok(None) };
        let built_in =
            [BuiltInPlain::Plain, BuiltInPlain::HumanAssistant].into_iter().find(|known| known.name() == name);
        Ok(Some(match built_in {
            Some(built_in) => built_in.template()?,
            None => PlainTemplate::read(name.as_ref())?,
        }))
    }
}

fn share(text: &str) -> Result<Share, String> {
    let wrong = || format!("`{text}` is neither a number of conversations nor a fraction below 1");
    if let Ok(count) = text.parse() {
        return Ok(Share::Count(count));
    }
    let fraction: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..1.0).contains(&fraction) { Ok(Share::Fraction(fraction)) } else { Err(wrong()) }
}

pub(crate) fn warmup(text: &str) -> Result<Warmup, String> {
    let wrong = || format!("`{text}` is neither a number of steps nor a fraction of all steps up to 1");
    if let Ok(steps) = text.parse() {
        return Ok(Warmup::Steps(steps));
    }
    let ratio: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=1.0).contains(&ratio) { Ok(Warmup::Ratio(ratio)) } else { Err(wrong()) }
}
