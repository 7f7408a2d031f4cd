//! The command lines of the third stage, word for word. Defaults are those of the published run script.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::{Machine, at_least_one};
use helpfulness::{AlignmentOptions, ScoreMode};
use thtra::{AlignLimits, CandidateStrategies, ScorerContext, Select, StrategyMode};
use training::TrainerOptions;

use crate::arguments::LengthOptions;
use crate::train_arguments::Loop;

/// Make candidates for alignment, and score them
///
/// Answers every training sample with ten candidates of a diverse beam search behind the annotated strategy, or behind those that the model finds likeliest
/// (--across-strategies), and writes them to DIR/candidates.jsonl. With --helpfulness all responses are scored, the real one included, to DIR/scores.jsonl.
/// Both files grow sample by sample; --resume goes on after an interruption, and scores what is there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  thtra candidates --model situation/model --data-dir data --helpfulness helpful --out candidates
  thtra candidates --model situation/model --across-strategies 3 --helpfulness helpful --out across
  thtra candidates --model situation/model --helpfulness helpful --scorer-context last-3 --scores last-3.jsonl --out candidates --resume")]
pub(crate) struct Candidates {
    /// The model that answers: a Hugging Face folder, as the second stage writes it
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder with train.txt (see `thtra process`)
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Samples of `thtra prepare`, made of these dialogues; otherwise they are made now
    #[arg(long, conflicts_with_all = ["max_input_length", "max_decoder_input_length"], value_name = "DIR")]
    pub(crate) prepared: Option<PathBuf>,
    /// Where candidates and scores go
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Candidates of each sample
    #[arg(long, default_value_t = 10, value_parser = at_least_one(), value_name = "N")]
    pub(crate) candidates: usize,
    /// Divide the candidates among so many strategies, those that the model finds likeliest, instead of the annotated one
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    across_strategies: Option<usize>,
    /// Only the first so many samples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Samples that are answered at a time; decides about memory and speed, not about candidates
    #[arg(long, default_value_t = 8, value_parser = at_least_one(), value_name = "N")]
    pub(crate) batch_size: usize,
    /// Go on with files that this model has begun
    #[arg(long)]
    pub(crate) resume: bool,
    /// File of the scores within DIR
    #[arg(long, default_value = thtra::SCORES_FILE, value_name = "NAME")]
    pub(crate) scores: PathBuf,
    #[command(flatten)]
    pub(crate) scorer: Scorer,
    #[command(flatten)]
    pub(crate) lengths: LengthOptions,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

impl Candidates {
    pub(crate) fn strategies(&self) -> CandidateStrategies {
        self.across_strategies.map_or(CandidateStrategies::Annotated, CandidateStrategies::Likeliest)
    }
}

/// The model of helpfulness.
#[derive(Debug, Args)]
#[command(next_help_heading = "Helpfulness")]
pub(crate) struct Scorer {
    /// Model of helpfulness: a run of `thtra helpfulness train`, or the model folder in it
    #[arg(long, value_name = "RUN")]
    pub(crate) helpfulness: Option<PathBuf>,
    /// Folder of the BERT below it, if it is not where it was
    #[arg(long, requires = "helpfulness", value_name = "DIR")]
    pub(crate) helpfulness_encoder: Option<PathBuf>,
    /// What it reads before a response: all that the seeker said in one go, the last turn, or the last three
    #[arg(
        long,
        default_value = ScorerContext::default().name(),
        value_parser = ScorerContext::parse,
        value_name = "seeker-block|last-1|last-3"
    )]
    pub(crate) scorer_context: ScorerContext,
}

/// Train the third stage: responses that are more helpful become likelier
///
/// Learns from candidates and their scores (see `thtra candidates`): of two candidates the more helpful one is to be likelier, and the real response is to stay
/// likely. Each evaluation measures perplexity, and answers validation samples for BLEU-4 and, with --helpfulness, the answers' mean helpfulness. The model that is
/// best is kept in DIR/model. --resume goes on after an interruption, to the same result.
#[derive(Debug, Args)]
#[command(
    mut_args(published_alignment),
    after_help = "Examples:
  thtra align --base situation/model --candidates candidates --helpfulness helpful --out aligned
  thtra align --base situation/model --candidates across --helpfulness helpful --score-mode log --margin 0.01 --out across-log
  thtra align --base situation/model --candidates candidates --select bleu-4 --strategy gold --out as-published"
)]
pub(crate) struct Align {
    /// The model to begin with: that of the second stage, which made the candidates
    #[arg(long, value_name = "MODEL")]
    pub(crate) base: String,
    /// Folder of `thtra candidates`
    #[arg(long, default_value = "candidates", value_name = "DIR")]
    pub(crate) candidates: PathBuf,
    /// File of the scores within that folder
    #[arg(long, default_value = thtra::SCORES_FILE, value_name = "NAME")]
    pub(crate) scores: PathBuf,
    /// Samples of `thtra prepare`
    #[arg(long, default_value = "prepared", value_name = "DIR")]
    pub(crate) prepared: PathBuf,
    /// Folder with the dialogues that the samples were made of
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Only the first so many samples with candidates
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only the first so many validation samples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) val_limit: Option<usize>,
    /// Folder of the run: model/, events.jsonl, curve.svg, checkpoints/ …
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) method: Method,
    #[command(flatten)]
    pub(crate) evaluation: Evaluation,
    #[command(flatten)]
    pub(crate) scorer: Scorer,
    #[command(flatten)]
    loop_: Loop,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

impl Align {
    /// How answers are chosen from: by helpfulness where somebody can tell it.
    pub(crate) fn select(&self) -> Select {
        let usual = if self.scorer.helpfulness.is_some() { Select::Helpfulness } else { Select::Perplexity };
        self.evaluation.select.unwrap_or(usual)
    }

