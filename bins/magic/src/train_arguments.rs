//! The command line of `magic train`, word for word. Defaults are those of the published code where it has the option.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::{Machine, UsualLoop, at_least_one, at_least_zero, warmup};
use llm_runtime::FloatType;
use magic::{EncodingOptions, GeneratorSettings, Profile, Truncate};
use memory_bank::{BankOptions, EmptyMemory, GeneratorOptions, HeadInit, MotivationFusion, Pool};
use serde::de::DeserializeOwned;
use training::{AdamWOptions, ParameterGroup, Schedule, TrainerOptions, Warmup};

/// Train the response generator with its strategy memory
///
/// Reads the samples of `magic preprocess`. Each batch first writes the supporter's earlier responses into the memory and then reads
/// it. After each epoch the validation samples give a perplexity; the generator of the best one is kept in DIR/model, with its memory
/// and its tokenizer. --resume goes on after an interruption, to the same result.
#[derive(Debug, Args)]
#[command(
    mut_args(published_loop),
    after_help = "Examples:
  magic train --bart-base-dir facebook/bart-base --output-dir out_model
  magic train --bart-base-dir bart-base --motivation query --lm-head tied --output-dir with-query
  magic train --size tiny --limit 2000 --val-limit 200 --num-epochs 3 --output-dir try
  magic train --bart-base-dir bart-base --profile reference --output-dir as-published"
)]
pub(crate) struct Train {
    /// Samples to learn from
    #[arg(long, default_value = "data/train.json", value_name = "FILE")]
    pub(crate) train_data: PathBuf,
    /// Samples that decide which epoch is the best
    #[arg(long, alias = "valid-data", default_value = "data/valid.json", value_name = "FILE")]
    pub(crate) val_data: PathBuf,
    /// Only the first so many samples to learn from
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only the first so many validation samples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) val_limit: Option<usize>,
    /// Folder of the run: model/, events.jsonl, curve.svg, checkpoints/ …
    #[arg(long, alias = "out", default_value = "out_model", value_name = "DIR")]
    pub(crate) output_dir: PathBuf,
    /// BART to begin with: a Hugging Face folder or a hub id
    #[arg(long, required_unless_present = "size", value_name = "MODEL")]
    pub(crate) bart_base_dir: Option<String>,
    /// Begin with nothing: a small model with a vocabulary of the training samples
    #[arg(long, value_enum, conflicts_with = "bart_base_dir", value_name = "SIZE")]
    pub(crate) size: Option<Size>,
    /// Tokens of a vocabulary that is learned
    #[arg(long, default_value_t = 4000, conflicts_with = "bart_base_dir", value_name = "N")]
    pub(crate) vocabulary: usize,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print the resolved settings and what they cost, train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) method: Method,
    #[command(flatten)]
    pub(crate) loop_: Loop,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// A generator to be trained from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// One layer on either side, of width 64
    Tiny,
    /// Three layers on either side, of width 256
    Small,
}

/// How generator and memory work.
#[derive(Debug, Args)]
#[command(next_help_heading = "Generator and memory")]
pub(crate) struct Method {
    /// Whose behaviour is followed: what the paper means (ours), or what the published code does (reference: --lm-head random, --pool all,
    /// --motivation none, --bank-dedup off, --bank-exclude-self off, and an error where its numbers are none)
    #[arg(long, default_value = "ours", value_parser = choice::<Profile>, value_name = "ours|reference")]
    pub(crate) profile: Profile,
    /// How the motivation comes into play: not at all, beside the dialogue (concat), or as a question to the memory (query) [default: concat]
    #[arg(long, value_parser = choice::<MotivationFusion>, value_name = "none|concat|query")]
    pub(crate) motivation: Option<MotivationFusion>,
    /// What the output layer begins with: BART's token table, the same table (tied), or random values [default: embeddings]
    #[arg(long, value_parser = choice::<HeadInit>, value_name = "embeddings|tied|random")]
    pub(crate) lm_head: Option<HeadInit>,
    /// Over which places maxima are taken: those that hold a token, or all, padding too [default: masked]
    #[arg(long, value_parser = choice::<Pool>, value_name = "masked|all")]
    pub(crate) pool: Option<Pool>,
    /// What a sample reads whose strategy has no rows yet: a learned vector, nothing (zero), or an error where the published code makes numbers that are none (refuse)
    /// [default: learned]
    #[arg(long, value_parser = choice::<EmptyMemory>, value_name = "learned|zero|refuse")]
    pub(crate) empty: Option<EmptyMemory>,
    /// Rows of a strategy in the memory at most
    #[arg(long, default_value_t = 128, value_parser = at_least_one(), value_name = "N")]
    pub(crate) strategy_memory_max: usize,
    /// Whether a response that is there already takes the place of its older row [default: on]
    #[arg(long, value_parser = on_or_off, value_name = "on|off")]
    pub(crate) bank_dedup: Option<bool>,
    /// Whether rows from the future of a sample's own dialogue are hidden from it [default: on]
    #[arg(long, value_parser = on_or_off, value_name = "on|off")]
    pub(crate) bank_exclude_self: Option<bool>,
    /// Whether training writes the memory (train) or leaves it as it is (frozen)
    #[arg(long, value_enum, default_value_t = Writing::Train, value_name = "train|frozen")]
    pub(crate) bank_write: Writing,
    /// Encode all rows of the memory anew every N steps; 0 never does
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) bank_refresh: u64,
    /// Weight of the loss that tells strategies of remembered responses
    #[arg(long, default_value_t = 0.2, allow_negative_numbers = true, value_parser = at_least_zero, value_name = "X")]
    pub(crate) l_strategy: f64,
    /// Tokens of situation and dialogue at most, of a motivation and of a response too
    #[arg(long, default_value_t = 512, value_name = "N")]
    pub(crate) max_length: usize,
    /// Tokens of the situation at most
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub(crate) max_length_situation: usize,
    /// Tokens of a remembered response at most
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub(crate) max_length_res_memory: usize,
    /// What of a long dialogue gives way: the oldest turns (left) or the newest (right, as published)
    #[arg(long, value_parser = choice::<Truncate>, default_value = "left", value_name = "left|right")]
    pub(crate) truncate: Truncate,
}

