//! The command line of the strategy classifier. Defaults with `--base` are the published settings.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use command_line::{Machine, UsualLoop, at_least_one, warmup};
use text_encoder::{ACCURACY, MACRO_F1, ReadingOptions};
use training::{AdamWOptions, ParameterGroup, Schedule, Selection, TrainerOptions, Warmup};

/// Train, test and use a classifier that tells which strategy a response follows
///
/// Responses come as JSON Lines or a JSON array of objects ({"sentence", "text" or "response"; "strategy" or "label"}), as chats of
/// `sra dataset`, as run folders (responses tidied, labels are the strategies asked for), as corpora, or built in (demo:N, demo-train:N).
#[derive(Debug, Args)]
pub(crate) struct Classifier {
    #[command(subcommand)]
    pub(crate) command: ClassifierCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClassifierCommand {
    /// Train a classifier on responses with their strategies
    Train(Box<ClassifierTrain>),
    /// Compare a classifier with known strategies
    Eval(ClassifierEval),
    /// Classify responses
    Predict(ClassifierPredict),
}

/// Train a classifier on responses with their strategies
///
/// The classes are the strategies of the training data. Held-out responses with another one are left out and counted.
#[derive(Debug, Args)]
pub(crate) struct ClassifierTrain {
    /// What is learned from: files, run folders, corpora, demo-train:N
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) data: Vec<PathBuf>,
    /// Held-out responses, in the same forms
    #[arg(long, num_args = 1.., value_name = "PATH", conflicts_with = "hold_out")]
    pub(crate) dev: Vec<PathBuf>,
    /// Hold out this share of the conversations instead
    #[arg(long, value_name = "SHARE")]
    pub(crate) hold_out: Option<f64>,
    /// Encoder or classifier to begin with: a Hugging Face folder or a hub id of a BERT or RoBERTa model, or a run of this command
    #[arg(long, value_name = "MODEL", required_unless_present = "size")]
    pub(crate) base: Option<String>,
    /// Begin with nothing: a small encoder with a vocabulary of the training data
    #[arg(long, value_enum, value_name = "SIZE", conflicts_with = "base")]
    pub(crate) size: Option<Size>,
    /// Begin with a new head where the base has one for other labels
    #[arg(long, requires = "base")]
    pub(crate) new_head: bool,
    /// Tokens to add to the base's vocabulary, e.g. `<supporter>,<seeker>`
    #[arg(long, value_delimiter = ',', requires = "base", value_name = "TOKENS")]
    pub(crate) add_tokens: Vec<String>,
    /// Tokens of a response at most; the beginning of longer ones is cut off
    #[arg(long, default_value_t = 128, value_name = "N")]
    pub(crate) max_length: usize,
    /// Only the first so many training responses
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Folder of the run: model/ (a Hugging Face folder), events.jsonl, curve.svg, checkpoints/ …
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print the resolved settings and what they cost, train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) loop_: ClassifierLoop,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// An encoder to be trained from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// Two layers of width 64: for small languages such as the demonstration's
    Tiny,
}

/// The training loop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct ClassifierLoop {
    /// Passes over the data; may be a fraction [default: 5; tiny: 8]
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub(crate) epochs: Option<f64>,
    /// Responses that go through the model at a time
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub(crate) micro_batch: usize,
    /// Micro-batches of an optimiser step [default: 4; tiny: 1]
    #[arg(long, value_name = "N")]
    pub(crate) accumulate: Option<usize>,
    /// Peak learning rate [default: 5e-5; tiny: 3e-3]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,
    /// constant, linear, cosine, cosine-with-restarts:N, cosine-with-floor:SHARE, polynomial:POWER:END, inverse-sqrt, noam or warmup-stable-decay:STEPS
    #[arg(long, default_value = "linear", value_name = "SCHEDULE")]
    pub(crate) schedule: Schedule,
    /// Steps of the warm-up, or a fraction of all steps like 0.1 [default: 0; tiny: 0.1]
    #[arg(long, value_parser = warmup, value_name = "N")]
    pub(crate) warmup: Option<Warmup>,
    /// Steps between evaluations; 0 is once an epoch
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) evaluate_every: u64,
    /// By what evaluations are compared
    #[arg(long, value_enum, default_value_t = BestBy::MacroF1)]
    pub(crate) best_by: BestBy,
    #[command(flatten)]
    pub(crate) usual: UsualLoop,
}

/// By what evaluations are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BestBy {
    /// The macro-averaged F1
    MacroF1,
    /// The share of right predictions
    Accuracy,
    /// The loss
    Loss,
}

/// Compare a classifier with known strategies
///
/// Prints accuracy with its 95 % interval by conversation, macro precision, recall and F1, each class, and what is taken for what.
#[derive(Debug, Args)]
pub(crate) struct ClassifierEval {
    /// The classifier: a run of `sra classifier train`, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Responses with their strategies: files, run folders, corpora, demo:N
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) data: Vec<PathBuf>,
    /// Only the first so many responses
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Classify responses
///
/// For runs it also prints how often the classifier finds the strategy that was asked for, by layout, with 95 % intervals by
/// conversation.
#[derive(Debug, Args)]
pub(crate) struct ClassifierPredict {
    /// The classifier: a run of `sra classifier train`, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Responses: files, run folders, corpora, demo:N
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) input: Vec<PathBuf>,
    /// Where the predictions go: .jsonl, or .tsv for `index` and `prediction` alone with the probabilities behind them
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run ended (.jsonl)
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// How responses are read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub(crate) struct Reading {
    /// Tokens of a response at most; the beginning of longer ones is cut off
    #[arg(long, default_value_t = 512, value_name = "N")]
    max_length: usize,
    /// Tokens that go through the model at a time; decides about memory and speed, not about results
    #[arg(long, default_value_t = 4096, value_name = "N")]
    batch_tokens: usize,
}

impl Reading {
    pub(crate) fn options(&self) -> ReadingOptions {
        ReadingOptions { longest: self.max_length, batch_tokens: self.batch_tokens }
    }
}

impl ClassifierLoop {
    pub(crate) fn options(&self, size: Option<Size>) -> TrainerOptions {
        let (epochs, accumulate, learning_rate, warmup) = match size {
            None => (5.0, 4, 5e-5, Warmup::Steps(0)),
            Some(Size::Tiny) => (8.0, 1, 3e-3, Warmup::Ratio(0.1)),
        };
        let undecayed = |contains: &str| ParameterGroup {
            contains: contains.to_owned(),
            weight_decay: Some(0.0),
            learning_rate_factor: 1.0,
        };
        let usual = self.usual.options();
        TrainerOptions {
            epochs: self.epochs.unwrap_or(epochs),
            batch: self.micro_batch,
            accumulate: self.accumulate.unwrap_or(accumulate),
            by_length: true,
            learning_rate: self.learning_rate.unwrap_or(learning_rate),
            schedule: self.schedule,
            warmup: self.warmup.unwrap_or(warmup),
            // Decay is for matrices.
            adamw: AdamWOptions { groups: vec![undecayed(".bias"), undecayed("LayerNorm")], ..usual.adamw },
            evaluate_every: self.evaluate_every,
            evaluation_batch: self.micro_batch,
            selection: match self.best_by {
                BestBy::MacroF1 => Selection::Highest(MACRO_F1.into()),
                BestBy::Accuracy => Selection::Highest(ACCURACY.into()),
                BestBy::Loss => Selection::Loss,
            },
            ..usual
        }
    }
}
