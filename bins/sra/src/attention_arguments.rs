//! The command line of everything about attention and adherence.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use command_line::{Runtime, Server, at_least_one};
use llm_runtime::{EditedRows, Selection};
use strategy_prompting::{NormaliseOrder, SRA_PRESETS, SinkHandling, SraOptions, SraRows};

/// Measure strategy-relevant attention (SRA) of captured runs
///
/// Prints SRA by layout, strategy and turn, each model on its own, with 95 % intervals by conversation. With --out also one CSV line
/// per response and the comparison plots. Responses that lack the span or the rows are left out and counted. Runs must have been made
/// by `sra continue --attention …`.
#[derive(Debug, Args)]
pub(crate) struct Attention {
    /// Run folders
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Folder for tables (CSV) and plots (SVG, PNG)
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Rows of `sra adherence`: log SRA is then correlated with the margin, pooled and within each pair of layouts; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) adherence: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) measure: Measure,
}

/// How SRA is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "How SRA is measured")]
pub(crate) struct Measure {
    /// Named set of choices: ours, paper, reference-prompting or reference-eval; the options below change single ones
    #[arg(long, default_value = "ours", value_parser = SRA_PRESETS, value_name = "PRESET")]
    pub(crate) preset: String,
    /// Span of the prompt: strategy_name, strategy_name_word, strategy_description, situation, history, turn:N … [default: the
    /// preset's]
    ///
    /// Controls beside any span but strategy_name, and a span without its last token (presets reference-…) other than the name with
    /// and without the word, need a run captured with --attention layers.
    #[arg(long, value_name = "LABEL")]
    pub(crate) span: Option<String>,
    /// New tokens that count: all, first:N, or only:N (counted from 0)
    #[arg(long, value_parser = sra_rows, value_name = "ROWS")]
    pub(crate) rows: Option<SraRows>,
    /// Position 0 and beginning-of-sequence tokens: keep, drop-first or drop-all
    #[arg(long, value_parser = sink, value_name = "SINK")]
    pub(crate) sink: Option<SinkHandling>,
    /// Renormalise per layer, or after the mean over layers: per-layer or after-mean
    #[arg(long, value_parser = order, value_name = "ORDER")]
    pub(crate) order: Option<NormaliseOrder>,
    /// Layers, e.g. 0-4,9
    #[arg(long, value_name = "LAYERS")]
    pub(crate) layers: Option<Selection>,
    /// Heads, e.g. 0,3-5 (needs a run captured with --attention full)
    #[arg(long, value_name = "HEADS")]
    pub(crate) heads: Option<Selection>,
}

impl Measure {
    pub(crate) fn options(&self) -> Result<SraOptions, strategy_prompting::Error> {
        let preset = SraOptions::preset(&self.preset)?;
        Ok(SraOptions {
            span: self.span.clone().unwrap_or(preset.span),
            rows: self.rows.unwrap_or(preset.rows),
            sink: self.sink.unwrap_or(preset.sink),
            span_end: preset.span_end,
            order: self.order.unwrap_or(preset.order),
            layers: self.layers.clone().unwrap_or(preset.layers),
            heads: self.heads.clone().unwrap_or(preset.heads),
        })
    }
}

/// Look at captured runs in the browser
///
/// Serves a page on this machine only, unless --address says otherwise. Runs must have been made by `sra continue --attention …`.
#[derive(Debug, Args)]
pub(crate) struct View {
    /// Run folders
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:5220", value_name = "ADDRESS")]
    pub(crate) address: SocketAddr,
    /// Also answer to this host name; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) allow_host: Vec<String>,
}

