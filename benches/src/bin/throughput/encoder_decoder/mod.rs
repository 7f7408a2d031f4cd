//! Scenarios of encoder–decoders: one of BART-base's shape beside transformers, torch and CTranslate2, on the CPU; and one of BlenderBot-small's shape
//! that makes candidates by diverse beam search, beside transformers.
//!
//! Random weights of a fixed seed are written as a Hugging Face folder that all sides load. Each side, ours too, is a process of its own
//! that answers requests, so that peaks of memory are its own; sides take turns within each round, so that a change of the machine's
//! speed hits all alike. Ratios are those of the medians. The first round warms up, and tells whether all sides give the same.

mod ours;
mod request;

use std::path::{Path, PathBuf};
use std::process::Command;

use benches::Outcome;
use benches::side::{Asked, Side};
use benches::spread::Spread;
use candle_core::Device;
use clap::{Args, ValueEnum};
use llm_runtime::format_bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use seq2seq::{Architecture, GenerationDefaults, Seq2SeqConfig, StackConfig, TrainableSeq2Seq};
use serde::Serialize;

use request::{Answer, Request};

/// Sizes of all scenarios of encoder–decoders, and who is measured.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Python that has the packages of benches/peers/requirements-seq2seq.txt; without it only our side is measured
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the peers' programs are
    #[arg(long, default_value = "benches/peers")]
    peers: PathBuf,
    /// Where the random model is written, unless it is there already
    #[arg(long, default_value = "target/bart-base-shape")]
    folder: PathBuf,
    /// As --folder, for the model that makes candidates
    #[arg(long, default_value = "target/blenderbot-small-shape")]
    candidates_folder: PathBuf,
    /// Inputs that are decoded together
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    batches: Vec<usize>,
    /// Tokens of each input
    #[arg(long, default_value_t = 512)]
    source: usize,
    /// New tokens of each output
    #[arg(long, default_value_t = 64)]
    new: usize,
    /// Width of beam search
    #[arg(long, default_value_t = 5)]
    beams: usize,
    /// Examples of a training step
    #[arg(long, default_value_t = 4)]
    training_batch: usize,
    /// Candidates of each context, one from each group of the search
    #[arg(long, default_value_t = 10)]
    candidates: usize,
    /// Contexts that candidates are made for together
    #[arg(long, default_value_t = 8)]
    candidates_batch: usize,
    /// Tokens of the mean context; they differ by up to a fifth
    #[arg(long, default_value_t = 130)]
    candidates_source: usize,
    /// New tokens of a candidate at most
    #[arg(long, default_value_t = 40)]
    candidates_new: usize,
    /// Measured rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads of each side
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Also write the JSON here
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Task {
    /// Beam search.
    Decode,
    /// A training step.
    Train,
    /// Diverse beam search that gives all its hypotheses.
    Candidates,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Decode => "decode",
            Self::Train => "train",
            Self::Candidates => "candidates",
        })
    }
}

/// One side's figures for one amount of work.
#[derive(Debug, Clone, Serialize)]
struct Row {
    task: Task,
    batch: usize,
    side: String,
    seconds: Vec<f64>,
    median_seconds: f64,
    /// Its median over ours.
    time_ratio: f64,
    /// Processor time of all threads, which says more than time where others use the processors too.
    median_cpu_seconds: f64,
    cpu_ratio: f64,
    peak_bytes: u64,
    /// How its results agree with ours.
    agreement: String,
}

/// Measures a task beside its peers and prints the table.
pub(crate) fn run(task: Task, arguments: &Arguments) -> Outcome<()> {
    let rows = measure(task, arguments)?;
    print(arguments, &rows)
}

/// Our side's process.
pub(crate) fn answer(task: Task, arguments: &Arguments) -> Outcome<()> {
    ours::answer(task, arguments.folder_of(task), arguments.threads)
}

impl Arguments {
    fn folder_of(&self, task: Task) -> &Path {
        match task {
            Task::Decode | Task::Train => &self.folder,
            Task::Candidates => &self.candidates_folder,
        }
    }

    fn check(&self) -> Outcome<()> {
        let Self { rounds, source, new, candidates, candidates_batch, candidates_source, candidates_new, .. } = self;
        let sizes = [rounds, source, new, candidates, candidates_batch, candidates_source, candidates_new];
        if sizes.into_iter().any(|size| *size == 0) {
            return Err("rounds, batches, candidates, source and new tokens must be at least 1".into());
        }
        Ok(())
    }
}

