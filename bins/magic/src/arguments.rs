//! The command line, word for word.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use command_line::{Common, Failure, InstallFiles, LONG_VERSION, Runtime, Server};
use llm_runtime::GenerationOptions;
use magic::{LetterCase, MOTIVATIONS_FILE, SampleRule, Task, Template};

use crate::generator_arguments::{Bank, ConvertCheckpoint, Demo, Eval, Generate};
use crate::inference_arguments::{Export, Finetune, InferStrategy};
use crate::train_arguments::Train;

/// Emotional support with motivation-driven strategy inference and a memory of strategies
#[derive(Debug, Parser)]
#[command(name = "magic", version, long_version = LONG_VERSION, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is to be done; each one's help is that of its options.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Preprocess(Preprocess),
    CollectMotivations(Box<CollectMotivations>),
    BuildPrompts(BuildPrompts),
    Finetune(Box<Finetune>),
    Export(Box<Export>),
    InferStrategy(Box<InferStrategy>),
    ParseAnswers(ParseAnswers),
    Train(Box<Train>),
    Eval(Box<Eval>),
    Generate(Box<Generate>),
    ConvertCheckpoint(ConvertCheckpoint),
    Demo(Demo),
    Bank(Bank),
    Templates(Templates),
    #[command(flatten)]
    InstallFiles(InstallFiles),
}

/// Where the raw dialogues are.
#[derive(Debug, Args)]
pub(crate) struct Data {
    /// Folder with train.txt, valid.txt and test.txt of MultiESC or MAGIC
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Which supporter turns of test.txt are samples: the last of each dialogue, as published, or all, which says more
    #[arg(long, default_value = "last", value_parser = SampleRule::parse, value_name = "last|all")]
    pub(crate) test_samples: SampleRule,
}

impl Data {
    /// Name of each split, its raw file, and which of its turns are samples.
    pub(crate) fn splits(&self) -> [(&'static str, PathBuf, SampleRule); 3] {
        let file = |name: &str| self.data_dir.join(name);
        [
            ("train", file("train.txt"), SampleRule::AllTurns),
            ("valid", file("valid.txt"), SampleRule::AllTurns),
            ("test", file("test.txt"), self.test_samples),
        ]
    }
}

/// Make the generator's samples out of raw dialogues
///
/// Reads train.txt, valid.txt and test.txt, and writes train.json, valid.json and test.json: one sample for each supporter turn, with
/// situation and dialogue so far, the turn, its strategy, and the supporter's earlier turns. Contractions are written out
/// (I ' m becomes I am). With --inferred-dir the samples get inferred strategies and motivations.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  magic preprocess --data-dir data --out-dir data
  magic preprocess --test-samples all --expand-case preserve --out-dir samples
  magic preprocess --inferred-dir LLM_inference --gold-strategy")]
pub(crate) struct Preprocess {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Where the samples go
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
    /// Folder with strategy_with_motivation.json, …_valid.json and …_test.json: entry i belongs to sample i of train, valid
    /// and test
    #[arg(long, value_name = "DIR")]
    pub(crate) inferred_dir: Option<PathBuf>,
    /// Of what was inferred take the motivation only, and keep the annotated strategy
    #[arg(long, requires = "inferred_dir")]
    pub(crate) gold_strategy: bool,
    /// How contractions in mid-sentence are written out: with the table's capitals, as published, or with the case they
    /// have
    #[arg(long, default_value = "table", value_parser = LetterCase::parse, value_name = "table|preserve")]
    pub(crate) expand_case: LetterCase,
}

/// Whose words stand around a dialogue in a prompt.
#[derive(Debug, Args)]
pub(crate) struct TemplateOptions {
    /// Folder with texts of prompts instead of the built-in ones (see `magic templates`)
    #[arg(long, value_name = "DIR")]
    pub(crate) templates: Option<PathBuf>,
}

impl TemplateOptions {
    pub(crate) fn load(&self, task: Task) -> Result<Template, Failure> {
        match &self.templates {
            Some(folder) => Ok(Template::from_folder(task, folder)?),
            None => Ok(Template::built_in(task)),
        }
    }
}

/// Ask a chat model why each strategy was chosen
///
/// One request for each supporter turn of train.txt, with the dialogue up to that turn. Answers are kept in
/// DIR/motivations.jsonl as they come; at the end DIR/motivations_4_LLaMA.json holds all of them in order, with null where one is
/// missing (and exit code 1). After an interruption or a failure, --resume asks for what is missing and nothing else. A server is asked at most every 3
/// seconds, as published, unless --min-delay says otherwise.
#[derive(Debug, Args)]
#[command(
    mut_args(published_delay),
    after_help = "Examples:
  magic collect-motivations --train-file-path data/train.txt --out-dir motivations
  magic collect-motivations --out-dir motivations --resume
  magic collect-motivations --model openai:meta-llama/Llama-3.1-8B-Instruct@http://localhost:8000/v1 --min-delay 0
  magic collect-motivations --model llama-2-7b-chat.Q4_K_M.gguf --out-dir motivations
  magic collect-motivations --backend echo --out-dir try
  magic collect-motivations --backend file --answers motivations_4_LLaMA.json --out-dir checked"
)]
pub(crate) struct CollectMotivations {
    /// Raw dialogues whose strategies are to be explained
    #[arg(long, default_value = "data/train.txt", value_name = "FILE")]
    pub(crate) train_file_path: PathBuf,
    /// Where the motivations go
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
    /// Go on where an earlier call ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) template: TemplateOptions,
    /// Who answers: a model, echo (the labelled line, to try things out), or a file of answers
    #[arg(long, value_enum, default_value_t = Backend::Model)]
    pub(crate) backend: Backend,
    /// Answers for --backend file: a JSON array of texts, one per supporter turn
    #[arg(long, value_name = "FILE")]
    pub(crate) answers: Option<PathBuf>,
    /// openai:NAME@URL, demo, a .gguf file, a Hugging Face folder or a hub id
    #[arg(long, default_value = "openai:gpt-3.5-turbo-0125@https://api.openai.com/v1", value_name = "MODEL")]
    pub(crate) model: String,
    /// Softmax temperature; 0 is greedy
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "T")]
    pub(crate) temperature: f32,
    /// At most this many new tokens
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub(crate) max_new_tokens: usize,
    /// Seed of sampling; each request has one of its own, made of this and its prompt
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
    /// Known from the published code, and refused: it would show the key to everybody on the machine
    #[arg(long, hide = true, value_name = "KEY")]
    pub(crate) openai_api_key: Option<String>,
}