/// Recompute an SRA table under every preset and show what changes
///
/// Walks from `ours` to each preset, one choice at a time, for every model and layout. Ranks are among the layouts of a model.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Run folders
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Also write the table here (CSV)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Score each response behind the prompts of all strategies
///
/// Prints the diagonal margin (by how many nats per token the own strategy's prompt makes a response likelier than the others do),
/// how often the own strategy fits best, and the confusion. One JSON line per response goes to --out; an interrupted run goes on
/// with --resume.
#[derive(Debug, Args)]
pub(crate) struct Adherence {
    /// Run folders or files of continuation records
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The model that scores: demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL (vLLM and `sra serve` can
    /// score, OpenAI can't)
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Where the rows go (.jsonl)
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Go on where an interrupted run ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Only so many responses, evenly spread over the runs and strategies
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Strategy set: extes15, esconv8, multiesc8, or a TOML file [default: the first run's own]
    #[arg(long, value_name = "SET")]
    pub(crate) strategies: Option<String>,
    /// Also measure SRA behind every prompt: the other strategies' are a control
    #[arg(long)]
    pub(crate) attention: bool,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Mask or scale attention to the strategy, and see what becomes of adherence
///
/// Scores each response twice behind the prompts of all strategies: as it is, and with attention to the chosen spans multiplied by
/// --factor before the softmax.
#[derive(Debug, Args)]
pub(crate) struct Intervene {
    /// Run folders or files of continuation records
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The model that scores: demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Weights are multiplied by this: 0 masks, 1 changes nothing
    #[arg(long, default_value_t = 0.0, value_name = "X")]
    pub(crate) factor: f32,
    /// Spans that are seen less or more
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "LABEL",
        default_value = "strategy_name_word,strategy_description,strategy_mention"
    )]
    pub(crate) spans: Vec<String>,
    /// Layers that are changed, e.g. 0-4,9
    #[arg(long, default_value = "all", value_name = "LAYERS")]
    pub(crate) layers: Selection,
    /// Heads that are changed
    #[arg(long, default_value = "all", value_name = "HEADS")]
    pub(crate) heads: Selection,
    /// Rows that are changed: new (the response's), or all (what follows the span in the prompt can't carry it on)
    #[arg(long, default_value = "new", value_parser = edited_rows, value_name = "new|all")]
    pub(crate) rows: EditedRows,
    /// Only so many responses, evenly spread over the runs and strategies
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Strategy set: extes15, esconv8, multiesc8, or a TOML file [default: the first run's own]
    #[arg(long, value_name = "SET")]
    pub(crate) strategies: Option<String>,
    /// Also write one JSON line per response, before and after
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
}

/// See how well the strategy can be read off a response
///
/// Fits a logistic regression on four fifths of the conversations and tests it on the others, for every model and layout.
#[derive(Debug, Args)]
pub(crate) struct Predictability {
    /// Run folders or files of continuation records
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// What is read: lexical (counts of two and three words in a row) or semantic (vectors)
    #[arg(long, value_enum, default_value_t = Reading::Lexical)]
    pub(crate) reading: Reading,
    /// Semantic: vectors made elsewhere (safetensors: `embeddings` [n, width] f32, metadata `ids`)
    #[arg(long, value_name = "FILE")]
    pub(crate) embeddings: Option<PathBuf>,
    /// Semantic: the mean of this language model's hidden states
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Semantic: vectors of this sentence encoder, a BERT or RoBERTa model (a Hugging Face folder or a hub id)
    #[arg(long, value_name = "MODEL")]
    pub(crate) encoder: Option<String>,
    /// Layer of the model: 0 is the embedding [default: the last, behind the final norm]
    #[arg(long, value_name = "N")]
    pub(crate) layer: Option<usize>,
    /// Share of the responses to test on
    #[arg(long, default_value_t = 0.2, value_name = "SHARE")]
    pub(crate) test_share: f64,
    /// Seed of the splits
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
}

/// What a predictor reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reading {
    /// Counts of two and three words in a row
    Lexical,
    /// Vectors
    Semantic,
}

/// See how well the strategy can be read off single tokens' hidden states
///
/// Reads each response behind its dialogue, without the instruction, and fits a ridge classifier on the vectors of its tokens.
#[derive(Debug, Args)]
pub(crate) struct TokenProbe {
    /// Run folders or files of continuation records
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The model that reads
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Layer: 0 is the embedding [default: the last, behind the final norm]
    #[arg(long, value_name = "N")]
    pub(crate) layer: Option<usize>,
    /// At most so many responses, drawn at random
    #[arg(long, default_value_t = 1000, value_parser = at_least_one(), value_name = "N")]
    pub(crate) responses: usize,
    /// Seed of the draw and the splits
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
}

fn sra_rows(text: &str) -> Result<SraRows, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number"));
    match text.split_once(':') {
        None if text == "all" => Ok(SraRows::All),
        Some(("first", count)) => Ok(SraRows::First(number(count)?)),
        Some(("only", row)) => Ok(SraRows::Only(number(row)?)),
        _ => Err("expected all, first:N or only:N".into()),
    }
}

fn sink(text: &str) -> Result<SinkHandling, String> {
    match text {
        "keep" => Ok(SinkHandling::Keep),
        "drop-first" => Ok(SinkHandling::DropFirst),
        "drop-all" => Ok(SinkHandling::DropAll),
        _ => Err("expected keep, drop-first or drop-all".into()),
    }
}

fn order(text: &str) -> Result<NormaliseOrder, String> {
    match text {
        "per-layer" => Ok(NormaliseOrder::PerLayer),
        "after-mean" => Ok(NormaliseOrder::AfterMean),
        _ => Err("expected per-layer or after-mean".into()),
    }
}

fn edited_rows(text: &str) -> Result<EditedRows, String> {
    match text {
        "new" => Ok(EditedRows::New),
        "all" => Ok(EditedRows::All),
        _ => Err("expected new or all".into()),
    }
}
