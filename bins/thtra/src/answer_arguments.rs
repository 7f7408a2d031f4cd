//! The command lines of answers, word for word. Defaults are those of the published scripts.

use std::path::PathBuf;

use candle_core::Device;
use clap::Args;
use command_line::{Failure, Machine, MetricTables, at_least_one};
use seq2seq::search::DecodingOptions;
use thtra::{Layout, StrategyMode, TrainedModel, sampling_options};

use crate::arguments::LengthOptions;

/// Answer the samples of dialogue lines with a trained model
///
/// Writes one line a sample: what was said before, what was really said, the answer, the strategy it follows, what the model thinks of the strategies, and what the
/// real response costs it. An answer depends on its sample and the seed, not on the samples beside it. --resume goes on after an interruption.
#[derive(Debug, Args)]
#[command(mut_arg("model", |model| model.required(true)), after_help = "Examples:
  thtra infer --model situation --data data/test.txt --out generations.jsonl
  thtra infer --model situation --strategy given:Question --limit 100 --out questions.jsonl
  thtra infer --model situation --temperature 0 --num-beams 5 --out beams.jsonl")]
pub(crate) struct Infer {
    #[command(flatten)]
    pub(crate) answers: Answers,
    /// Who chooses strategies: the model, its likeliest (argmax) or a draw (sample); the annotators (gold); or you (given:NAME)
    #[arg(long, default_value = "argmax", value_parser = StrategyMode::parse, value_name = "argmax|sample|gold|given:NAME")]
    pub(crate) strategy: StrategyMode,
    /// Where the answers go
    #[arg(long, default_value = "generations.jsonl", value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Answer the samples of dialogue lines, and score the answers
///
/// Writes to DIR generations.jsonl, with strategies as --strategy says, and generations_gold.jsonl, with those of the annotators: an oracle, beside which the
/// first stand; metrics.json with all numbers, settings and signatures; metrics_list.jsonl with those of each sample. Perplexity is of the real responses. METEOR needs
/// its tables to be the published one. With --generations a file of `thtra infer` is scored, and no model is needed.
#[derive(Debug, Args)]
#[command(
    mut_arg("model", |model| model.required_unless_present("generations")),
    mut_args(|option| match option.get_id().as_str() {
        "data" | "layout" | "limit" | "batch_size" | "resume" => option.conflicts_with("generations"),
        _ => option,
    }),
    after_help = "Examples:
  thtra eval --model aligned --data data/test.txt --out scores
  thtra eval --model aligned --helpfulness helpful --against scores-situation/generations.jsonl
  thtra eval --generations generations.jsonl --glove glove.6B.300d.txt --format json"
)]
pub(crate) struct Eval {
    #[command(flatten)]
    pub(crate) answers: Answers,
    /// Score these answers of `thtra infer` instead of making some
    #[arg(long, conflicts_with_all = ["model", "strategy", "no_gold"], value_name = "FILE")]
    pub(crate) generations: Option<PathBuf>,
    /// Who chooses strategies: the model, its likeliest (argmax) or a draw (sample); the annotators (gold); or you (given:NAME)
    #[arg(long, default_value = "argmax", value_parser = StrategyMode::parse, value_name = "argmax|sample|gold|given:NAME")]
    pub(crate) strategy: StrategyMode,
    /// Do not answer once more with the annotators' strategies
    #[arg(long)]
    pub(crate) no_gold: bool,
    /// Other answers of `thtra infer` to the same samples, to compare with: whole dialogues are drawn and swapped
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// Also the mean helpfulness of the answers, by a run of `thtra helpfulness train`
    #[arg(long, value_name = "DIR")]
    pub(crate) helpfulness: Option<PathBuf>,
    /// The encoder of that, where it has been moved
    #[arg(long, requires = "helpfulness", value_name = "DIR")]
    pub(crate) helpfulness_encoder: Option<PathBuf>,
    /// Where the results go
    #[arg(long, default_value = "eval_result", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Resamples of the intervals
    #[arg(long, default_value_t = 2000, value_parser = at_least_one(), value_name = "N")]
    pub(crate) resamples: usize,
    /// Word vectors in GloVe's text format, for embedding average, extrema and greedy
    #[arg(long, value_name = "FILE")]
    pub(crate) glove: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tables: MetricTables,
}

/// Talk to a trained model
///
/// Reads what the seeker says, a line at a time, and answers. The model chooses a strategy by a draw from its likeliest ones, unless you do (/strategy NAME). Lines of a
/// pipe are answered as well, without prompts; with --format json each answer is one object a line.
#[derive(Debug, Args)]
#[command(mut_arg("model", |model| model.required(true)), after_help = "Examples:
  thtra chat --model aligned --show-strategies
  thtra chat --model aligned --strategy given:Question
  echo 'I failed my exam.' | thtra chat --model aligned --format json")]
