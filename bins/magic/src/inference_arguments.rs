//! The command lines of the language model's half: fine-tuning, export and inference.
//!
//! The options are those that all programs of the workspace share, with the values and names of the published training. Published options that
//! mean something else here are known, so that they are refused with a reason.

use std::path::PathBuf;

use clap::{Arg, Args, ValueEnum};
use command_line::{Failure, FineTune, Merge, Runtime, Server, Wording, at_least_one, is_remote};
use llm_runtime::{ChatTemplate, parse_bytes};
use lora::sft::BuiltInPlain;
use magic::{
    Decoding, Dialogue, GoldStrategy, InferenceOptions, SampleRule, Split, gold_strategies, read_gold_strategies,
};
use strategy_prompting::Shard;

use crate::arguments::TemplateOptions;

/// Fine-tune a model to infer strategies and motivations
///
/// Learns to write the motivations of prompts_4_LLaMA.json, with LoRA. The usual values are the published ones: rank 8 on q_proj and
/// v_proj, 64 pairs a step, 5 epochs, learning rate 5e-5 with a cosine, prompts written as `Human: … Assistant: `, at most 1024
/// tokens. Pairs that are longer lose the oldest turns of their dialogue, never head, cue or answer. The folder of the run gets adapter/,
/// events.jsonl, curve.svg, loss_curve.csv (the loss, and the smoothed line of the published picture) and checkpoints/.
/// The options of the published trainer are taken as well (--model_name_or_path, --output_dir, --num_train_epochs …).
#[derive(Debug, Args)]
#[command(
    mut_args(published_training),
    after_help = "Examples:
  magic finetune --model Llama-2-7b-hf --data prompts_4_LLaMA.json --out runs/strategy
  magic finetune --model Llama-2-7b-hf --data prompts_4_LLaMA.json --out runs/strategy --resume
  magic finetune --model demo --data prompts_4_LLaMA.json --limit 200 --max-steps 2 --cutoff 512 --out runs/try
  magic finetune --model_name_or_path Llama-2-7b-hf --data prompts_4_LLaMA.json --columns instruction=prompt,output=response --lora_target q_proj,v_proj --output_dir runs/strategy
  magic finetune --model Llama-2-7b-chat-hf --plain chat --data prompts_4_LLaMA.json --out runs/chat"
)]
pub(crate) struct Finetune {
    /// What is done about pairs that are longer than the cutoff
    #[arg(long, value_enum, default_value_t = Truncate::OldestTurns)]
    pub(crate) truncate: Truncate,
    #[command(flatten)]
    pub(crate) template: TemplateOptions,
    #[command(flatten)]
    pub(crate) fine_tune: FineTune,
    #[command(flatten)]
    published: PublishedTraining,
}

/// What is done about pairs that are longer than the cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Truncate {
    /// The oldest turns of the dialogue are dropped
    OldestTurns,
    /// As published: prompt and answer lose their ends, in proportion
    Proportional,
}

impl Truncate {
    /// Its name in the settings of a run.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OldestTurns => "oldest-turns",
            Self::Proportional => "proportional",
        }
    }
}

/// Options of the published training that have no counterpart. Those that say what is done anyway are passed over.
#[derive(Debug, Args)]
struct PublishedTraining {
    #[arg(long, hide = true, value_name = "NAME")]
    dataset: Option<String>,
    #[arg(long, hide = true, value_name = "DIR")]
    dataset_dir: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    finetuning_type: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    stage: Option<String>,
    #[arg(long, hide = true)]
    do_train: bool,
    #[arg(long, hide = true)]
    plot_loss: bool,
    #[arg(long, hide = true)]
    fp16: bool,
    #[arg(long, hide = true)]
    bf16: bool,
    #[arg(long, hide = true)]
    overwrite_output_dir: bool,
}

impl Finetune {
    /// Refuses published options that mean something else here.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let PublishedTraining {
            dataset, dataset_dir, finetuning_type, stage, fp16, bf16, overwrite_output_dir, ..
        } = &self.published;
        let refused = [
            (
                dataset.is_some() || dataset_dir.is_some(),
                "--dataset names an entry of a registry, of which there is none here: give the file itself (--data FILE), and the \
                 names of its columns where they are others (--columns instruction=prompt,output=response)",
            ),
            (
                finetuning_type.as_ref().is_some_and(|name| name != "lora"),
                "--finetuning-type: only lora is trained here",
            ),
            (stage.as_ref().is_some_and(|name| name != "sft"), "--stage: only sft is done here"),
            (
                *fp16 || *bf16,
                "--fp16 and --bf16 ask for mixed precision; here the model keeps the type of its file (--dtype f16 or bf16 \
                 changes it) and the adapter is trained in f32: leave the option out",
            ),
            (
                *overwrite_output_dir,
                "--overwrite-output-dir: no run is written over here; name another folder, or go on with --resume",
            ),
        ];
        match refused.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, reason)) => Err(Failure::wrong_use(reason)),
            None => Ok(()),
        }
    }
}

