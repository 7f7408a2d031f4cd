//! The command line of `persuasion train`. Defaults are those of the published runs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::{Lora, ModelOptions, UsualLoop, at_least_one, warmup};
use dpo::{
    Boundary, Divergence, EncodePairs, LossMix, Passes, Preference, PreferenceOptions, REWARD_ACCURACY, Rules, Truncate,
};
use serde::{Deserialize, Serialize};
use training::{Schedule, Selection, TrainerOptions, Warmup};

/// Train an adapter on pairs: DPO and its relatives, or supervised on replies
///
/// Reads DIR/train.jsonl and DIR/validation.jsonl of `persuasion prepare`. The adapter of the best evaluation is kept in RUN/adapter, a PEFT folder; RUN also
/// holds the settings, events.jsonl with TensorBoard files, what each pair gave at each evaluation, and generated replies: `persuasion report RUN` makes a page of
/// it. --resume goes on after an interruption, to the same result.
#[derive(Debug, Args)]
#[command(
    mut_args(published),
    after_help = "Examples:
  persuasion train --model Llama-2-7b-hf --quantize q4_k --data pairs --gradient-checkpointing --out run
  persuasion train --model Llama-2-7b-hf --data pairs --loss ipo --beta 0.2 --out run-ipo
  persuasion train --method it --model demo --data pairs --out tuned
  persuasion train --model demo --init-adapter tuned/adapter --data pairs --out aligned
  persuasion train --model demo --data pairs --out try --dry-run"
)]
pub(crate) struct Train {
    #[command(flatten)]
    pub(crate) setup: Setup,
    /// Folder of the run: adapter/, events.jsonl, outputs/, checkpoints/ …
    #[arg(long, value_name = "RUN")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print the resolved settings and what they cost, train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// All that decides what a run does, wherever it is kept.
#[derive(Debug, Args)]
pub(crate) struct Setup {
    /// dpo: pairs; it: instruction tuning on the chosen replies; pft: pre-fine-tuning on all replies
    #[arg(long, value_enum, default_value_t = Method::Dpo, value_name = "METHOD")]
    pub(crate) method: Method,
    /// demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder with train.jsonl and validation.jsonl
    #[arg(long, default_value = "pairs", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Learn from only so many pairs, always the same ones: they are drawn from the whole file and stay in its order
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Validate on only so many pairs, drawn alike
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) val_limit: Option<usize>,
    #[command(flatten)]
    pub(crate) writing: Writing,
    #[command(flatten)]
    pub(crate) objective: ObjectiveOptions,
    #[command(flatten)]
    pub(crate) reference: ReferenceOptions,
    #[command(flatten)]
    pub(crate) lora: Lora,
    #[command(flatten)]
    pub(crate) loop_: Loop,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
    #[command(flatten)]
    pub(crate) options: ModelOptions,
}

/// What is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Method {
    /// Pairs: the chosen reply becomes likelier beside the rejected one
    Dpo,
    /// Chosen replies, each distinct one once
    It,
    /// All replies, chosen and rejected
    Pft,
}

/// How prompts are written, and how long they may be.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Prompts")]
pub(crate) struct Writing {
    /// persuasion (asks for a persuasive reply), bare (the prompt alone), chat (the model's chat template), or a file with `%% prefix` and `%% suffix`
    #[arg(long, default_value = "persuasion", value_name = "TEMPLATE")]
    pub(crate) template: String,
    /// Tokens of a prompt with its reply; the post is cut where they are more
    #[arg(long, default_value_t = 1536, value_name = "TOKENS")]
    pub(crate) max_length: usize,
    /// Tokens that a prompt is cut to
    #[arg(long, default_value_t = 1024, value_name = "TOKENS")]
    pub(crate) max_prompt_length: usize,
    /// Which part of a post goes
    #[arg(long, value_enum, default_value_t = Cut::PostStart, value_name = "post-start|post-end|middle")]
    pub(crate) truncate: Cut,
}

/// Which part of a post goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cut {
    /// Its beginning
    PostStart,
    /// Its end
    PostEnd,
    /// Its middle
    Middle,
}

impl Cut {
    pub(crate) fn truncate(self) -> Truncate {
        match self {
            Self::PostStart => Truncate::PostStart,
            Self::PostEnd => Truncate::PostEnd,
            Self::Middle => Truncate::Middle,
        }
    }
}

