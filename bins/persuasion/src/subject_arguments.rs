//! Options of commands that put a trained model to work.

use clap::Args;
use command_line::{Runtime, at_least_one};
use dpo::EncodePairs;
use llm_runtime::GenerationOptions;

use crate::train_arguments::{Cut, WritingSettings};

/// The model, its adapter, and how prompts are written for it.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubjectOptions {
    /// demo, a .gguf file, a Hugging Face folder or a hub id [default: what the run of --adapter was trained from]
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) writing: GivenWriting,
}

/// How prompts are written, where it is not as the run says.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Prompts [default: as the run of --adapter had them, else as `persuasion train` has]")]
pub(crate) struct GivenWriting {
    /// persuasion, bare, chat, or a file with `%% prefix` and `%% suffix`
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,
    /// Tokens of a prompt with its reply; the post is cut where they are more
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_length: Option<usize>,
    /// Tokens that a prompt is cut to
    #[arg(long, value_name = "TOKENS")]
    pub(crate) max_prompt_length: Option<usize>,
    /// Which part of a post goes
    #[arg(long, value_enum, value_name = "post-start|post-end|middle")]
    pub(crate) truncate: Option<Cut>,
}

impl GivenWriting {
    /// What is given, over what the run says.
    pub(crate) fn over(&self, run: Option<&WritingSettings>) -> WritingSettings {
        let known = run
            .cloned()
            .unwrap_or_else(|| WritingSettings { template: "persuasion".into(), encoding: EncodePairs::default() });
        WritingSettings {
            template: self.template.clone().unwrap_or(known.template),
            encoding: EncodePairs {
                max_length: self.max_length.unwrap_or(known.encoding.max_length),
                max_prompt_length: self.max_prompt_length.unwrap_or(known.encoding.max_prompt_length),
                truncate: self.truncate.map_or(known.encoding.truncate, Cut::truncate),
                boundary: known.encoding.boundary,
            },
        }
    }
}

/// How replies are generated.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Generation")]
pub(crate) struct Sampling {
    /// At most this many new tokens
    #[arg(long, default_value_t = 512, value_parser = at_least_one(), value_name = "TOKENS")]
    pub(crate) max_new_tokens: usize,
    /// Replies to each prompt
    #[arg(long, default_value_t = 1, value_parser = at_least_one(), value_name = "N")]
    pub(crate) samples: usize,
    /// Softmax temperature; 0 is greedy
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "T")]
    pub(crate) temperature: f32,
    /// Keep the K most likely tokens; 0 keeps all
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) top_k: usize,
    /// Keep the most likely tokens up to this probability
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "P")]
    pub(crate) top_p: f32,
    /// Keep tokens at least this many times as likely as the most likely
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "P")]
    pub(crate) min_p: f32,
    /// Penalty on tokens that occurred already; 1 is none
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "X")]
    pub(crate) repetition_penalty: f32,
    /// No n-gram of this size twice; 0 allows all
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) no_repeat_ngram_size: usize,
    /// End before this text; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    /// Seed of sampling
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
}

impl Sampling {
    pub(crate) fn options(&self) -> GenerationOptions {
        GenerationOptions {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            stop: self.stop.clone(),
            seed: self.seed,
            ..GenerationOptions::default()
        }
    }
}

/// Help for options that other programs have too.
pub(crate) fn of_persuasion(option: clap::Arg) -> clap::Arg {
    match option.get_id().as_str() {
        "adapter" => option.value_name("RUN|DIR").help("LoRA adapter: a run of `persuasion train`, or a PEFT folder"),
        _ => option,
    }
}