/// The published pause.
fn published_delay(option: clap::Arg) -> clap::Arg {
    match option.get_id().as_str() {
        "min_delay" => option.help("Least time between two attempts [default: 3]"),
        _ => option,
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// The model
    #[value(alias = "server")]
    Model,
    /// A file of answers
    File,
    /// The labelled line itself
    Echo,
}

impl CollectMotivations {
    pub(crate) fn generation(&self) -> Result<GenerationOptions, Failure> {
        if self.openai_api_key.is_some() {
            return Err(Failure::wrong_use(
                "--openai-api-key would show the key to everybody on this machine: put it into the environment \
                 variable OPENAI_API_KEY, or name a variable (--api-key-env) or a file (--api-key-file)",
            ));
        }
        let options = GenerationOptions {
            temperature: self.temperature,
            max_new_tokens: self.max_new_tokens,
            seed: self.seed,
            ..GenerationOptions::default()
        };
        options.validate().map_err(Failure::wrong_use)?;
        Ok(options)
    }
}

/// Make the prompts of the strategy inference
///
/// Writes prompts_4_LLaMA.json (pairs of instruction and motivation to fine-tune with), prompts_4_LLaMA_valid.json and
/// prompts_4_LLaMA_test.json (prompts to infer with). Motivation i belongs to supporter turn i of train.txt; where it is null, the pair is
/// left out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  magic build-prompts --data-dir data --out-dir prompts
  magic build-prompts --motivations motivations/motivations_4_LLaMA.json --test-samples all --out-dir prompts
  magic build-prompts --templates my-texts")]
pub(crate) struct BuildPrompts {
    #[command(flatten)]
    pub(crate) data: Data,
    /// Where the prompts go
    #[arg(long, default_value = "data", value_name = "DIR")]
    pub(crate) out_dir: PathBuf,
    /// Collected motivations [default: motivations_4_LLaMA.json in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) motivations: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) template: TemplateOptions,
}

impl BuildPrompts {
    pub(crate) fn motivations(&self) -> PathBuf {
        self.motivations.clone().unwrap_or_else(|| self.data.data_dir.join(MOTIVATIONS_FILE))
    }
}

/// Read strategies and motivations out of what a model wrote
///
/// Turns the answers of any engine to the prompts of build-prompts into a file that preprocess reads. The strategy is the first one in square
/// brackets, else the first one in plain words, else Others; parse_status says which.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  magic parse-answers --answers answers_valid.json --out strategy_with_motivation_valid.json
  magic parse-answers --answers answers.json --prompts prompts_4_LLaMA.json --out strategy_with_motivation.json")]
pub(crate) struct ParseAnswers {
    /// What the model wrote: a JSON array of texts
    #[arg(long, value_name = "FILE")]
    pub(crate) answers: PathBuf,
    /// What it was asked, for answers that repeat their prompts
    #[arg(long, value_name = "FILE")]
    pub(crate) prompts: Option<PathBuf>,
    /// Where the inferred strategies go
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) template: TemplateOptions,
}

/// Write the built-in texts of prompts into files, to be changed
///
/// Files that are there already are not touched.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  magic templates my-texts && magic build-prompts --templates my-texts")]
pub(crate) struct Templates {
    /// Where they go
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
}