/// The published values and names of the shared options.
fn published_training(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "model" => arg.alias("model-name-or-path"),
        "out" => arg.alias("output-dir"),
        "plain" => wording(arg),
        "bos" => arg.default_value("always"),
        "join" => arg.default_value("apart"),
        "cutoff" => arg.default_value("1024").alias("cutoff-len").help("Tokens of a pair at most; --truncate says how"),
        "limit" => arg.alias("max-samples"),
        "rank" => arg.default_value("8").alias("lora-rank"),
        "alpha" => arg.default_value("16").alias("lora-alpha"),
        "dropout" => arg.default_value("0").alias("lora-dropout"),
        "targets" => arg.default_value("q_proj,v_proj").alias("lora-target"),
        "from_adapter" => arg.alias("adapter-name-or-path"),
        "epochs" => arg.default_value("5").alias("num-train-epochs"),
        "micro_batch" => arg.default_value("16").alias("per-device-train-batch-size"),
        "accumulate" => arg.default_value("4").alias("gradient-accumulation-steps"),
        "learning_rate" => arg.default_value("5e-5"),
        "schedule" => arg.default_value("cosine").alias("lr-scheduler-type"),
        "warmup" => arg.default_value("0").alias("warmup-steps").alias("warmup-ratio"),
        "clip" => arg.default_value("1").alias("max-grad-norm"),
        "save_every" => arg.default_value("100").alias("save-steps"),
        "patience" => arg.default_value("0"),
        "log_every" => arg.default_value("10").alias("logging-steps"),
        "project" => arg.default_value("solace-magic"),
        _ => arg,
    }
}

/// `--plain` where the published `default` is the usual value.
fn wording(arg: Arg) -> Arg {
    arg.default_value(BuiltInPlain::HumanAssistant.name())
        .alias("template")
        .value_parser(template_of)
        .help("Write prompts with this text file (or human-assistant, plain), or with the model's chat template (chat)")
}

/// The published trainer calls it `default`, and names chat templates in the same place.
fn template_of(name: &str) -> Result<String, String> {
    match name {
        "default" => Ok(BuiltInPlain::HumanAssistant.name().to_owned()),
        _ if ChatTemplate::built_in_by_name(name).is_some() => {
            Err(format!("`{name}` is a chat template: --plain chat --chat-template {name}"))
        }
        _ => Ok(name.to_owned()),
    }
}

/// Fold an adapter into its model and write the result
///
/// Safetensors in shards, with index, configuration and tokenizer, or one GGUF file. The published names are taken as well
/// (--adapter_name_or_path, --export_dir, --export_size).
#[derive(Debug, Args)]
#[command(
    mut_args(published_export),
    after_help = "Examples:
  magic export --model Llama-2-7b-hf --adapter runs/strategy --out llama2-strategy
  magic export --model_name_or_path Llama-2-7b-hf --adapter_name_or_path runs/strategy --export_dir llama2-strategy --export_size 2
  magic export --model Llama-2-7b-hf --adapter runs/strategy --out llama2-strategy.gguf --type q4_k"
)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) merge: Merge,
    #[command(flatten)]
    published: PublishedExport,
}

/// Options of the published export that have no counterpart.
#[derive(Debug, Args)]
struct PublishedExport {
    #[arg(long, hide = true, value_name = "NAME")]
    template: Option<String>,
    #[arg(long, hide = true, value_name = "NAME")]
    finetuning_type: Option<String>,
    #[arg(long, hide = true, value_name = "BOOL", num_args = 0..=1)]
    export_legacy_format: Option<Option<String>>,
}

