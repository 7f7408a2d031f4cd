//! `throughput`: how fast the engine, training, search and scores are, beside what people run instead.
//!
//! A scenario makes its own data. Ours and each peer are processes of their own that do the same work in turn, so that a change of the machine's speed hits all alike; what
//! is told are the median, the lowest and the highest of the rounds, ratios round by round, peaks of memory, and the share of what the machine's limits allow, which are
//! measured first.

mod dialogue;
mod dpo_step;
mod encoder_decoder;
mod engine;
mod lora_step;
mod metrics;
mod model;
mod output;
mod own_side;
mod request;
mod rounds;
mod scenario;

use std::process::ExitCode;

use benches::Outcome;
use benches::limits::Limits;
use clap::{Args, CommandFactory, Parser, Subcommand};
use command_line::{InstallFiles, LONG_VERSION};

use dialogue::{DialogueArguments, LaidOut};
use encoder_decoder::Task;
use engine::{EngineArguments, Scenario};

/// How fast it is, beside what people run instead
#[derive(Debug, Parser)]
#[command(
    name = "throughput",
    version,
    long_version = LONG_VERSION,
    after_help = "Examples:\n  throughput decode --shape tinyllama-1.1b --type q4_k_m --batch 1,8 --threads 2\n  throughput sweep --shape tinyllama-1.1b --peers candle,llama.cpp --python PYTHON --svg sweep.svg"
)]
struct Arguments {
    #[command(subcommand)]
    scenario: Chosen,
}

#[derive(Debug, Subcommand)]
enum Chosen {
    /// The machine's limits: memory, products of integers and of floats
    Limits {
        /// Threads that work [default: one per core]
        #[arg(long)]
        threads: Option<usize>,
    },
    /// Prompt tokens of single prompts
    Prefill(Prefill),
    /// New tokens behind computed prompts, one sequence at a time
    Decode(Decode),
    /// New tokens of several sequences at a time
    Batch(Batch),
    /// One dialogue with many strategies: a long prefix, each continuation behind a few tokens of its own
    Sweep(Sweep),
    /// All cut points of a dialogue with all strategies, in the prompts' layouts
    Dialogue(Dialogue),
    /// What capturing attention costs
    Attention(Attention),
    /// Probabilities of given continuations
    Score(Score),
    /// A step of LoRA (or QLoRA) training
    LoraStep(lora_step::LoraStepArguments),
    /// A step of DPO with LoRA
    DpoStep(dpo_step::DpoStepArguments),
    /// A training step of an encoder–decoder of BART-base's shape
    Seq2seqStep(encoder_decoder::Arguments),
    /// Beam search of an encoder–decoder of BART-base's shape
    Beam(encoder_decoder::Arguments),
    /// Candidates by diverse beam search of an encoder–decoder of BlenderBot-small's shape
    Candidates(encoder_decoder::Arguments),
    /// Automatic scores of responses
    Metrics(metrics::MetricsArguments),
    #[command(flatten)]
    InstallFiles(InstallFiles),
    #[command(hide = true)]
    Answer(own_side::Answering),
    #[command(hide = true)]
    AnswerLora(lora_step::StepArguments),
    #[command(hide = true)]
    AnswerSeq2seq {
        task: Task,
        #[command(flatten)]
        arguments: encoder_decoder::Arguments,
    },
}

#[derive(Debug, Args)]
struct Prefill {
    #[command(flatten)]
    engine: EngineArguments,
    /// Prompt tokens, each a case of its own
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512, 1024, 2000])]
    prompt_tokens: Vec<usize>,
}

#[derive(Debug, Args)]
struct Decode {
    #[command(flatten)]
    sizes: DecodeSizes,
    /// Sequences at a time, each a case of its own
    #[arg(long, value_delimiter = ',', default_values_t = [1])]
    batch: Vec<usize>,
}

#[derive(Debug, Args)]
struct Batch {
    #[command(flatten)]
    sizes: DecodeSizes,
    /// Sequences at a time, each a case of its own
    #[arg(long, value_delimiter = ',', default_values_t = [8])]
    batch: Vec<usize>,
}

#[derive(Debug, Args)]
struct DecodeSizes {
    #[command(flatten)]
    engine: EngineArguments,
    /// Prompt tokens of each sequence
    #[arg(long, default_value_t = 128)]
    prompt_tokens: usize,
    /// New tokens of each sequence
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
}

#[derive(Debug, Args)]
struct Sweep {
    #[command(flatten)]
    engine: EngineArguments,
    /// Tokens that all prompts begin with
    #[arg(long, default_value_t = 1000)]
    prefix_tokens: usize,
    /// Continuations
    #[arg(long, default_value_t = 8)]
    strategies: usize,
    /// Prompt tokens of each continuation's own
    #[arg(long, default_value_t = 8)]
    own_tokens: usize,
    /// New tokens of each
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
}

#[derive(Debug, Args)]
struct Dialogue {
    #[command(flatten)]
    engine: EngineArguments,
    #[command(flatten)]
    dialogue: DialogueArguments,
    /// Sequences at a time
    #[arg(long, default_value_t = 15)]
    batch: usize,
}

#[derive(Debug, Args)]
struct Attention {
    #[command(flatten)]
    sizes: DecodeSizes,
    /// Sequences at a time
    #[arg(long, default_value_t = 1)]
    batch: usize,
}

