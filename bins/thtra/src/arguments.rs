//! The command line, word for word.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use command_line::{Common, InstallFiles, LONG_VERSION, at_least_one};
use thtra::{Layout, Lengths, SplitRule};

use crate::align_arguments::{Align, Candidates};
use crate::answer_arguments::{Chat, Eval, Infer};
use crate::helpfulness_arguments::Helpfulness;
use crate::run_arguments::Run;
use crate::train_arguments::{TrainBaseline, TrainLookAhead, TrainSituation};

/// Emotional support that looks ahead, knows the situation and is aligned to helpfulness
#[derive(Debug, Parser)]
#[command(name = "thtra", version, long_version = LONG_VERSION, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done; each one's help is that of its options.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Process(Process),
    Prepare(Prepare),
    #[command(name = "train-lookahead")]
    TrainLookAhead(TrainLookAhead),
    TrainSituation(TrainSituation),
    TrainBaseline(TrainBaseline),
    Helpfulness(Helpfulness),
    Infer(Infer),
    Eval(Eval),
    Chat(Chat),
    Candidates(Candidates),
    Align(Align),
    Run(Run),
    Demo(Demo),
    #[command(flatten)]
    InstallFiles(InstallFiles),
}

/// Make dialogue lines and helpfulness records out of ESConv.json
///
/// Splits the conversations as the published code does and writes train.txt, valid.txt and test.txt (one dialogue a line), splits.json (which
/// conversation went where), and in the folder helpfulness the records of rated answers: esc_data.txt of the conversations in train.txt, esc_data_valid.txt
/// and esc_data_test.txt of the others, and dev_index.json with the situations of the conversations for validation. No conversation is in two parts, and this is
/// checked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra process --input ESConv.json --out data
  thtra process --input ESConv.json --split 80-10-10 --out data-80")]
pub(crate) struct Process {
    /// ESConv.json
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where everything goes
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Shares of training, validation and test: those of the published files, or those of the published program of today
    #[arg(long, default_value = "70-15-15", value_parser = SplitRule::parse, value_name = "70-15-15|80-10-10")]
    pub(crate) split: SplitRule,
}

/// Make token sequences out of dialogue lines, so that a training need not
///
/// Reads train.txt, valid.txt and test.txt and writes for each of them and each layout a file with one sample a line, train.strat.jsonl for instance, and
/// meta.json, which says what they were made of. A stage that is given the folder refuses it when dialogues, tokenizer or lengths are others.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra prepare --data-dir data --tokenizer blenderbot_small-90M --out prepared
  thtra prepare --tokenizer blenderbot_small-90M --layouts strat --max-input-length 256
  thtra prepare --learn-tokenizer 4000 --out prepared-4000")]
pub(crate) struct Prepare {
    /// Folder with train.txt, valid.txt and test.txt (see `thtra process`)
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Folder with BlenderBot-small's vocab.json and merges.txt: the pretrained model's, or that of a model trained from it
    #[arg(long, required_unless_present = "learn_tokenizer", value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Learn a tokenizer of about so many tokens from train.txt instead, for models that begin with nothing; it goes to DIR/tokenizer
    #[arg(long, conflicts_with = "tokenizer", value_parser = at_least_one(), value_name = "TOKENS")]
    pub(crate) learn_tokenizer: Option<usize>,
    /// Where the samples go
    #[arg(long, default_value = "prepared", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What samples hold: the dialogue with strategies; the seeker's next turn as well; or neither strategies nor the situation
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "strat,strat-look-ahead,vanilla",
        value_parser = Layout::parse,
        value_name = "strat,strat-look-ahead,vanilla"
    )]
    pub(crate) layouts: Vec<Layout>,
    #[command(flatten)]
    pub(crate) lengths: LengthOptions,
}

/// Show what the three stages are good for, on built-in dialogues
///
/// A small BlenderBot-small learns from nothing: stage 1 also reads what the seeker says next, stage 2 also tells the situation, and beside them a model learns for as
/// long without both. Models of helpfulness learn from the seekers' ratings, and in stage 3 the model is aligned to them. One table tells what each is worth.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra demo
  thtra demo --seeds 1 --steps 200 --samples 60")]
pub(crate) struct Demo {
    /// Repeat all trainings with so many seeds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub(crate) seeds: u64,
    /// Steps of each of the first two stages
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub(crate) steps: u64,
    /// Training samples that get candidates in the third stage
    #[arg(long, default_value_t = 200, value_parser = at_least_one(), value_name = "N")]
    pub(crate) samples: usize,
}

/// How many tokens may stay.
#[derive(Debug, Clone, Args)]
pub(crate) struct LengthOptions {
    /// Tokens that the encoder reads at most; the oldest give way
    #[arg(long, default_value_t = Lengths::default().max_input_length, value_name = "N")]
    max_input_length: usize,
    /// Tokens of a response or a situation at most, the strategy's token not counted; the last ones give way
    #[arg(long, default_value_t = Lengths::default().max_decoder_input_length, value_name = "N")]
    max_decoder_input_length: usize,
}

impl LengthOptions {
    pub(crate) fn lengths(&self) -> Lengths {
        let Self { max_input_length, max_decoder_input_length } = *self;
        Lengths { max_input_length, max_decoder_input_length }
    }
}