pub(crate) struct Chat {
    #[command(flatten)]
    pub(crate) trained: Trained,
    /// Who chooses strategies: the model, by a draw (sample) or its likeliest (argmax); or you (given:NAME)
    #[arg(long, default_value = "sample", value_parser = StrategyMode::parse, value_name = "sample|argmax|given:NAME")]
    pub(crate) strategy: StrategyMode,
    /// Show the three likeliest strategies behind each answer
    #[arg(long)]
    pub(crate) show_strategies: bool,
    /// Seed of all draws
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) lengths: LengthOptions,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// A model, samples, and how they are answered.
#[derive(Debug, Clone, Args)]
pub(crate) struct Answers {
    #[command(flatten)]
    pub(crate) trained: Trained,
    /// Dialogues to be answered, with train.txt, valid.txt or test.txt's lines (see `thtra process`)
    #[arg(long, default_value = "data/test.txt", value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Only the first so many samples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Samples that are answered at a time
    #[arg(long, default_value_t = 16, value_parser = at_least_one(), value_name = "N")]
    pub(crate) batch_size: usize,
    /// Seed of all draws
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) lengths: LengthOptions,
    #[command(flatten)]
    pub(crate) decoding: Decoding,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

/// A trained model.
#[derive(Debug, Clone, Args)]
pub(crate) struct Trained {
    /// The model: a run of `thtra`, its model folder, or a Hugging Face folder of a BlenderBot-small with the strategies' tokens
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// How it reads dialogues: with strategies, or without any (vanilla) [default: as its run says, else strat]
    #[arg(long, value_parser = layout, value_name = "strat|vanilla")]
    pub(crate) layout: Option<Layout>,
}

impl Trained {
    pub(crate) fn open(&self, device: &Device) -> Result<TrainedModel, Failure> {
        let model = self.model.as_ref().ok_or_else(|| Failure::wrong_use("give a model: --model DIR"))?;
        Ok(TrainedModel::open(model, self.layout, device)?)
    }
}

/// How answers are decoded.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decoding")]
pub(crate) struct Decoding {
    /// Softmax temperature; 0 takes the likeliest token each time [default: 0.7; with beams 0]
    #[arg(long, allow_negative_numbers = true, value_name = "T")]
    temperature: Option<f32>,
    /// Draw from the K likeliest tokens; 0 keeps all
    #[arg(long, default_value_t = 0, value_name = "K")]
    top_k: usize,
    /// Draw from the likeliest tokens up to this probability
    #[arg(long, default_value_t = 0.9, allow_negative_numbers = true, value_name = "P")]
    top_p: f32,
    /// Beams; more than 1 search, and do not draw
    #[arg(long, default_value_t = 1, value_parser = at_least_one(), value_name = "N")]
    num_beams: usize,
    /// Scores of beams are divided by length to this power
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "X")]
    length_penalty: f32,
    /// New tokens at most, the end included
    #[arg(long, default_value_t = 40, value_parser = at_least_one(), value_name = "N")]
    max_length: usize,
    /// No end before this many tokens, with the one or two that a model is begun with
    #[arg(long, default_value_t = 10, value_name = "N")]
    min_length: usize,
    /// Takes from tokens that were said; 1 takes nothing
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "X")]
    repetition_penalty: f32,
    /// No n-gram of this size twice; 0 allows all
    #[arg(long, default_value_t = 0, value_name = "N")]
    no_repeat_ngram: usize,
    /// No n-gram of this size of what was read; 0 allows all
    #[arg(long, default_value_t = 0, value_name = "N")]
    encoder_no_repeat_ngram: usize,
}

impl Decoding {
    pub(crate) fn options(&self) -> Result<DecodingOptions, Failure> {
        let usual = if self.num_beams > 1 { 0.0 } else { sampling_options().temperature };
        let options = DecodingOptions {
            temperature: self.temperature.unwrap_or(usual),
            top_k: self.top_k,
            top_p: self.top_p,
            beam_width: self.num_beams,
            length_penalty: self.length_penalty,
            max_new_tokens: self.max_length,
            min_length: self.min_length,
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram,
            encoder_no_repeat_ngram_size: self.encoder_no_repeat_ngram,
            ..sampling_options()
        };
        options.validate().map_err(|error| Failure::wrong_use(format!("{}: {}", flag(error.option), error.problem)))?;
        Ok(options)
    }
}

/// What the command line calls an option of a search.
fn flag(option: &str) -> &str {
    match option {
        "max_new_tokens" => "--max-length",
        "beam_width" => "--num-beams",
        "length_penalty" => "--length-penalty",
        "repetition_penalty" => "--repetition-penalty",
        "temperature" => "--temperature",
        "top_p" => "--top-p",
        other => other,
    }
}

fn layout(text: &str) -> Result<Layout, String> {
    match Layout::parse(text) {
        Ok(layout) if layout != Layout::StratLookAhead => Ok(layout),
        _ => Err("expected strat or vanilla: nobody can look ahead who has to answer".into()),
    }
}