#[derive(Debug, Args)]
struct Score {
    #[command(flatten)]
    engine: EngineArguments,
    /// Tokens that all continuations stand behind
    #[arg(long, default_value_t = 512)]
    prefix_tokens: usize,
    /// Continuations
    #[arg(long, default_value_t = 8)]
    continuations: usize,
    /// Tokens of each
    #[arg(long, default_value_t = 32)]
    tokens: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse().scenario) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(chosen: &Chosen) -> Outcome<()> {
    match chosen {
        Chosen::Limits { threads } => {
            let all = std::thread::available_parallelism().map_or(1, usize::from);
            print!("{}", Limits::measure(threads.unwrap_or(all)));
            Ok(())
        }
        Chosen::Prefill(prefill) => prefill.run(),
        Chosen::Decode(Decode { sizes, batch }) => decode("decode", sizes, batch),
        Chosen::Batch(Batch { sizes, batch }) => decode("batch", sizes, batch),
        Chosen::Sweep(sweep) => sweep.run(),
        Chosen::Dialogue(dialogue) => dialogue.run(),
        Chosen::Attention(attention) => attention.run(),
        Chosen::Score(score) => score.run(),
        Chosen::LoraStep(arguments) => lora_step::run(arguments),
        Chosen::DpoStep(arguments) => dpo_step::run(arguments),
        Chosen::Seq2seqStep(arguments) => encoder_decoder::run(Task::Train, arguments),
        Chosen::Beam(arguments) => encoder_decoder::run(Task::Decode, arguments),
        Chosen::Candidates(arguments) => encoder_decoder::run(Task::Candidates, arguments),
        Chosen::Metrics(arguments) => metrics::run(arguments),
        Chosen::InstallFiles(files) => match files.run(Arguments::command()) {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.message().into()),
        },
        Chosen::Answer(arguments) => own_side::answer(arguments),
        Chosen::AnswerLora(arguments) => lora_step::answer(arguments),
        Chosen::AnswerSeq2seq { task, arguments } => encoder_decoder::answer(*task, arguments),
    }
}

/// One process of ours, as it is.
fn own() -> Vec<Vec<&'static str>> {
    vec![Vec::new()]
}

fn largest(sizes: &[usize]) -> usize {
    sizes.iter().copied().max().unwrap_or(0)
}

impl Prefill {
    fn run(&self) -> Outcome<()> {
        let tokens = &self.prompt_tokens;
        let scenario = Scenario {
            name: "prefill",
            batch: 1,
            context: largest(tokens) + 1,
            own: own(),
            cases: Box::new(|setting| Ok(tokens.iter().map(|tokens| setting.prefill(*tokens)).collect())),
        };
        self.engine.run(&scenario)
    }
}

fn decode(name: &'static str, sizes: &DecodeSizes, batches: &[usize]) -> Outcome<()> {
    let DecodeSizes { engine, prompt_tokens, new_tokens } = sizes;
    let scenario = Scenario {
        name,
        batch: largest(batches),
        context: prompt_tokens + new_tokens + 1,
        own: own(),
        cases: Box::new(|setting| {
            Ok(batches.iter().map(|batch| setting.decode(*batch, *prompt_tokens, *new_tokens)).collect())
        }),
    };
    engine.run(&scenario)
}

impl Sweep {
    fn run(&self) -> Outcome<()> {
        let Self { prefix_tokens, strategies, own_tokens, new_tokens, .. } = *self;
        let scenario = Scenario {
            name: "sweep",
            batch: strategies,
            context: prefix_tokens + own_tokens + new_tokens,
            own: own(),
            cases: Box::new(move |setting| Ok(vec![setting.sweep(prefix_tokens, strategies, own_tokens, new_tokens)])),
        };
        self.engine.run(&scenario)
    }
}

impl Dialogue {
    fn run(&self) -> Outcome<()> {
        let new = self.dialogue.new_tokens;
        // How many tokens there are does not depend on which.
        let any = self.dialogue.prompts(32_000)?;
        let scenario = Scenario {
            name: "dialogue",
            batch: self.batch,
            context: any.iter().map(LaidOut::longest).max().unwrap_or(0) + new,
            own: own(),
            cases: Box::new(move |setting| {
                let case = |laid_out: LaidOut| {
                    let (layout, longest) = (laid_out.layout, laid_out.longest());
                    let name =
                        format!("{layout}: {} prompts of up to {longest} tokens, {new} new", laid_out.prompts.len());
                    setting.dialogue(name, laid_out.prompts, new)
                };
                Ok(self.dialogue.prompts(setting.vocabulary)?.into_iter().map(case).collect())
            }),
        };
        self.engine.run(&scenario)
    }
}

impl Attention {
    fn run(&self) -> Outcome<()> {
        let DecodeSizes { engine, prompt_tokens, new_tokens } = &self.sizes;
        let levels = ["none", "spans", "layers", "full"];
        let scenario = Scenario {
            name: "attention",
            batch: self.batch,
            context: prompt_tokens + new_tokens + 1,
            own: levels.map(|level| vec!["--attention", level]).to_vec(),
            cases: Box::new(|setting| Ok(vec![setting.decode(self.batch, *prompt_tokens, *new_tokens)])),
        };
        engine.run(&scenario)
    }
}

impl Score {
    fn run(&self) -> Outcome<()> {
        self.engine.check_that_peers_score()?;
        let Self { prefix_tokens, continuations, tokens, .. } = *self;
        let scenario = Scenario {
            name: "score",
            batch: continuations,
            context: prefix_tokens + tokens,
            own: own(),
            cases: Box::new(move |setting| Ok(vec![setting.score(prefix_tokens, continuations, tokens)])),
        };
        self.engine.run(&scenario)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_leaves_nothing_out() {
        assert_eq!(command_line::gaps_of_manual(Arguments::command()).unwrap(), Vec::<String>::new());
    }
}
