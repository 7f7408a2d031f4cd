//! The command line of the trained response generator, word for word. Defaults are those of the published code where it has the option.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use command_line::{Failure, Machine, MetricTables, at_least_one};
use llm_runtime::EarlyStopping;
use magic::{Profile, Strategy, Truncate};
use seq2seq::search::{DecodingOptions, VarietyRanking};

use crate::train_arguments::choice;

/// Answer samples with a trained generator, and score the responses
///
/// Writes to DIR the real responses (response_labels.txt) and the generated ones (responses_given.txt), one a line, responses.jsonl with all that is known
/// of each, and metrics.json. "given" follows the strategies and motivations of the test file; with --inferred the samples are answered once more with
/// inferred ones, and both stand side by side. --resume goes on after an interruption.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  magic eval --model-path out_model --test-data data/test.json
  magic eval --model-path out_model --decode diverse --num-beams 6 --beam-groups 3 --out diverse
  magic eval --model-path out_model --inferred LLM_inference/strategy_with_motivation_test.json
  magic eval --model-path out_model --limit 100 --format json")]
pub(crate) struct Eval {
    /// The generator: a run of `magic train`, or its model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model_path: PathBuf,
    /// Samples to be answered
    #[arg(long, default_value = "data/test.json", value_name = "FILE")]
    pub(crate) test_data: PathBuf,
    /// Inferred strategies and motivations of the same samples, to be followed in a second round
    #[arg(long, value_name = "FILE")]
    pub(crate) inferred: Option<PathBuf>,
    /// Where the results go
    #[arg(long, alias = "output-dir", default_value = "eval_result", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted evaluation of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Only the first so many samples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Samples that are answered at a time
    #[arg(long, default_value_t = 8, value_parser = at_least_one(), value_name = "N")]
    pub(crate) batch_size: usize,
    /// The profile that the generator has to be of, to be sure
    #[arg(long, value_parser = choice::<Profile>, value_name = "ours|reference")]
    pub(crate) profile: Option<Profile>,
    /// Clean the real responses as the generated ones before they are compared
    #[arg(long)]
    pub(crate) ref_cleanup: bool,
    /// Resamples of the intervals
    #[arg(long, default_value_t = 2000, value_parser = at_least_one(), value_name = "N")]
    pub(crate) resamples: usize,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    #[command(flatten)]
    pub(crate) tables: MetricTables,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// How responses are decoded.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decoding")]
pub(crate) struct Decoding {
    /// Beams ranked by variety and length (magic), by likelihood (beam), in groups that avoid each other (diverse), the most likely token each time
    /// (greedy), or draws (sample)
    #[arg(long, value_enum, default_value_t = Decode::Magic, value_name = "DECODE")]
    pub(crate) decode: Decode,
    /// Beams, with magic, beam and diverse [default: 5]
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) num_beams: Option<usize>,
    /// New tokens at most, the end included
    #[arg(long, default_value_t = 64, value_parser = at_least_one(), value_name = "N")]
    pub(crate) max_length_res: usize,
    /// No end before this many new tokens
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) min_length: usize,
    /// magic: weight of the share of different tokens; diverse: what a token loses for each earlier group that chose it
    /// [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "X")]
    pub(crate) diversity_penalty: Option<f32>,
    /// magic: weight of the length; beam and diverse: scores are divided by length to this power [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "X")]
    pub(crate) length_penalty: Option<f32>,
    /// Groups of beams, with diverse [default: one beam in each]
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) beam_groups: Option<usize>,
    /// No n-gram of this size twice; 0 allows all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) no_repeat_ngram: usize,
    /// When a search may end, with beam and diverse: at as many hypotheses as beams (true), where none is likely to get better (false), or where none can
    /// (never) [default: false]
    #[arg(long, value_parser = early_stopping, value_name = "true|false|never")]
    pub(crate) early_stopping: Option<EarlyStopping>,
    /// Softmax temperature, with sample [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// Draw from the K most likely tokens, with sample; 0 keeps all [default: 0]
    #[arg(long, value_name = "K")]
    pub(crate) top_k: Option<usize>,
    /// Draw from the most likely tokens up to this probability, with sample [default: 1]
    #[arg(long, value_name = "P")]
    pub(crate) top_p: Option<f32>,
    /// Seed of draws, with sample [default: 42]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

/// How a response is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Decode {
    /// Beams, ranked by variety and length
    Magic,
    /// Beams, ranked by likelihood
    Beam,
    /// Beams in groups that avoid each other
    Diverse,
    /// The most likely token each time
    Greedy,
    /// Draws
    Sample,
}