fn measure(task: Task, arguments: &Arguments) -> Outcome<Vec<Row>> {
    arguments.check()?;
    let folder = arguments.folder_of(task);
    if !folder.join("model.safetensors").is_file() {
        let shape = if task == Task::Candidates { blenderbot_small() } else { bart_base() };
        TrainableSeq2Seq::fresh(&shape, 1, &Device::Cpu)?.save(folder)?;
    }
    match task {
        Task::Decode => {
            let of_batch = |batch: &usize| {
                let inputs = random_ids(*batch, arguments.source, 1);
                let request = Request::Decode { inputs, beams: arguments.beams, new: arguments.new };
                compare(arguments, task, *batch, sides(arguments, task)?, &request)
            };
            Ok(arguments.batches.iter().map(of_batch).collect::<Outcome<Vec<_>>>()?.concat())
        }
        Task::Train => {
            let mut sides = sides(arguments, task)?;
            let inputs = random_ids(arguments.training_batch, arguments.source, 1);
            let labels = random_ids(arguments.training_batch, arguments.new, 2);
            let lesson = Request::Lesson { inputs, labels };
            sides.iter_mut().try_for_each(|side| side.send(&lesson))?;
            compare(arguments, task, arguments.training_batch, sides, &Request::Step {})
        }
        Task::Candidates => {
            let request = candidates_request(arguments);
            compare(arguments, task, arguments.candidates_batch, sides(arguments, task)?, &request)
        }
    }
}

fn bart_base() -> Seq2SeqConfig {
    let stack = StackConfig { layers: 6, heads: 12, inner_width: 3072 };
    let tiny = Seq2SeqConfig::tiny(Architecture::Bart, 50_265);
    Seq2SeqConfig {
        // Outputs of one length need no end.
        generation: GenerationDefaults { forced_eos_id: None, ..tiny.generation },
        width: 768,
        encoder: stack,
        decoder: stack,
        max_positions: 1024,
        initializer_range: 0.02,
        ..tiny
    }
}

/// The ids of BlenderBot-small's own tokens; eight strategies come behind them.
const BLENDERBOT_VOCABULARY: u32 = 54_944;
const STRATEGIES: u32 = 8;

fn blenderbot_small() -> Seq2SeqConfig {
    let stack = StackConfig { layers: 8, heads: 16, inner_width: 2048 };
    let vocabulary = (BLENDERBOT_VOCABULARY + STRATEGIES) as usize;
    Seq2SeqConfig {
        width: 512,
        encoder: stack,
        decoder: stack,
        max_positions: 512,
        scale_embedding: true,
        initializer_range: 0.02,
        ..Seq2SeqConfig::tiny(Architecture::BlenderbotSmall, vocabulary)
    }
}

/// Contexts of several lengths; behind each one's first id a strategy is given, and no strategy is to be said after it.
fn candidates_request(arguments: &Arguments) -> Request {
    let Arguments { candidates, candidates_batch, candidates_source, candidates_new, .. } = *arguments;
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    let shortest = (candidates_source * 4 / 5).max(1);
    let mut inputs = random_ids(candidates_batch, candidates_source * 6 / 5, 1);
    inputs.iter_mut().for_each(|ids| ids.truncate(generator.random_range(shortest..=candidates_source * 6 / 5)));
    let strategies = BLENDERBOT_VOCABULARY..BLENDERBOT_VOCABULARY + STRATEGIES;
    let prompts = strategies.clone().cycle().map(|strategy| vec![1, strategy]).take(candidates_batch).collect();
    Request::Candidates {
        inputs,
        prompts,
        candidates,
        penalty: 4.0,
        new: candidates_new,
        least: 10,
        banned: strategies.collect(),
    }
}

/// Ids that mean nothing special.
fn random_ids(rows: usize, length: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    (0..rows).map(|_| (0..length).map(|_| generator.random_range(4..50_000)).collect()).collect()
}

