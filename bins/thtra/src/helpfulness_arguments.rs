//! The command lines of `thtra helpfulness`, word for word. Defaults are the published settings.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand, ValueEnum};
use command_line::{Machine, UsualLoop, at_least_one, warmup};
use helpfulness::{ExchangeLayout, LabelTable, Mask, NetworkOptions, PreferenceLoss, published_options};
use thtra::Error;
use training::{AdamWOptions, Schedule, TrainerOptions, Warmup};

/// Train, judge and use a model of how helpful responses are
///
/// It learns from what annotators say about responses (see `thtra process`), who do not agree. What it says of candidates is what the third stage
/// aligns a responder to.
#[derive(Debug, Args)]
pub(crate) struct Helpfulness {
    #[command(subcommand)]
    pub(crate) command: HelpfulnessCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HelpfulnessCommand {
    Train(Box<HelpfulnessTrain>),
    Eval(HelpfulnessEval),
    Score(HelpfulnessScore),
    Import(HelpfulnessImport),
}

/// Train a helpfulness model on annotated responses
///
/// Learns from DIR/helpfulness/esc_data.txt and validates with esc_data_valid.txt beside it, or with a part of the former (--folds, --dev-index); conversations
/// are never divided. Records that come from conversations of another part are a leak, and nothing is trained. The encoder stays as it is; what is
/// trained around it is kept in RUN/model with the best evaluation, together with a calibration report. --resume goes on after an interruption, to the same
/// result.
#[derive(Debug, Args)]
#[command(
    mut_args(published_loop),
    after_help = "Examples:
  thtra helpfulness train --data-dir data --encoder google-bert/bert-base-uncased --out helpful
  thtra helpfulness train --kind ordinal --encoder bert-base-uncased --out ordinal
  thtra helpfulness train --objective soft --size tiny --limit 2000 --epochs 4 --out try
  thtra helpfulness train --objective single --annotator 3 --folds 10 --fold 1 --size tiny --out third"
)]
pub(crate) struct HelpfulnessTrain {
    /// Folder that `thtra process` wrote
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Which fold is held out, from 1 [default: 1]
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) fold: Option<usize>,
    /// Cut the conversations of esc_data.txt into so many folds, drawn by the seed, and validate with one of them
    #[arg(long, value_parser = at_least_one(), value_name = "K")]
    pub(crate) folds: Option<usize>,
    /// Validate with the conversations that a file lists instead: situations, one a line or an array for each fold
    #[arg(long, conflicts_with = "folds", value_name = "FILE")]
    pub(crate) dev_index: Option<PathBuf>,
    /// Do not ask which conversations records are from: for records that do not know it
    #[arg(long)]
    pub(crate) no_leakage_check: bool,
    /// d-pm takes all annotations of a response; ordinal takes ratings, and knows whose they are
    #[arg(long, value_enum, default_value_t = Kind::DPm, value_name = "d-pm|ordinal")]
    pub(crate) kind: Kind,
    /// What d-pm minimises: rq, qr or combination (with the implicit posterior), soft (the annotators' shares), majority (their vote) or single (one of them) [default: rq]
    #[arg(long, value_name = "OBJECTIVE")]
    pub(crate) objective: Option<PreferenceLoss>,
    /// Whose annotations are learned with --objective single, from 1 [default: 1]; responses without that annotation are left out
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) annotator: Option<usize>,
    #[command(flatten)]
    pub(crate) table: Table,
    #[command(flatten)]
    pub(crate) reading: Reading,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// BERT to stand on: a Hugging Face folder or a hub id
    #[arg(long, required_unless_present = "size", value_name = "MODEL")]
    pub(crate) encoder: Option<String>,
    /// Stand on a small encoder that knows nothing, with the words of the records
    #[arg(long, value_enum, conflicts_with = "encoder", value_name = "SIZE")]
    pub(crate) size: Option<EncoderSize>,
    /// Only the first so many records to learn from
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only the first so many records to validate with
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) val_limit: Option<usize>,
    /// Folder of the run: model/, calibration.json, reliability.svg, events.jsonl, curve.svg, checkpoints/ …
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) loop_: HelpfulnessLoop,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// A model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The preference model
    #[value(name = "d-pm")]
    DPm,
    /// The model of ratings
    Ordinal,
}

/// An encoder that knows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncoderSize {
    /// Two layers of width 64
    Tiny,
}

/// What labels mean.
#[derive(Debug, Args)]
pub(crate) struct Table {
    /// Classes that the labels of published records are sorted into: 2 (helpful, unhelpful), 3 (d-PM's) or 4 (ThTra's) [default: 2]
    #[arg(long, conflicts_with = "labels", value_name = "2|3|4")]
    pub(crate) classes: Option<usize>,
    /// A table of labels of one's own: {"classes": ["helpful", "unhelpful"], "labels": {"good": "helpful", "bad": "unhelpful"}}
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
}