impl Writing {
    pub(crate) fn encoding(&self) -> EncodePairs {
        EncodePairs {
            max_length: self.max_length,
            max_prompt_length: self.max_prompt_length,
            truncate: self.truncate.truncate(),
            boundary: Boundary::CommonPrefix,
        }
    }
}

/// What is minimised.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Objective")]
pub(crate) struct ObjectiveOptions {
    /// sigmoid, hinge, robust, ipo, exo, nca, bco, sppo, aot, apo-zero, simpo, orpo, cpo …, or several with weights: sigmoid=1,sft=0.2
    #[arg(long, default_value = "sigmoid", value_name = "LOSS")]
    pub(crate) loss: LossMix,
    /// How strongly the policy is held to the reference
    #[arg(long, default_value_t = 0.1, allow_negative_numbers = true, value_name = "BETA")]
    pub(crate) beta: f64,
    /// Share of labels that are taken to be wrong
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "SHARE")]
    pub(crate) label_smoothing: f64,
    /// reverse-kl, forward-kl, js or alpha=X
    #[arg(long, default_value = "reverse-kl", value_name = "DIVERGENCE")]
    pub(crate) divergence: Divergence,
    /// Take the reference to find everything equally likely
    #[arg(long)]
    pub(crate) reference_free: bool,
    /// Add so much of the chosen replies' mean cross-entropy
    #[arg(long, allow_negative_numbers = true, value_name = "WEIGHT")]
    pub(crate) rpo_alpha: Option<f64>,
    /// Margin of simpo
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true, value_name = "X")]
    pub(crate) simpo_gamma: f64,
    /// Weight of the cross-entropy in cpo
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "X")]
    pub(crate) cpo_alpha: f64,
    /// What tokens beyond the shorter reply's length count (LD-DPO)
    #[arg(long, allow_negative_numbers = true, value_name = "SHARE")]
    pub(crate) ld_alpha: Option<f64>,
    /// Weigh pairs by how probable the policy finds them (WPO)
    #[arg(long)]
    pub(crate) wpo: bool,
    /// Whose version of the objectives: trl-0.11, trl-1 or trl-0.7
    #[arg(long, default_value = "trl-0.11", value_name = "RULES")]
    pub(crate) rules: Rules,
    /// What is kept of the forward pass: one (all, fastest), by-pair or by-sequence (the memory of one pair or of one sequence)
    #[arg(long, value_enum, default_value_t = Kept::One, value_name = "one|by-pair|by-sequence")]
    pub(crate) passes: Kept,
}

/// What is kept of the forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kept {
    /// All of it
    One,
    /// That of one pair
    ByPair,
    /// That of one sequence
    BySequence,
}

impl ObjectiveOptions {
    pub(crate) fn options(&self) -> PreferenceOptions {
        PreferenceOptions {
            preference: Preference {
                losses: self.loss.clone(),
                beta: self.beta,
                label_smoothing: self.label_smoothing,
                divergence: self.divergence,
                reference_free: self.reference_free,
                rpo_alpha: self.rpo_alpha,
                simpo_gamma: self.simpo_gamma,
                cpo_alpha: self.cpo_alpha,
                rules: self.rules,
                ..Preference::default()
            },
            passes: match self.passes {
                Kept::One => Passes::One,
                Kept::ByPair => Passes::ByPair,
                Kept::BySequence => Passes::BySequence,
            },
            ld_alpha: self.ld_alpha,
            wpo: self.wpo,
        }
    }
}

/// What the policy is held against.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reference")]
pub(crate) struct ReferenceOptions {
    /// Begin with this adapter (a PEFT folder or a run); it is the reference, too
    #[arg(long, conflicts_with = "from_adapter", value_name = "DIR")]
    pub(crate) init_adapter: Option<PathBuf>,
    /// Another model as the reference instead of the base model without its adapter
    #[arg(long, conflicts_with = "init_adapter", value_name = "MODEL")]
    pub(crate) reference_model: Option<String>,
    /// Ask the reference once before the training and keep its answers in this folder, for other runs too
    #[arg(long, value_name = "DIR")]
    pub(crate) reference_cache: Option<PathBuf>,
}

