//! The options of a fine-tuning with LoRA.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lora::LoraConfig;
use lora::sft::{
    BadRecords, Bos, BuiltInPlain, ColumnMap, EncodeOptions, Join, LearnOn, PlainTemplate, ReadOptions, SftError,
};
use lora::{ALL_LINEAR, Targets};

use crate::{Loop, ModelOptions, at_least_one};

/// Fine-tune a model with LoRA
#[derive(Debug, Args)]
pub struct FineTune {
    /// demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, value_name = "MODEL")]
    pub model: String,
    /// Folder of the run: adapter/, events.jsonl, curve.svg, checkpoints/ …
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Go on where an interrupted run of the same settings ended
    #[arg(long)]
    pub resume: bool,
    /// Print the resolved settings and what they cost, train nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What is learned from
    #[command(flatten)]
    pub data: TrainingData,
    /// The adapter
    #[command(flatten)]
    pub lora: Lora,
    /// The training loop
    #[command(flatten)]
    pub loop_: Loop,
    /// The model and where it runs
    #[command(flatten)]
    pub options: ModelOptions,
}

/// What is learned from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct TrainingData {
    /// JSON or JSON Lines: chat messages, instruction/input/output, or prompt/completion
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub data: Vec<PathBuf>,
    /// Held-out files, or a folder of *dev.json* and *val.json* files; the first decides which checkpoint is the best
    #[arg(long, num_args = 1.., value_name = "PATH")]
    pub dev: Vec<PathBuf>,
    /// Names of the fields in the files, e.g. instruction=question,output=answer
    #[arg(long, default_value = "", value_name = "MAP")]
    pub columns: ColumnMap,
    /// How prompts are written
    #[command(flatten)]
    pub wording: Wording,
    /// Encode prompt and answer together as one text, or apart, as inference does
    #[arg(long, default_value = "together", value_parser = join, value_name = "together|apart")]
    pub join: Join,
    /// Which part is learned
    #[arg(long, value_enum, default_value_t = Learn::Last)]
    pub learn_on: Learn,
    /// Tokens of an example at most; the oldest turns are dropped
    #[arg(long, value_name = "TOKENS")]
    pub cutoff: Option<usize>,
    /// Put short examples together up to this many tokens
    #[arg(long, value_name = "TOKENS")]
    pub pack: Option<usize>,
    /// Leave out records that can't be used instead of failing
    #[arg(long)]
    pub skip_bad: bool,
    /// Only the first so many training examples
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub limit: Option<usize>,
}

/// How a prompt is written for a model: the same in training and at inference.
#[derive(Debug, Clone, Args)]
pub struct Wording {
    /// Write prompts with this text file (or plain, human-assistant) instead of the model's chat template (chat)
    #[arg(long, value_name = "TEMPLATE")]
    pub plain: Option<String>,
    /// Beginning of sequence before plain prompts; auto is as the tokenizer does. Chat templates bring their own
    #[arg(long, default_value = "auto", value_parser = bos, value_name = "auto|always|never")]
    pub bos: Bos,
}

impl Wording {
    /// The name of the model's own chat template, where other templates may be named.
    pub const CHAT: &str = "chat";

    /// The text template that takes the place of the model's chat template, if one is named.
    ///
    /// # Errors
    /// The file can't be read, or is no such template.
    pub fn plain_template(&self) -> Result<Option<PlainTemplate>, SftError> {
        let Some(name) = self.plain.as_ref().filter(|name| *name != Self::CHAT) else { return Ok(None) };
        let built_in = BuiltInPlain::ALL.into_iter().find(|known| known.name() == name);
        Ok(Some(match built_in {
            Some(built_in) => built_in.template()?,
            None => PlainTemplate::read(name.as_ref())?,
        }))
    }
}

fn bos(text: &str) -> Result<Bos, String> {
    match text {
        "auto" => Ok(Bos::Auto),
        "always" => Ok(Bos::Always),
        "never" => Ok(Bos::Never),
        _ => Err("expected auto, always or never".into()),
    }
}

fn join(text: &str) -> Result<Join, String> {
    match text {
        "together" => Ok(Join::Together),
        "apart" => Ok(Join::Apart),
        _ => Err("expected together or apart".into()),
    }
}

/// Which part of a chat is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Learn {
    /// The last answer with its end
    Last,
    /// All answers
    Answers,
    /// Everything
    Everything,
}

/// The adapter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Adapter")]
pub struct Lora {
    /// Rank of the update
    #[arg(long, default_value_t = 128, value_name = "R")]
    pub rank: usize,
    /// The update is scaled by ALPHA / R
    #[arg(long, default_value_t = 256.0, allow_negative_numbers = true, value_name = "ALPHA")]
    pub alpha: f64,
    /// Probability with which inputs of the update are dropped
    #[arg(long, default_value_t = 0.05, allow_negative_numbers = true, value_name = "P")]
    pub dropout: f64,
    /// Layers by the end of their names (q_proj,v_proj), or all-linear
    #[arg(long, value_delimiter = ',', default_value = ALL_LINEAR, value_name = "NAMES")]
    pub targets: Vec<String>,
    /// Scale by ALPHA / √R (rsLoRA)
    #[arg(long)]
    pub rslora: bool,
    /// Learn the length of each output row too (DoRA)
    #[arg(long)]
    pub dora: bool,
    /// Go on training this adapter (a PEFT folder) instead of a fresh one; its own shape counts
    #[arg(long, value_name = "DIR")]
    pub from_adapter: Option<PathBuf>,
}

impl Lora {
    /// What the options mean for an adapter.
    pub fn config(&self) -> LoraConfig {
        let targets = match self.targets.as_slice() {
            [one] if one == ALL_LINEAR => Targets::Named(one.clone()),
            names => Targets::Any(names.to_vec()),
        };
        LoraConfig {
            rank: self.rank,
            alpha: self.alpha,
            dropout: self.dropout,
            targets,
            use_rslora: self.rslora,
            use_dora: self.dora,
            ..LoraConfig::default()
        }
    }
}

impl TrainingData {
    /// What becomes of records that can't be used.
    pub fn bad_records(&self) -> BadRecords {
        if self.skip_bad { BadRecords::Skip } else { BadRecords::Fail }
    }

    /// How the files are read.
    pub fn reading(&self) -> ReadOptions {
        ReadOptions { columns: self.columns.clone(), bad_records: self.bad_records(), ..ReadOptions::default() }
    }

    /// How records become tokens.
    pub fn encoding(&self) -> EncodeOptions {
        let learn_on = match self.learn_on {
            Learn::Last => LearnOn::LastAssistant,
            Learn::Answers => LearnOn::AllAssistants,
            Learn::Everything => LearnOn::Everything,
        };
        EncodeOptions { learn_on, cutoff: self.cutoff, bos: self.wording.bos, join: self.join }
    }
}
