//! The command lines of the stages that learn from samples, word for word. Defaults are those of the published run scripts.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::{Machine, UsualLoop, at_least_one, at_least_zero, warmup};
use thtra::{SITUATION_WEIGHT, Size, bucketed};
use training::{AdamWOptions, AdamWRule, ParameterGroup, Schedule, TrainerOptions, Warmup};

/// Train the first stage: the encoder also reads what the seeker says next
///
/// Learns from the layout strat-look-ahead. After each epoch the validation samples are scored with and without the seeker's next turn; the model that is best
/// without it is kept in DIR/model, a Hugging Face folder with its tokenizer. --resume goes on after an interruption, to the same result.
#[derive(Debug, Args)]
#[command(
    mut_args(published_loop),
    after_help = "Examples:
  thtra train-lookahead --prepared prepared --base facebook/blenderbot_small-90M --out look-ahead
  thtra train-lookahead --size tiny --tokenizer blenderbot_small-90M --limit 2000 --epochs 3 --out try"
)]
pub(crate) struct TrainLookAhead {
    #[command(flatten)]
    pub(crate) train: Train,
    /// Which validation samples decide: those that can be read when somebody is to be answered, or those with the seeker's next turn (as published)
    #[arg(long, value_enum, default_value_t = SelectOn::WithoutLookAhead, value_name = "without-look-ahead|with-look-ahead")]
    pub(crate) select_on: SelectOn,
}

/// Train the second stage: the seeker's situation is told beside the response
///
/// Learns from the layout strat, with two streams of the decoder over one pass of the encoder. Begin with the model of the first stage.
#[derive(Debug, Args)]
#[command(
    mut_args(published_loop),
    after_help = "Examples:
  thtra train-situation --prepared prepared --base look-ahead/model --out situation
  thtra train-situation --base look-ahead/model --situation-weight 0.3 --out more-situation"
)]
pub(crate) struct TrainSituation {
    #[command(flatten)]
    pub(crate) train: Train,
    /// What the situation's loss counts beside the response's
    #[arg(long, default_value_t = SITUATION_WEIGHT, allow_negative_numbers = true, value_parser = at_least_zero, value_name = "X")]
    pub(crate) situation_weight: f64,
}

/// Train a baseline of ESConv: the joint model (strategy and response) or the vanilla one (response alone)
#[derive(Debug, Args)]
#[command(
    mut_args(published_loop),
    after_help = "Examples:
  thtra train-baseline --kind joint --base facebook/blenderbot_small-90M --out joint
  thtra train-baseline --kind vanilla --base facebook/blenderbot_small-90M --out vanilla"
)]
pub(crate) struct TrainBaseline {
    #[command(flatten)]
    pub(crate) train: Train,
    /// Which one
    #[arg(long, value_enum, default_value_t = Baseline::Joint, value_name = "joint|vanilla")]
    pub(crate) kind: Baseline,
}

/// What every stage has.
#[derive(Debug, Args)]
pub(crate) struct Train {
    /// Samples of `thtra prepare`
    #[arg(long, default_value = "prepared", value_name = "DIR")]
    pub(crate) prepared: PathBuf,
    /// Only the first so many samples to learn from
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only the first so many validation samples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) val_limit: Option<usize>,
    /// Folder of the run: model/, events.jsonl, curve.svg, checkpoints/ …
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// BlenderBot-small to begin with: a Hugging Face folder, a hub id, or the model folder of another stage
    #[arg(long, required_unless_present = "size", value_name = "MODEL")]
    pub(crate) base: Option<String>,
    /// Begin with nothing: a small model
    #[arg(long, value_enum, conflicts_with = "base", requires = "tokenizer", value_name = "SIZE")]
    pub(crate) size: Option<SizeName>,
    /// Folder with vocab.json and merges.txt for a model that begins with nothing
    #[arg(long, conflicts_with = "base", value_name = "DIR")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) loop_: Loop,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// Which validation samples decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SelectOn {
    /// What can be read when somebody is to be answered
    WithoutLookAhead,
    /// With the seeker's next turn
    WithLookAhead,
}

/// A baseline of ESConv.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Baseline {
    /// Strategy and response
    Joint,
    /// Response alone
    Vanilla,
}

/// A model that begins with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SizeName {
    /// One layer on either side, of width 64
    Tiny,
    /// Three layers on either side, of width 256
    Small,
}

impl SizeName {
    pub(crate) fn size(self) -> Size {
        match self {
            Self::Tiny => Size::Tiny,
            Self::Small => Size::Small,
        }
    }
}

/// Which parameters decay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecayGroups {
    /// All but norms and biases
    Ours,
    /// All whose name contains neither bias nor ln nor LayerNorm.weight: norms of this model, too, as published
    Substring,
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
    pub(crate) accumulate: usize,
    /// Passes over the samples; may be a fraction
    #[arg(long, default_value_t = 2.0, allow_negative_numbers = true, value_name = "N")]
    pub(crate) epochs: f64,
    /// Peak learning rate [default: 3e-5; with --size 1e-3]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE")]
    pub(crate) learning_rate: Option<f64>,
    /// constant, linear, cosine, cosine-with-restarts:N, cosine-with-floor:SHARE, polynomial:POWER:END, inverse-sqrt, noam or warmup-stable-decay:STEPS
    #[arg(long, default_value = "linear", value_name = "SCHEDULE")]
    pub(crate) schedule: Schedule,
    /// Steps of the warm-up, or a fraction of all steps like 0.1
    #[arg(long, default_value = "100", value_parser = warmup, value_name = "N")]
    pub(crate) warmup_steps: Warmup,
    /// Which parameters decay: all but norms and biases (ours), or those that the published code picks by parts of their names (substring)
    #[arg(long, value_enum, default_value_t = DecayGroups::Ours, value_name = "ours|substring")]
    pub(crate) decay_groups: DecayGroups,
    /// Steps between evaluations; 0 is once an epoch
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) evaluate_every: u64,
    #[command(flatten)]
    pub(crate) usual: UsualLoop,
}

impl Loop {
    pub(crate) fn options(&self, begins_with_nothing: bool) -> TrainerOptions {
        let usual = self.usual.options();
        let without_decay = match self.decay_groups {
            DecayGroups::Ours => ["bias", "norm"].as_slice(),
            DecayGroups::Substring => &["bias", "ln", "LayerNorm.weight"],
        };
        let group = |contains: &&str| ParameterGroup {
            contains: (*contains).to_owned(),
            weight_decay: Some(0.0),
            learning_rate_factor: 1.0,
        };
        let groups = without_decay.iter().map(group).collect();
        bucketed(TrainerOptions {
            epochs: self.epochs,
            batch: self.batch_size,
            accumulate: self.accumulate,
            learning_rate: self.learning_rate.unwrap_or(if begins_with_nothing { 1e-3 } else { 3e-5 }),
            schedule: self.schedule,
            warmup: self.warmup_steps,
            evaluate_every: self.evaluate_every,
            evaluation_batch: self.batch_size,
            // What transformers had of its own, whose epsilon is larger.
            adamw: AdamWOptions { eps: 1e-6, rule: AdamWRule::Transformers, groups, ..usual.adamw.clone() },
            ..usual
        })
    }
}

/// The published settings, where other loops have other defaults.
fn published_loop(option: clap::Arg) -> clap::Arg {
    match option.get_id().as_str() {
        "weight_decay" => option.default_value("0.01"),
        "patience" => option.default_value("0"),
        "seed" => option.default_value("13"),
        "project" => option.default_value("solace-thtra"),
        _ => option,
    }
}