    pub(crate) fn trainer(&self) -> TrainerOptions {
        TrainerOptions {
            // Samples come one by one, so there is nothing to sort.
            by_length: false,
            drop_incomplete: false,
            evaluate_first: true,
            evaluation_batch: self.evaluation.eval_batch_size,
            selection: self.select().selection(),
            ..self.loop_.options(false)
        }
    }

    pub(crate) fn tracking(&self) -> &command_line::Tracking {
        &self.loop_.usual.tracking
    }
}

/// What is minimised.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ranking")]
pub(crate) struct Method {
    /// Candidates of a sample at most, the best ones
    #[arg(long, default_value_t = 10, value_parser = at_least_one(), value_name = "N")]
    pub(crate) max_candidates: usize,
    /// What candidates are ranked by: the mean probability of their tokens, or its logarithm
    #[arg(long, value_enum, default_value_t = ScoreName::Probability, value_name = "probability|log")]
    score_mode: ScoreName,
    /// Sums over tokens are divided by their number to this power: 1 takes means, 0 sums
    #[arg(long, default_value_t = AlignmentOptions::default().length_penalty, allow_negative_numbers = true, value_name = "X")]
    length_penalty: f64,
    /// What scores are multiplied by before they are compared
    #[arg(long, default_value_t = AlignmentOptions::default().scale, allow_negative_numbers = true, value_name = "X")]
    scale: f64,
    /// By how much a candidate must be likelier than the next
    #[arg(long, default_value_t = AlignmentOptions::default().margin, allow_negative_numbers = true, value_name = "X")]
    margin: f64,
    /// By how much the real response must be likelier than candidates
    #[arg(long, default_value_t = AlignmentOptions::default().gold_margin, allow_negative_numbers = true, value_name = "X")]
    gold_margin: f64,
    /// What the real response's lead counts; 0 leaves it out
    #[arg(long, default_value_t = AlignmentOptions::default().gold_weight, allow_negative_numbers = true, value_name = "X")]
    gold_weight: f64,
    /// What the ranking counts
    #[arg(long, default_value_t = AlignmentOptions::default().rank_weight, allow_negative_numbers = true, value_name = "X")]
    rank_weight: f64,
    /// What the likelihood of the real response counts
    #[arg(long, default_value_t = AlignmentOptions::default().likelihood_weight, allow_negative_numbers = true, value_name = "X")]
    lm_weight: f64,
}

impl Method {
    pub(crate) fn options(&self) -> AlignmentOptions {
        AlignmentOptions {
            score: match self.score_mode {
                ScoreName::Probability => ScoreMode::Probability,
                ScoreName::Log => ScoreMode::Log,
            },
            length_penalty: self.length_penalty,
            scale: self.scale,
            margin: self.margin,
            gold_margin: self.gold_margin,
            gold_weight: self.gold_weight,
            rank_weight: self.rank_weight,
            likelihood_weight: self.lm_weight,
        }
    }
}

/// What candidates are ranked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScoreName {
    /// The mean probability of their tokens
    Probability,
    /// The mean log-probability of their tokens
    Log,
}

/// How evaluations go, and which is the best.
#[derive(Debug, Args)]
#[command(next_help_heading = "Evaluation")]
pub(crate) struct Evaluation {
    /// By what the best evaluation is chosen [default: helpfulness with --helpfulness, else ppl]
    #[arg(long, value_parser = Select::parse, value_name = "ppl|bleu-4|helpfulness")]
    select: Option<Select>,
    /// Validation samples that are answered in an evaluation, spread evenly over all; 0 answers none [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) answers: Option<usize>,
    /// Who chooses the strategy of these answers: argmax, sample, gold (the annotation, as published) or given:NAME
    #[arg(long, default_value = "argmax", value_parser = StrategyMode::parse, value_name = "MODE")]
    pub(crate) strategy: StrategyMode,
    /// Seed of these answers, which are drawn the same way each time
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) answer_seed: u64,
    /// Samples that go through the model at a time in evaluations
    #[arg(long, default_value_t = 16, value_parser = at_least_one(), value_name = "N")]
    pub(crate) eval_batch_size: usize,
    /// The best model's perplexity is at most that of the model to begin with times this; not with --select ppl
    #[arg(long, default_value_t = AlignLimits::default().perplexity_factor, value_parser = factor, value_name = "X")]
    perplexity_limit: f64,
    /// Validation loss above which the run ends as failed
    #[arg(long, default_value_t = AlignLimits::default().loss, value_parser = positive, value_name = "X")]
    loss_limit: f64,
}

impl Evaluation {
    pub(crate) fn limits(&self) -> AlignLimits {
        AlignLimits { loss: self.loss_limit, perplexity_factor: self.perplexity_limit }
    }
}

/// The published settings, where other stages have other defaults.
fn published_alignment(option: clap::Arg) -> clap::Arg {
    match option.get_id().as_str() {
        "batch_size" => option.default_value("1"),
        "accumulate" => option.default_value("16"),
        "epochs" => option.default_value("10"),
        "learning_rate" => option.default_value("5e-4").help("What the schedule multiplies"),
        "schedule" => option.default_value("noam"),
        "warmup_steps" => option.default_value("400"),
        "evaluate_every" => option.default_value("400"),
        "weight_decay" => option.default_value("0.01"),
        // More than ten evaluations without a better one.
        "patience" => option.default_value("11"),
        "keep" => option.default_value("2"),
        "project" => option.default_value("solace-thtra"),
        _ => option,
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = positive(text)?;
    if factor >= 1.0 { Ok(factor) } else { Err("expected a number from 1 on".into()) }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if number > 0.0 && !number.is_nan() { Ok(number) } else { Err("expected a number above 0".into()) }
}