/// What a run writes down beside its records.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Outputs")]
pub(crate) struct Outputs {
    /// At each evaluation, reply to the prompts of so many validation pairs; 0 replies to none
    #[arg(long, default_value_t = 4, value_name = "N")]
    pub(crate) generate: usize,
    /// New tokens of such a reply
    #[arg(long, default_value_t = 512, value_parser = at_least_one(), value_name = "TOKENS")]
    pub(crate) max_new_tokens: usize,
    /// What each pair gave: at evaluations, at evaluations and steps, or nowhere
    #[arg(long, value_enum, default_value_t = SampleTable::Eval, value_name = "eval|all|off")]
    pub(crate) sample_table: SampleTable,
}

/// When it is written down what each pair gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SampleTable {
    /// At evaluations
    Eval,
    /// At evaluations and at training steps
    All,
    /// Nowhere
    Off,
}

/// The training loop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct Loop {
    /// Passes over the data; may be a fraction
    #[arg(long, default_value_t = 3.0, allow_negative_numbers = true, value_name = "N")]
    pub(crate) epochs: f64,
    /// Pairs (or replies) that go through the model at a time
    #[arg(long, default_value_t = 2, value_parser = at_least_one(), value_name = "N")]
    pub(crate) micro_batch: usize,
    /// Micro-batches of an optimiser step
    #[arg(long, default_value_t = 2, value_parser = at_least_one(), value_name = "N")]
    pub(crate) accumulate: usize,
    /// Pairs of an evaluation that go through the model at a time
    #[arg(long, default_value_t = 8, value_parser = at_least_one(), value_name = "N")]
    pub(crate) evaluation_batch: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = 5e-5, allow_negative_numbers = true, value_name = "RATE")]
    pub(crate) learning_rate: f64,
    /// constant, linear, cosine, cosine-with-restarts:N, cosine-with-floor:SHARE, polynomial:POWER:END, inverse-sqrt, noam or warmup-stable-decay:STEPS
    #[arg(long, default_value = "cosine", value_name = "SCHEDULE")]
    pub(crate) schedule: Schedule,
    /// Steps of the warm-up, or a fraction of all steps
    #[arg(long, default_value = "0.1", value_parser = warmup, value_name = "N")]
    pub(crate) warmup: Warmup,
    /// Steps between evaluations; 0 is once an epoch
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) evaluate_every: u64,
    /// By what the best evaluation is found: loss, or a metric whose largest value is the best, e.g. rewards/accuracies [default: rewards/accuracies for dpo,
    /// loss for it and pft]
    #[arg(long, value_name = "METRIC")]
    pub(crate) select: Option<String>,
    #[command(flatten)]
    pub(crate) usual: UsualLoop,
}

impl Loop {
    pub(crate) fn options(&self, method: Method) -> TrainerOptions {
        let selection = match (self.select.as_deref(), method) {
            (Some("loss"), _) | (None, Method::It | Method::Pft) => Selection::Loss,
            (Some(metric), _) => Selection::Highest(metric.to_owned()),
            (None, Method::Dpo) => Selection::Highest(REWARD_ACCURACY.to_owned()),
        };
        TrainerOptions {
            epochs: self.epochs,
            batch: self.micro_batch,
            accumulate: self.accumulate,
            evaluation_batch: self.evaluation_batch,
            evaluate_first: true,
            // Losses of preferences differ by orders from pair to pair: a lucky one is no measure for the others.
            divergence_factor: if method == Method::Dpo { 0.0 } else { TrainerOptions::default().divergence_factor },
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            selection,
            ..self.usual.options()
        }
    }
}

/// The published defaults of options that other programs have too.
pub(crate) fn published(option: clap::Arg) -> clap::Arg {
    match option.get_id().as_str() {
        "rank" | "alpha" => option.default_value("16"),
        "dropout" => option.default_value("0"),
        "targets" => option.default_value("q_proj,v_proj"),
        "patience" => option.default_value("0"),
        "project" => option.default_value("solace-persuasion"),
        _ => option,
    }
}

/// How a run of `persuasion train` wrote its prompts, as its config.toml says: whoever uses the adapter writes them alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WritingSettings {
    pub(crate) template: String,
    pub(crate) encoding: EncodePairs,
}

impl From<&Writing> for WritingSettings {
    fn from(writing: &Writing) -> Self {
        Self { template: writing.template.clone(), encoding: writing.encoding() }
    }
}