impl Decoding {
    /// What the options mean for a generator whose texts end with `eos`, and `count` responses to each sample.
    pub(crate) fn options(&self, eos: u32, count: usize) -> Result<DecodingOptions, Failure> {
        self.refuse_unused()?;
        let options = DecodingOptions { num_return_sequences: count, ..self.search(eos) };
        options.validate().map_err(|error| Failure::wrong_use(format!("{}: {}", flag(error.option), error.problem)))?;
        Ok(options)
    }

    fn search(&self, eos: u32) -> DecodingOptions {
        let base = DecodingOptions {
            max_new_tokens: self.max_length_res,
            min_new_tokens: self.min_length,
            no_repeat_ngram_size: self.no_repeat_ngram,
            ..DecodingOptions::default()
        };
        let (diversity, length) = (self.diversity_penalty.unwrap_or(1.0), self.length_penalty.unwrap_or(1.0));
        let beams = DecodingOptions { beam_width: self.num_beams.unwrap_or(5), ..base.clone() };
        let ranked = DecodingOptions {
            length_penalty: length,
            early_stopping: self.early_stopping.unwrap_or(EarlyStopping::No),
            forced_last_id: Some(eos),
            ..beams.clone()
        };
        match self.decode {
            Decode::Magic => DecodingOptions {
                variety_ranking: Some(VarietyRanking { diversity, length }),
                early_stopping: EarlyStopping::Never,
                ..beams
            },
            Decode::Beam => ranked,
            Decode::Diverse => DecodingOptions {
                beam_groups: self.beam_groups.unwrap_or(ranked.beam_width),
                diversity_penalty: diversity,
                ..ranked
            },
            Decode::Greedy => base,
            Decode::Sample => DecodingOptions {
                temperature: self.temperature.unwrap_or(1.0),
                top_k: self.top_k.unwrap_or(0),
                top_p: self.top_p.unwrap_or(1.0),
                seed: self.seed.unwrap_or(42),
                ..base
            },
        }
    }

    /// Refuses what would have no effect.
    fn refuse_unused(&self) -> Result<(), Failure> {
        use Decode::{Beam, Diverse, Magic, Sample};
        let given: [(&str, bool, &[Decode]); 9] = [
            ("--num-beams", self.num_beams.is_some(), &[Magic, Beam, Diverse]),
            ("--diversity-penalty", self.diversity_penalty.is_some(), &[Magic, Diverse]),
            ("--length-penalty", self.length_penalty.is_some(), &[Magic, Beam, Diverse]),
            ("--beam-groups", self.beam_groups.is_some(), &[Diverse]),
            ("--early-stopping", self.early_stopping.is_some(), &[Beam, Diverse]),
            ("--temperature", self.temperature.is_some(), &[Sample]),
            ("--top-k", self.top_k.is_some(), &[Sample]),
            ("--top-p", self.top_p.is_some(), &[Sample]),
            ("--seed", self.seed.is_some(), &[Sample]),
        ];
        match given.into_iter().find(|(_, is_given, users)| *is_given && !users.contains(&self.decode)) {
            Some((option, _, users)) => {
                let users: Vec<String> = users.iter().map(|user| format!("{user:?}").to_lowercase()).collect();
                Err(Failure::wrong_use(format!(
                    "{option} has no effect here: it is about --decode {}",
                    users.join(", ")
                )))
            }
            None => Ok(()),
        }
    }
}

/// What the command line calls an option of a search.
fn flag(option: &str) -> &str {
    match option {
        "max_new_tokens" => "--max-length-res",
        "min_new_tokens" => "--min-length",
        "beam_width" => "--num-beams",
        "beam_groups" => "--beam-groups",
        "diversity_penalty" => "--diversity-penalty",
        "length_penalty" => "--length-penalty",
        "variety_ranking" => "--diversity-penalty and --length-penalty",
        "num_return_sequences" => "--responses",
        "temperature" => "--temperature",
        "top_k" => "--top-k",
        "top_p" => "--top-p",
        other => other,
    }
}

fn early_stopping(text: &str) -> Result<EarlyStopping, String> {
    match text {
        "true" => Ok(EarlyStopping::Yes),
        "false" => Ok(EarlyStopping::No),
        "never" => Ok(EarlyStopping::Never),
        _ => Err("expected true, false or never".into()),
    }
}

/// Answer in one dialogue, and see what was remembered
///
/// Prints the dialogue's end, the response, and the earlier responses of the strategy's memory that the generator looked at most.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  magic generate --model-path out_model --test-data data/test.json --sample 12
  magic generate --model-path out_model --strategy Question --situation \"I lost my job.\" --turn \"Hello.\" --turn \"I feel so useless.\"
  magic generate --model-path out_model --sample 12 --strategy Greeting --motivation \"\"")]