/// Whether the memory grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Writing {
    /// Each batch writes
    Train,
    /// Nobody writes
    Frozen,
}

impl Method {
    pub(crate) fn settings(&self) -> GeneratorSettings {
        let encoding = EncodingOptions {
            max_length: self.max_length,
            max_length_res_memory: self.max_length_res_memory,
            max_length_situation: self.max_length_situation,
            truncate: self.truncate,
        };
        GeneratorSettings::new(self.profile, self.generator(), encoding)
    }

    /// What was given, else what the profile says.
    fn generator(&self) -> GeneratorOptions {
        let usual = self.profile.generator();
        GeneratorOptions {
            pool: self.pool.unwrap_or(usual.pool),
            motivation: self.motivation.unwrap_or(usual.motivation),
            empty: self.empty.unwrap_or(usual.empty),
            head: self.lm_head.unwrap_or(usual.head),
        }
    }

    pub(crate) fn bank(&self) -> BankOptions {
        let usual = self.profile.bank();
        BankOptions {
            capacity: self.strategy_memory_max,
            deduplicate: self.bank_dedup.unwrap_or(usual.deduplicate),
            exclude_self: self.bank_exclude_self.unwrap_or(usual.exclude_self),
            ..usual
        }
    }
}

/// Reads a choice by the name that `magic.json` has for it.
pub(crate) fn choice<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

/// f16 has no range for gradients.
fn trained_type(text: &str) -> Result<FloatType, String> {
    match text.parse() {
        Ok(known @ (FloatType::F32 | FloatType::Bf16)) => Ok(known),
        _ => Err("expected f32 or bf16".into()),
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".into()),
    }
}

/// The training loop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct Loop {
    /// Samples that go through the model at a time
    #[arg(long, default_value_t = 16, value_parser = at_least_one(), value_name = "N")]
    pub(crate) batch_size: usize,
    /// Batches of an optimiser step
    #[arg(long, default_value_t = 1, value_parser = at_least_one(), value_name = "N")]
    pub(crate) grad_accum: usize,
    /// Passes over the samples; may be a fraction
    #[arg(long, default_value_t = 20.0, allow_negative_numbers = true, value_name = "N")]
    pub(crate) num_epochs: f64,
    /// Peak learning rate [default: 5e-5; with --size 1e-3]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,
    /// constant, linear, cosine, cosine-with-restarts:N, cosine-with-floor:SHARE, polynomial:POWER:END, inverse-sqrt, noam or warmup-stable-decay:STEPS
    #[arg(long, default_value = "linear", value_name = "SCHEDULE")]
    pub(crate) schedule: Schedule,
    /// Steps of the warm-up, or a fraction of all steps like 0.1
    #[arg(long, default_value = "0", value_parser = warmup, value_name = "N")]
    pub(crate) warmup_steps: Warmup,
    /// Keep the weights of linear layers as f32, or as bf16 with masters in f32, which is faster on a GPU
    #[arg(long, default_value = "f32", value_parser = trained_type, value_name = "f32|bf16")]
    pub(crate) dtype: FloatType,
    /// Leave norms and biases out of the weight decay
    #[arg(long)]
    pub(crate) no_decay_norm_bias: bool,
    /// Steps between evaluations; 0 is once an epoch
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) evaluate_every: u64,
    #[command(flatten)]
    pub(crate) usual: UsualLoop,
}

impl Loop {
    pub(crate) fn options(&self, size: Option<Size>) -> TrainerOptions {
        let usual = self.usual.options();
        let no_decay = |contains: &str| ParameterGroup {
            contains: contains.to_owned(),
            weight_decay: Some(0.0),
            learning_rate_factor: 1.0,
        };
        let groups = if self.no_decay_norm_bias { vec![no_decay("norm"), no_decay("bias")] } else { Vec::new() };
        TrainerOptions {
            epochs: self.num_epochs,
            batch: self.batch_size,
            accumulate: self.grad_accum,
            by_length: true,
            learning_rate: self.learning_rate.unwrap_or(if size.is_some() { 1e-3 } else { 5e-5 }),
            schedule: self.schedule,
            warmup: self.warmup_steps,
            evaluate_every: self.evaluate_every,
            evaluation_batch: self.batch_size,
            adamw: AdamWOptions { groups, ..usual.adamw.clone() },
            ..usual
        }
    }
}

/// The published settings, where other loops have other defaults.
fn published_loop(option: clap::Arg) -> clap::Arg {
    match option.get_id().as_str() {
        "weight_decay" => option.default_value("0.01"),
        "patience" => option.default_value("5"),
        "log_every" => option.default_value("10"),
        "project" => option.default_value("solace-magic"),
        _ => option,
    }
}