impl Table {
    /// The table that is asked for, if one is.
    pub(crate) fn given(&self) -> Result<Option<LabelTable>, Error> {
        Ok(match (&self.labels, self.classes) {
            (Some(path), _) => Some(LabelTable::open(path)?),
            (None, Some(classes)) => Some(LabelTable::published(classes)?),
            (None, None) => None,
        })
    }
}

/// How exchanges are read.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Tokens of situation, context and response together at most; the oldest give way
    #[arg(long, default_value_t = ExchangeLayout::default().longest, value_name = "N")]
    max_input_length: usize,
    /// Whether the seeker's situation is read
    #[arg(long, action = ArgAction::Set, default_value_t = true, value_name = "true|false")]
    with_situation: bool,
}

impl Reading {
    pub(crate) fn layout(&self) -> ExchangeLayout {
        ExchangeLayout { longest: self.max_input_length, with_situation: self.with_situation }
    }
}

/// The shape of what is trained.
#[derive(Debug, Args)]
pub(crate) struct Shape {
    /// Keys and values in front of each sequence, in the upper layers of the encoder
    #[arg(long, default_value_t = NetworkOptions::default().prefix_length, value_name = "N")]
    prefix_length: usize,
    /// Width inside the network of the prefixes and inside the head
    #[arg(long, default_value_t = NetworkOptions::default().hidden, value_name = "N")]
    hidden: usize,
    /// Dropout of the prefixes
    #[arg(long, default_value_t = NetworkOptions::default().prefix_dropout, allow_negative_numbers = true, value_name = "P")]
    prefix_dropout: f32,
    /// correct, or inverted as in the published code, where a score depends on the rest of its batch
    #[arg(long, value_enum, default_value_t = MaskName::Correct, value_name = "correct|inverted")]
    mask: MaskName,
}

impl Shape {
    pub(crate) fn options(&self) -> NetworkOptions {
        let Self { prefix_length, hidden, prefix_dropout, mask } = *self;
        NetworkOptions { prefix_length, hidden, prefix_dropout, mask: mask.mask() }
    }
}

/// Which tokens attention looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MaskName {
    /// All tokens of the own sequence
    Correct,
    /// The published code's
    Inverted,
}

impl MaskName {
    pub(crate) fn mask(self) -> Mask {
        match self {
            Self::Correct => Mask::Own,
            Self::Inverted => Mask::Inverted,
        }
    }
}

/// The training loop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct HelpfulnessLoop {
    /// Responses that go through the model at a time; d-pm estimates the classes' shares on them [default: 8; ordinal and --size: 16]
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) batch_size: Option<usize>,
    /// Batches of an optimiser step [default: 4; with --size 1]
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) accumulate: Option<usize>,
    /// Passes over the responses; may be a fraction
    #[arg(long, default_value_t = 6.0, allow_negative_numbers = true, value_name = "N")]
    pub(crate) epochs: f64,
    /// Peak learning rate [default: 1e-4; with --size 3e-3]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,
    /// constant, linear, cosine, cosine-with-restarts:N, cosine-with-floor:SHARE, polynomial:POWER:END, inverse-sqrt, noam or warmup-stable-decay:STEPS
    #[arg(long, default_value = "linear", value_name = "SCHEDULE")]
    pub(crate) schedule: Schedule,
    /// Steps of the warm-up, or a fraction of all steps like 0.1 [default: 400; with --size 0.1]
    #[arg(long, value_parser = warmup, value_name = "N")]
    pub(crate) warmup_steps: Option<Warmup>,
    /// Steps between evaluations; 0 is once an epoch
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) evaluate_every: u64,
    #[command(flatten)]
    pub(crate) usual: UsualLoop,
}

impl HelpfulnessLoop {
    pub(crate) fn options(&self, kind: Kind, begins_with_nothing: bool) -> TrainerOptions {
        let (published, usual) = (published_options(), self.usual.options());
        let (accumulate, learning_rate, warmup) = match begins_with_nothing {
            true => (1, 3e-3, Warmup::Ratio(0.1)),
            false => (published.accumulate, published.learning_rate, published.warmup),
        };
        let batch = if begins_with_nothing || kind == Kind::Ordinal { 16 } else { published.batch };
        TrainerOptions {
            epochs: self.epochs,
            batch: self.batch_size.unwrap_or(batch),
            accumulate: self.accumulate.unwrap_or(accumulate),
            by_length: published.by_length,
            batches_per_pool: published.batches_per_pool,
            drop_incomplete: published.drop_incomplete,
            learning_rate: self.learning_rate.unwrap_or(learning_rate),
            schedule: self.schedule,
            warmup: self.warmup_steps.unwrap_or(warmup),
            adamw: AdamWOptions { groups: published.adamw.groups, ..usual.adamw.clone() },
            evaluate_every: self.evaluate_every,
            evaluation_batch: published.evaluation_batch,
            divergence_factor: published.divergence_factor,
            ..usual
        }
    }
}