pub(crate) struct Generate {
    /// The generator: a run of `magic train`, or its model folder
    #[arg(long, value_name = "DIR")]
    pub(crate) model_path: PathBuf,
    /// Samples to choose from
    #[arg(long, default_value = "data/test.json", value_name = "FILE")]
    pub(crate) test_data: PathBuf,
    /// The sample's number in the file, from 0
    #[arg(long, value_name = "N", required_unless_present = "turn", conflicts_with = "turn")]
    pub(crate) sample: Option<usize>,
    /// The seeker's situation, for a dialogue that is typed
    #[arg(long, value_name = "TEXT", requires = "turn")]
    pub(crate) situation: Option<String>,
    /// A turn of the dialogue, oldest first; to be repeated
    #[arg(long, value_name = "TEXT", requires = "strategy")]
    pub(crate) turn: Vec<String>,
    /// The strategy to follow [default: that of the sample]
    #[arg(long, value_parser = strategy, value_name = "NAME")]
    pub(crate) strategy: Option<Strategy>,
    /// Why it fits [default: that of the sample]
    #[arg(long, value_name = "TEXT")]
    pub(crate) motivation: Option<String>,
    /// Remembered responses to show
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) remembered: usize,
    /// Responses to show
    #[arg(long, default_value_t = 1, value_parser = at_least_one(), value_name = "N")]
    pub(crate) responses: usize,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Look into a strategy memory
#[derive(Debug, Args)]
pub(crate) struct Bank {
    #[command(subcommand)]
    pub(crate) command: BankCommand,
}

/// What is done with a memory.
#[derive(Debug, Subcommand)]
pub(crate) enum BankCommand {
    /// Show what a memory holds
    Inspect(Inspect),
}

/// Show what a memory holds
///
/// Prints for each strategy its rows, how many are different, and how much their vectors resemble each other; and the newest rows.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  magic bank inspect out_model
  magic bank inspect out_model --strategy Question --limit 20
  magic bank inspect out_model --format json > rows.json")]
pub(crate) struct Inspect {
    /// The memory: a run of `magic train`, its model folder, or a checkpoint
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Only this strategy
    #[arg(long, value_parser = strategy, value_name = "NAME")]
    pub(crate) strategy: Option<Strategy>,
    /// Rows to show of each strategy, the newest first; JSON has all
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub(crate) limit: usize,
}

/// Make a generator's folder of a checkpoint of the published code
///
/// Reads dialogue_model.pth and memory_bank.pth, and the tokenizer beside them. The shape is that of BART's config.json. What is written is of the profile
/// `reference`, and can be evaluated and asked; texts and dialogues of its memory's rows are not known.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  magic convert-checkpoint out_model/bs_16_epochs_20_20240101_120000/epoch_7_val_ppl_1.13 --bart-base-dir bart-base --out converted")]
pub(crate) struct ConvertCheckpoint {
    /// Folder with dialogue_model.pth and memory_bank.pth
    #[arg(value_name = "DIR")]
    pub(crate) checkpoint: PathBuf,
    /// Folder with BART's config.json, and its tokenizer where the checkpoint has none
    #[arg(long, value_name = "DIR")]
    pub(crate) bart_base_dir: Option<PathBuf>,
    /// Where the generator goes
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Rows of a strategy in the memory at most
    #[arg(long, default_value_t = 128, value_parser = at_least_one(), value_name = "N")]
    pub(crate) strategy_memory_max: usize,
    /// Tokens of situation and dialogue at most, to which batches are padded [default: 512, or the model's places]
    #[arg(long, value_name = "N")]
    pub(crate) max_length: Option<usize>,
    /// What of a long dialogue gives way: the newest turns (right, as published) or the oldest (left)
    #[arg(long, value_parser = choice::<Truncate>, default_value = "right", value_name = "left|right")]
    pub(crate) truncate: Truncate,
    /// Tokens of the situation at most
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub(crate) max_length_situation: usize,
}

/// See the method at work on built-in dialogues
///
/// Trains small generators from nothing: with and without memory, with and without motivations, over several seeds. A second task can only be solved
/// with the memory. Both end in a table.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  magic demo
  magic demo --seeds 1 --steps 100 --format json")]
pub(crate) struct Demo {
    /// Seeds, from 1 on
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100), value_name = "N")]
    pub(crate) seeds: u64,
    /// Optimiser steps of each training
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub(crate) steps: u64,
}

fn strategy(text: &str) -> Result<Strategy, String> {
    Strategy::find(text).ok_or_else(|| {
        let known = Strategy::ALL.map(Strategy::name).join(", ");
        format!("there is no such strategy; known are: {known}")
    })
}
