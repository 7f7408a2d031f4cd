//! The command line, word for word.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use command_line::{Common, InstallFiles, LONG_VERSION, Machine, Runtime, Server, at_least_one, at_least_zero};
use strategy_prompting::{Layout, TurnRange};

use crate::judges::Weight;
use crate::plan::PlannerName;

/// Plan strategies, say them, rank what was said, make preference pairs of it, and compare whole systems
///
/// The steps of a pipeline, each a file that the next one reads: plan, realise, rank, pairs; `persuasion train` then makes an adapter of
/// the pairs. `solace scoreboard` runs whole systems on the same dialogues and holds them against each other.
#[derive(Debug, Parser)]
#[command(name = "solace", version, long_version = LONG_VERSION, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Plan(Box<Plan>),
    Realise(Box<Realise>),
    Rank(Box<Rank>),
    Pairs(Pairs),
    Scoreboard(Box<Scoreboard>),
    Demo(Demo),
    #[command(flatten)]
    InstallFiles(InstallFiles),
}

/// Which places in which dialogues.
#[derive(Debug, Clone, Args)]
pub(crate) struct Places {
    /// Dialogues: a corpus, examples of `sra prepare` (.jsonl), or built-in ones (demo, demo:N, demo-train:N)
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    /// Supporter turns that are answered anew, the first and the last one
    #[arg(long, default_value_t, value_name = "A..B")]
    pub(crate) turns: TurnRange,
    /// At most so many places, the first ones
    #[arg(long, value_parser = at_least_one(), value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// Choose strategies for the next supporter turn
///
/// One row a place: the strategies that a planner finds best, with their probabilities, in the names of one strategy set. A planner's own
/// label that the set does not have stands for all of the set's strategies that are the same among ESConv's eight; they share its
/// probability.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  solace plan --data ESConv.json --planner thtra:runs/situation --top 3 --out plan.jsonl
  solace plan --data ESConv.json --planner magic:Llama-2-7b-hf --adapter runs/strategy --out plan.jsonl
  solace plan --data demo:20 --planner 'fixed:Question,Offer Hope' --strategies extes15 --top 2 --out plan.jsonl
  solace plan --data demo:20 --planner person --strategies extes15 --limit 5 --out plan.jsonl")]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) places: Places,
    /// thtra:DIR (a run of `thtra train-…` or `align`), magic:MODEL (a language model asked as `magic infer-strategy` asks), fixed:NAME,NAME…,
    /// gold (what was really done), person (asked at the keyboard), or none (whoever answers chooses)
    #[arg(long, value_parser = PlannerName::parse, value_name = "PLANNER")]
    pub(crate) planner: PlannerName,
    /// Strategy set whose names are written: extes15, esconv8, multiesc8 or a file
    #[arg(long, default_value = "esconv8", value_name = "SET")]
    pub(crate) strategies: String,
    /// Strategies of each place, the best first
    #[arg(long, default_value_t = 1, value_parser = at_least_one(), value_name = "K")]
    pub(crate) top: usize,
    /// Text template of MAGIC's prompts, as for `magic infer-strategy`; chat is the model's own chat template
    #[arg(long, default_value = "human-assistant", value_name = "TEMPLATE")]
    pub(crate) plain: String,
    /// File of the plan
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Go on where an earlier call ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Say what was planned
///
/// Each strategy of each place is realised --candidates times: by a language model in a prompt layout (--model), by MAGIC's generator
/// (--magic) or by a BlenderBot of ThTra's (--thtra). At temperature 0 decoding is greedy, whoever answers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  solace realise --data ESConv.json --plan plan.jsonl --model llama-2-7b-chat.Q4_K_M.gguf --candidates 4 --out candidates.jsonl
  solace realise --data ESConv.json --plan plan.jsonl --magic out_model --out magic.jsonl
  solace realise --data ESConv.json --plan plan.jsonl --thtra runs/aligned --out thtra.jsonl")]
pub(crate) struct Realise {
    #[command(flatten)]
    pub(crate) places: Places,
    /// Plan of `solace plan`
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: PathBuf,
    #[command(flatten)]
    pub(crate) realiser: Realiser,
    /// Answers of each strategy
    #[arg(long, default_value_t = 1, value_parser = at_least_one(), value_name = "N")]
    pub(crate) candidates: usize,
    /// Softmax temperature; 0 is greedy [default: 0 for one candidate, 0.7 for several]
    #[arg(long, value_parser = temperature, value_name = "T")]
    pub(crate) temperature: Option<f32>,
    /// New tokens at most
    #[arg(long, default_value_t = 64, value_parser = at_least_one(), value_name = "N")]
    pub(crate) max_new_tokens: usize,
    /// Seed of drawing; each candidate has one of its own, made of this and its id
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
    /// File of the candidates
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Go on where an earlier call ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Who says it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Who answers")]
pub(crate) struct Realiser {
    #[command(flatten)]
    pub(crate) who: Who,
    /// Prompt layout of a language model
    #[arg(long, default_value_t = Layout::C1HistoryFirst, value_parser = Layout::parse, value_name = "LAYOUT")]
    pub(crate) layout: Layout,
    /// Instruction template of a language model, where there is a strategy
    #[arg(long, default_value = "train", value_name = "TEMPLATE")]
    pub(crate) instruction: String,
    /// The same where there is none
    #[arg(long, default_value = "train-unconditional", value_name = "TEMPLATE")]
    pub(crate) free_instruction: String,
    /// Strategy set that describes the strategies of the plan to a language model
    #[arg(long, default_value = "esconv8", value_name = "SET")]
    pub(crate) strategies: String,
}

/// One of these answers.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Who {
    /// A language model: demo, a .gguf file, a Hugging Face folder, a hub id, or openai:NAME@URL
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// MAGIC's generator: a run of `magic train`
    #[arg(long, value_name = "DIR")]
    pub(crate) magic: Option<PathBuf>,
    /// ThTra's: a run of `thtra train-…` or `align`, or a BlenderBot-small of Hugging Face
    #[arg(long, value_name = "DIR")]
    pub(crate) thtra: Option<PathBuf>,
}

/// Who judges answers, and by what.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Judges")]
pub(crate) struct Judging {
    /// Model of helpfulness: a run of `thtra helpfulness train`
    #[arg(long, value_name = "DIR")]
    pub(crate) helpfulness: Option<PathBuf>,
    /// Language model for adherence: by how many nats per token an answer is likelier behind its own strategy's prompt than behind the
    /// others'
    #[arg(long, value_name = "MODEL")]
    pub(crate) adherence: Option<String>,
    /// Strategy set whose prompts are compared for it
    #[arg(long, default_value = "esconv8", value_name = "SET")]
    pub(crate) adherence_strategies: String,
    /// Classifier that says whether an answer follows its strategy: a run of `sra classifier train`, a Hugging Face folder, or demo
    #[arg(long, value_name = "CLASSIFIER")]
    pub(crate) classifier: Option<String>,
    /// Metrics of `sra score` against the real answer, of each answer alone
    #[arg(long, value_delimiter = ',', value_name = "NAME,NAME…")]
    pub(crate) metrics: Vec<String>,
}

/// Judge candidates and put those of each place in order
///
/// Scores of the judges that are named are standardised among the candidates of a place, weighted and added up. Judgements are kept as
/// they come, in a file beside --out that ends in .judged.jsonl.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  solace rank --data ESConv.json --candidates candidates.jsonl --helpfulness runs/helpful --out ranked.jsonl
  solace rank --data ESConv.json --candidates candidates.jsonl --helpfulness runs/helpful --adherence llama-2-7b-chat.Q4_K_M.gguf \\
    --weights helpfulness=1,adherence=0.5 --out ranked.jsonl")]
pub(crate) struct Rank {
    #[command(flatten)]
    pub(crate) places: Places,
    /// Candidates of `solace realise`; files of several realisers together
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub(crate) candidates: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// What counts how much: helpfulness, adherence, follows or a metric's row [default: 1 for each judge but metrics]
    #[arg(long, value_delimiter = ',', value_parser = Weight::parse, value_name = "NAME=X,NAME=X…")]
    pub(crate) weights: Vec<Weight>,
    /// File of the order
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Go on where an earlier call ended
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// Make preference pairs of ranked candidates
///
/// The best and the worst candidate of each place are a pair, unless they are too near to each other. The prompt is the dialogue without any
/// strategy, so that a model that learns from the pairs also learns which strategy to choose. Conversations are divided into train.jsonl,
/// validation.jsonl and test.jsonl; `persuasion train --template chat --data DIR` learns from them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  solace pairs --data ESConv.json --ranked ranked.jsonl --out pairs
  persuasion train --data pairs --template chat --model Llama-2-7b-chat-hf --out runs/aligned
  sra chat --model Llama-2-7b-chat-hf --adapter runs/aligned")]
pub(crate) struct Pairs {
    #[command(flatten)]
    pub(crate) places: Places,
    /// Order of `solace rank`
    #[arg(long, value_name = "FILE")]
    pub(crate) ranked: PathBuf,
    /// How far apart the two of a pair have to be, in the unit of the order: standard deviations of one judge
    #[arg(long, default_value_t = 0.5, value_parser = at_least_zero, value_name = "X")]
    pub(crate) margin: f64,
    /// Prompt layout
    #[arg(long, default_value_t = Layout::C1HistoryFirst, value_parser = Layout::parse, value_name = "LAYOUT")]
    pub(crate) layout: Layout,
    /// Instruction template without a strategy
    #[arg(long, default_value = "train-unconditional", value_name = "TEMPLATE")]
    pub(crate) instruction: String,
    /// Share of the conversations that validation and test get each
    #[arg(long, default_value_t = 0.1, value_parser = share, value_name = "SHARE")]
    pub(crate) held_out: f64,
    /// Seed of the division
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
    /// Folder of the pairs
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// Hold whole systems against each other on the same dialogues
///
/// Systems stand in a TOML file, each with a planner and a realiser. For each the best strategy is planned, said once and judged; what
/// was done is kept in a folder of its own below --out. scoreboard.json and scoreboard.md hold the numbers, which are the same in every run on a CPU;
/// speed and memory, which are not, stand in speed.json.
#[derive(Debug, Args)]
#[command(after_help = "A system:
  [[system]]
  name = \"SRA, planned by ThTra\"
  planner = \"thtra:runs/situation\"
  model = \"llama-2-7b-chat.Q4_K_M.gguf\"     # or magic = \"out_model\", or thtra = \"runs/aligned\"
  adapter = \"runs/aligned\"                  # these are for language models, and may be left out
  layout = \"c1_hf\"
  instruction = \"train\"
  strategies = \"extes15\"

Example:
  solace scoreboard --systems systems.toml --data ESConv.json --limit 200 --helpfulness runs/helpful --classifier runs/classifier --out board")]
pub(crate) struct Scoreboard {
    #[command(flatten)]
    pub(crate) places: Places,
    /// File of the systems
    #[arg(long, value_name = "FILE")]
    pub(crate) systems: PathBuf,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// Metrics over all answers of a system, with intervals by conversation
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "bleu-nltk,rouge-l-thu-coai,f1,distinct",
        value_name = "NAME,NAME…"
    )]
    pub(crate) corpus_metrics: Vec<String>,
    /// New tokens at most
    #[arg(long, default_value_t = 64, value_parser = at_least_one(), value_name = "N")]
    pub(crate) max_new_tokens: usize,
    /// Softmax temperature; 0 is greedy
    #[arg(long, default_value_t = 0.0, value_parser = temperature, value_name = "T")]
    pub(crate) temperature: f32,
    /// Seed of drawing
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u64,
    /// Folder of the scoreboard
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Go on where an earlier call ended
    #[arg(long)]
    pub(crate) resume: bool,
    /// Let only this system answer, and judge nothing: what each process of a scoreboard does
    #[arg(long, hide = true, value_name = "N")]
    pub(crate) only: Option<usize>,
    #[command(flatten)]
    pub(crate) runtime: Runtime,
    #[command(flatten)]
    pub(crate) server: Server,
}

/// The whole pipeline and a scoreboard of all systems, on built-in dialogues and models, in minutes
///
/// Small models of all four systems are trained from nothing by the programs' own commands; then strategies are planned, said, ranked and made into
/// preference pairs, the demonstration model is aligned with them, and all systems are put on one scoreboard. Each command is printed before it
/// runs, and can be repeated by hand.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  solace demo
  solace demo --out pipeline --size 0.3")]
pub(crate) struct Demo {
    /// Keep everything in this new folder [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// How much is trained and answered, from 0.05 to 1, which is all
    #[arg(long, default_value_t = 1.0, value_parser = share_of_demo, value_name = "SHARE")]
    pub(crate) size: f64,
    #[command(flatten)]
    pub(crate) machine: Machine,
}

fn temperature(text: &str) -> Result<f32, String> {
    at_least_zero(text).map(|value| value as f32)
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if value > 0.0 && value < 0.5 { Ok(value) } else { Err("expected a number above 0 and below 0.5".into()) }
}

fn share_of_demo(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if (0.05..=1.0).contains(&value) { Ok(value) } else { Err("expected a number from 0.05 to 1".into()) }
}