impl Export {
    /// Refuses published options that mean something else here.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let is_legacy = match &self.published.export_legacy_format {
            Some(Some(value)) => !value.eq_ignore_ascii_case("false"),
            given => given.is_some(),
        };
        if is_legacy {
            return Err(Failure::wrong_use("--export-legacy-format: only safetensors and GGUF are written here"));
        }
        match self.published.finetuning_type.as_deref() {
            None | Some("lora") => Ok(()),
            Some(_) => Err(Failure::wrong_use("--finetuning-type: only lora is merged here")),
        }
    }
}

fn published_export(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "model" => arg.alias("model-name-or-path"),
        "adapter" => arg.alias("adapter-name-or-path").help(ADAPTER_HELP),
        "out" => arg.alias("export-dir"),
        "export_size" => arg
            .default_value("2G")
            .value_parser(shard_size)
            .help("Largest safetensors shard, e.g. 2G; a number alone counts gigabytes, as published"),
        _ => arg,
    }
}

const ADAPTER_HELP: &str = "LoRA adapter: a PEFT folder, or a run of `magic finetune`";

/// The published option counts gigabytes.
fn shard_size(text: &str) -> Result<u64, String> {
    let is_number = text.parse::<f64>().is_ok();
    let size = if is_number { format!("{text}G") } else { text.to_owned() };
    parse_bytes(&size).map_err(|error| error.to_string())
}

/// Infer strategies and motivations with a language model
///
/// Asks a model about the prompts of build-prompts, and writes strategy_with_motivation.json, …_valid.json and …_test.json as
/// preprocess reads them. By default the strategy is scored: of the eight ways in which an answer may begin the model's likeliest is taken, its
/// probabilities are kept, and the model goes on from there. Prompts that are too long for the model lose their oldest turns. Answers are kept
/// in DIR/inferred.jsonl as they come; after an interruption or a failure, --resume asks for what is missing and nothing
/// else. With --data-dir the strategies are compared with the annotated ones (DIR/strategy_report.json).
#[derive(Debug, Args)]
#[command(
    mut_args(inference),
    after_help = "Examples:
  magic infer-strategy --model llama2-strategy --prompt-path prompts_4_LLaMA.json --prompt-path-valid prompts_4_LLaMA_valid.json --prompt-path-test prompts_4_LLaMA_test.json --out-dir LLM_inference
  magic infer-strategy --model Llama-2-7b-hf --adapter runs/strategy --prompt-path-test prompts_4_LLaMA_test.json --data-dir data --out-dir LLM_inference
  magic infer-strategy --model demo --prompt-path-test prompts_4_LLaMA_test.json --limit 20 --out-dir try
  magic infer-strategy --model llama2-strategy --decode sample --seed 7 --prompt-path-test prompts_4_LLaMA_test.json --out-dir sampled --resume
  magic infer-strategy --model openai:gpt-4o@https://api.openai.com/v1 --plain chat --prompt-path-test prompts_4_LLaMA_test.json --out-dir gpt"
)]
pub(crate) struct InferStrategy {
    /// demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, alias = "model-path", value_name = "MODEL")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) prompts: PromptFiles,
    /// Where strategies, motivations and the journal go
    #[arg(long, value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
    /// Go on where an earlier call ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Only the first so many prompts of each file
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Do only share I of N (0-based), to spread the work over machines; put the journals together and --resume to get the whole lists
    #[arg(long, default_value = "0/1", value_name = "I/N")]
    pub(crate) shard: Shard,
    #[command(flatten)]
    pub(crate) gold: Gold,
    #[command(flatten)]
    pub(crate) wording: Wording,
    #[command(flatten)]
    pub(crate) template: TemplateOptions,
    #[command(flatten)]
    pub(crate) decoding: DecodingOptions,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

fn inference(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "plain" => wording(arg),
        "bos" => arg.default_value("always"),
        "adapter" => arg.help(ADAPTER_HELP),
        _ => arg,
    }
}

/// Which prompts.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct PromptFiles {
    /// Prompts to train with: texts, or pairs of instruction and output
    #[arg(long, value_name = "FILE")]
    prompt_path: Option<PathBuf>,
    /// Prompts to validate with
    #[arg(long, value_name = "FILE")]
    prompt_path_valid: Option<PathBuf>,
    /// Prompts to test with
    #[arg(long, value_name = "FILE")]
    prompt_path_test: Option<PathBuf>,
}

impl PromptFiles {
    /// The files that are given.
    pub(crate) fn given(&self) -> Vec<(Split, PathBuf)> {
        let all = [
            (Split::Train, &self.prompt_path),
            (Split::Valid, &self.prompt_path_valid),
            (Split::Test, &self.prompt_path_test),
        ];
        all.into_iter().filter_map(|(split, path)| Some((split, path.clone()?))).collect()
    }
}