/// The published settings, where other loops have other defaults.
fn published_loop(option: clap::Arg) -> clap::Arg {
    match option.get_id().as_str() {
        "weight_decay" => option.default_value("0.01"),
        "patience" => option.default_value("0"),
        "project" => option.default_value("solace-thtra"),
        _ => option,
    }
}

/// A helpfulness model that is there.
#[derive(Debug, Args)]
pub(crate) struct Trained {
    /// A run of `thtra helpfulness train`, or the folder model/ within it
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Where the encoder that it was trained on is now: a Hugging Face folder or a hub id [default: where it was]
    #[arg(long, value_name = "MODEL")]
    pub(crate) encoder: Option<String>,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Compare a helpfulness model with annotators: is it as sure as it should be?
///
/// Prints calibration error, Brier score, accuracy, rank correlation and the agreement with each annotator, beside forecasts that are the same for every
/// response, and writes calibration.json, calibration.txt and the reliability diagram reliability.svg.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra helpfulness eval --model helpful --records data/helpfulness/esc_data_test.txt --out report
  thtra helpfulness eval --model soft --baseline majority --records data/helpfulness/esc_data_test.txt --out report")]
pub(crate) struct HelpfulnessEval {
    #[command(flatten)]
    pub(crate) trained: Trained,
    /// Another model to stand beside it, on the same encoder: one that learned the majority's vote, for instance
    #[arg(long, value_name = "DIR")]
    pub(crate) baseline: Option<PathBuf>,
    /// Annotated responses
    #[arg(long, value_name = "FILE")]
    pub(crate) records: PathBuf,
    /// A table of labels of one's own [default: the file's, else that of the training]
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: Option<PathBuf>,
    /// Bins of the reliability diagram
    #[arg(long, default_value_t = 10, value_parser = at_least_one(), value_name = "N")]
    pub(crate) bins: usize,
    /// Only the first so many records
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Where the report goes
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Score responses
///
/// Either those that the command line gives, or those of a file of JSON Lines, {"situation": …, "context": …, "response": …}, where `context` may be a list of
/// texts, and `responses`, a list, may stand in place of `response`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra helpfulness score --model helpful --situation 'I lost my job.' --context 'I am so tired.' --response 'Tell me more.'
  thtra helpfulness score --model helpful --input exchanges.jsonl --out scores.jsonl")]
pub(crate) struct HelpfulnessScore {
    #[command(flatten)]
    pub(crate) trained: Trained,
    /// The seeker's description of their situation
    #[arg(long, default_value = "", conflicts_with = "input", value_name = "TEXT")]
    pub(crate) situation: String,
    /// What the seeker said last
    #[arg(long, required_unless_present = "input", conflicts_with = "input", value_name = "TEXT")]
    pub(crate) context: Option<String>,
    /// A response; may be given several times
    #[arg(long, required_unless_present = "input", conflicts_with = "input", value_name = "TEXT")]
    pub(crate) response: Vec<String>,
    /// A file of exchanges
    #[arg(long, requires = "out", value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Where the scores of a file go, one response a line
    #[arg(long, requires = "input", value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Go on where an interrupted run ended
    #[arg(long, requires = "input")]
    pub(crate) resume: bool,
}

/// Make a model of the weights that d-PM's or ThTra's published code has trained
///
/// Length of the prefixes and widths are read from the file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra helpfulness import --weights best.bin --classes 4 --mask inverted --encoder google-bert/bert-base-uncased --out published
  thtra helpfulness import --weights best.bin --classes 3 --with-situation false --mask inverted --encoder bert-base-uncased --out d-pm")]
pub(crate) struct HelpfulnessImport {
    /// The published weights: .bin of PyTorch, or .safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) weights: PathBuf,
    /// The BERT that they were trained on: a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) encoder: String,
    #[command(flatten)]
    pub(crate) table: Table,
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// How they were trained: inverted with the published code
    #[arg(long, value_enum, value_name = "correct|inverted")]
    pub(crate) mask: MaskName,
    /// Where the model goes
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) machine: Machine,
}