/// Ours first.
fn sides(arguments: &Arguments, task: Task) -> Outcome<Vec<Side>> {
    let threads = arguments.threads.to_string();
    let mut own = Command::new(std::env::current_exe()?);
    own.args(["answer-seq2seq", &task.to_string(), "--threads", &threads]);
    own.arg("--folder").arg(&arguments.folder).arg("--candidates-folder").arg(&arguments.candidates_folder);
    let mut sides = vec![Side::start(own, arguments.threads)?];
    let Some(python) = &arguments.python else { return Ok(sides) };
    let peer = |program: &str| {
        let mut command = Command::new(python);
        command.arg(arguments.peers.join(program)).arg(arguments.folder_of(task)).args(["--threads", &threads]);
        command
    };
    let mut transformers = peer("seq2seq_transformers.py");
    transformers.arg("--task").arg(task.to_string());
    sides.push(Side::start(transformers, arguments.threads)?);
    if task == Task::Decode {
        let program = "seq2seq_ctranslate2.py";
        // Apart, so that it does not count as memory.
        if !peer(program).arg("--convert").status()?.success() {
            return Err("the model could not be converted for CTranslate2".into());
        }
        sides.push(Side::start(peer(program), arguments.threads)?);
    }
    Ok(sides)
}

fn compare(
    arguments: &Arguments,
    task: Task,
    batch: usize,
    mut sides: Vec<Side>,
    request: &Request,
) -> Outcome<Vec<Row>> {
    let warm_up = sides.iter_mut().map(|side| Ok(side.ask(request)?.answer)).collect::<Outcome<Vec<Answer>>>()?;
    let mut seconds = vec![Vec::new(); sides.len()];
    let mut cpu_seconds = seconds.clone();
    let mut peaks = vec![0; sides.len()];
    for _ in 0..arguments.rounds {
        for (number, side) in sides.iter_mut().enumerate() {
            let Asked { answer, cpu_seconds: cpu, .. } = side.ask::<Answer>(request)?;
            seconds[number].push(answer.seconds);
            cpu_seconds[number].push(cpu);
            peaks[number] = answer.peak_bytes;
        }
    }
    let medians = |of_sides: &[Vec<f64>]| {
        of_sides.iter().map(|values| Spread::of(values).map_or(f64::NAN, |spread| spread.median)).collect::<Vec<f64>>()
    };
    let (medians, cpu_medians) = (medians(&seconds), medians(&cpu_seconds));
    let row = |(number, side): (usize, &Side)| Row {
        task,
        batch,
        side: side.name().to_owned(),
        median_seconds: medians[number],
        time_ratio: medians[number] / medians[0],
        seconds: seconds[number].clone(),
        median_cpu_seconds: cpu_medians[number],
        cpu_ratio: cpu_medians[number] / cpu_medians[0],
        peak_bytes: peaks[number],
        agreement: if number == 0 { String::new() } else { agreement(&warm_up[0], &warm_up[number]) },
    };
    Ok(sides.iter().enumerate().map(row).collect())
}

fn agreement(ours: &Answer, other: &Answer) -> String {
    if let (Some(loss), Some(norm)) = (other.loss, other.gradient_norm) {
        let distance = |own: Option<f64>, other: f64| (own.unwrap_or(f64::NAN) / other - 1.0).abs();
        let (loss, norm) = (distance(ours.loss, loss), distance(ours.gradient_norm, norm));
        return format!("loss within {loss:.0e}, gradient norm within {norm:.0e}");
    }
    let equal = ours.ids.iter().zip(&other.ids).filter(|(own, other)| own == other).count();
    format!("{equal} of {} outputs equal", ours.ids.len())
}

fn print(arguments: &Arguments, rows: &[Row]) -> Outcome<()> {
    let Arguments { source, new, beams, rounds, threads, .. } = arguments;
    println!("{threads} threads, medians of {rounds}; decode: {source} tokens to {new}, {beams} beams");
    let Arguments { candidates, candidates_source, candidates_new, .. } = arguments;
    println!("candidates: {candidates_source} tokens to {candidates_new}, {candidates} groups of one beam");
    println!("task        batch  seconds  ratio  cpu s  ratio       peak  side");
    for row in rows {
        println!(
            "{:<10}  {:>5}  {:>7.3}  {:>5.2}  {:>5.1}  {:>5.2}  {:>9}  {}  {}",
            row.task.to_string(),
            row.batch,
            row.median_seconds,
            row.time_ratio,
            row.median_cpu_seconds,
            row.cpu_ratio,
            format_bytes(row.peak_bytes),
            row.side,
            row.agreement
        );
    }
    if let Some(out) = &arguments.out {
        std::fs::write(out, serde_json::to_string_pretty(rows)?)?;
    }
    Ok(())
}