/// What is compared with.
#[derive(Debug, Args)]
pub(crate) struct Gold {
    /// Folder with the raw dialogues that the prompts are of: inferred strategies are compared with theirs
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Which supporter turns of test.txt the test prompts are about
    #[arg(long, default_value = "last", value_parser = SampleRule::parse, requires = "data_dir", value_name = "last|all")]
    test_samples: SampleRule,
    /// Annotated strategies of the prompts to train with, instead: an array of names, or samples of preprocess
    #[arg(long, conflicts_with = "data_dir", requires = "prompt_path", value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Those of the prompts to validate with
    #[arg(long, conflicts_with = "data_dir", requires = "prompt_path_valid", value_name = "FILE")]
    labels_valid: Option<PathBuf>,
    /// Those of the prompts to test with
    #[arg(long, conflicts_with = "data_dir", requires = "prompt_path_test", value_name = "FILE")]
    labels_test: Option<PathBuf>,
}

impl Gold {
    /// The annotated strategies of a list, and the file that they are from.
    pub(crate) fn read(&self, split: Split) -> Result<Option<(Vec<GoldStrategy>, PathBuf)>, magic::Error> {
        let (labels, rule) = match split {
            Split::Train => (&self.labels, SampleRule::AllTurns),
            Split::Valid => (&self.labels_valid, SampleRule::AllTurns),
            Split::Test => (&self.labels_test, self.test_samples),
        };
        if let Some(labels) = labels {
            return Ok(Some((read_gold_strategies(labels)?, labels.clone())));
        }
        let Some(folder) = &self.data_dir else { return Ok(None) };
        let raw = folder.join(format!("{split}.txt"));
        Ok(Some((gold_strategies(&Dialogue::read_all(&raw)?, rule), raw)))
    }
}

/// How answers are decided.
#[derive(Debug, Args)]
#[command(next_help_heading = "Decoding")]
pub(crate) struct DecodingOptions {
    /// How an answer is decided [default: score; greedy behind a server]
    #[arg(long, value_enum)]
    decode: Option<Decode>,
    /// Softmax temperature, for --decode sample [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "T")]
    temperature: Option<f32>,
    /// Draw from so many of the likeliest tokens, for --decode sample; 0 is all [default: 10]
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// At most this many new tokens
    #[arg(long, default_value_t = 128, value_name = "N")]
    max_new_tokens: usize,
    /// Seed of drawing; each prompt has one of its own, made of this and the prompt
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
}

/// How an answer is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decode {
    /// The likeliest of the eight beginnings, then greedy: always the same, with probabilities
    Score,
    /// The likeliest token at each place: always the same
    Greedy,
    /// Drawn, as published
    Sample,
}

impl InferStrategy {
    /// What the options mean.
    pub(crate) fn options(&self) -> Result<InferenceOptions, Failure> {
        let DecodingOptions { decode, temperature, top_k, max_new_tokens, seed } = self.decoding;
        let remote = is_remote(&self.model);
        let decode = decode.unwrap_or(if remote { Decode::Greedy } else { Decode::Score });
        if decode != Decode::Sample && (temperature.is_some() || top_k.is_some()) {
            return Err(Failure::wrong_use("--temperature and --top-k are about --decode sample"));
        }
        let decoding = match decode {
            Decode::Score if remote && self.is_chat() => {
                return Err(Failure::wrong_use(
                    "--decode score makes a model write on behind the beginning of an answer, which a chat behind a server has no \
                     place for: take another --plain, or --decode greedy",
                ));
            }
            Decode::Score => Decoding::Score,
            Decode::Greedy => Decoding::Greedy,
            Decode::Sample => Decoding::Sample { temperature: temperature.unwrap_or(1.0), top_k: top_k.unwrap_or(10) },
        };
        Ok(InferenceOptions { decoding, max_new_tokens, seed })
    }

    fn is_chat(&self) -> bool {
        self.wording.plain.as_deref() == Some(Wording::CHAT)
    }
}

#[cfg(test)]
mod tests {
    use super::shard_size;

    #[test]
    fn a_shard_size_without_unit_counts_gigabytes() {
        assert_eq!(shard_size("2"), Ok(2 << 30));
        assert_eq!(shard_size("512M"), Ok(512 << 20));
        assert!(shard_size("two").is_err());
    }
}
