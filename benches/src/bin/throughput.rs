//! `throughput`: prefill and decode tokens per second and peak memory of a model, at several batch sizes.
//!
//! Prompts are random tokens, so every token is computed (no prefix is shared) and the text does not matter. Each figure is
//! the median of the repetitions after one warm-up; a decode run finds its prompts in the cache.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use llm_runtime::{
    DeviceChoice, EmbeddedModel, Engine, EngineOptions, Error, Event, FloatType, GenerationOptions, LoadOptions,
    Prompt, Quantization, Request, RunStatistics, TextModel, WeightOptions, format_bytes, peak_memory,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Prefill and decode tokens per second and peak memory of a model
#[derive(Debug, Parser)]
#[command(name = "throughput", version)]
struct Arguments {
    /// A .gguf file, a Hugging Face folder or a hub id
    #[arg(long)]
    model: String,
    /// Sequences that run at a time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    batch: Vec<usize>,
    /// Prompt tokens of each sequence
    #[arg(long, default_value_t = 512)]
    prompt_tokens: usize,
    /// New tokens of each sequence
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
    /// Measured repetitions
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Threads to compute with [default: one per core]
    #[arg(long)]
    threads: Option<usize>,
    /// Keep dense weights as f32, f16 or bf16
    #[arg(long)]
    dtype: Option<FloatType>,
    /// Quantise while loading: q4_k, q6_k or q8_0
    #[arg(long)]
    quantize: Option<Quantization>,
    /// Compute quantised products by candle's kernels, not by our own
    #[arg(long)]
    plain_kernels: bool,
    /// Memory for keys and values, in GiB
    #[arg(long, default_value_t = 1)]
    kv_gib: u64,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Also write the JSON here
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    batch: usize,
    prefill_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    time_to_first_token_seconds: f64,
    /// Of the process so far: rows are measured one after the other.
    peak_memory_bytes: u64,
}

/// Everything that was measured, with its settings.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    dtype: String,
    device: String,
    threads: usize,
    prompt_tokens: usize,
    new_tokens: usize,
    repetitions: usize,
    rows: Vec<Row>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments).and_then(|report| print(&arguments, &report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<Report, Error> {
    if let Some(threads) = arguments.threads {
        llm_runtime::set_threads(threads)?;
    }
    if arguments.batch.contains(&0)
        || arguments.prompt_tokens == 0
        || arguments.new_tokens < 2
        || arguments.repetitions == 0
    {
        return Err(Error::Invalid(
            "batch, prompt tokens and repetitions must be at least 1, new tokens at least 2".into(),
        ));
    }
    let mut rows = Vec::new();
    let mut dtype = String::new();
    let mut device = String::new();
    for &batch in &arguments.batch {
        let mut engine = load(arguments, batch)?;
        dtype = engine.identity().dtype;
        device = format!("{:?}", engine.model().device().location());
        rows.push(row(&mut engine, arguments, batch)?);
    }
    Ok(Report {
        model: arguments.model.clone(),
        dtype,
        device,
        threads: arguments.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        prompt_tokens: arguments.prompt_tokens,
        new_tokens: arguments.new_tokens,
        repetitions: arguments.repetitions,
        rows,
    })
}

fn load(arguments: &Arguments, batch: usize) -> Result<Engine, Error> {
    let tokens = arguments.prompt_tokens + arguments.new_tokens;
    let kv_memory = arguments.kv_gib.saturating_mul(1 << 30);
    let engine = EngineOptions { batch, kv_memory, context_length: Some(tokens), ..EngineOptions::default() };
    let engine = Engine::load(
        &LoadOptions {
            device: arguments.device,
            weights: WeightOptions {
                float: arguments.dtype,
                quantize: arguments.quantize,
                plain: arguments.plain_kernels,
            },
            engine,
            embedded: Some(EmbeddedModel { name: demo_corpus::MODEL_NAME, gguf: demo_corpus::MODEL }),
            ..LoadOptions::new(&arguments.model)
        },
        &|_| (),
    )?;
    // Sequences would wait for each other, which is not what is measured.
    if engine.cache_tokens() < batch * tokens {
        return Err(Error::Invalid(format!(
            "{batch} sequences of {tokens} tokens do not fit the {} tokens of --kv-gib {}: give more",
            engine.cache_tokens(),
            arguments.kv_gib
        )));
    }
    Ok(engine)
}

fn row(engine: &mut Engine, arguments: &Arguments, batch: usize) -> Result<Row, Error> {
    let (prompt, new) = (arguments.prompt_tokens, arguments.new_tokens);
    // The first pass repacks quantised weights and grows the heap: it is not measured.
    run(engine, &prompts(engine, batch, prompt, 0), 2)?;
    let (mut prefill, mut decode, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for repetition in 1..=arguments.repetitions as u64 {
        engine.clear_cache();
        let prompts = prompts(engine, batch, prompt, repetition);
        let cold = run(engine, &prompts, 1)?;
        prefill.push((batch * prompt) as f64 / cold.seconds);
        first.push(cold.time_to_first_token);
        let warm = run(engine, &prompts, new)?;
        decode.push((batch * (new - 1)) as f64 / warm.decode_seconds);
    }
    Ok(Row {
        batch,
        prefill_tokens_per_second: median(prefill),
        decode_tokens_per_second: median(decode),
        time_to_first_token_seconds: median(first),
        peak_memory_bytes: peak_memory(),
    })
}

fn prompts(engine: &Engine, batch: usize, length: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let vocabulary = engine.model().config().vocabulary_size as u32;
    (0..batch).map(|_| (0..length).map(|_| rng.random_range(0..vocabulary)).collect()).collect()
}

fn run(engine: &mut Engine, prompts: &[Vec<u32>], new_tokens: usize) -> Result<RunStatistics, Error> {
    let options = GenerationOptions { max_new_tokens: new_tokens, ignore_eos: true, ..GenerationOptions::default() };
    let mut requests = prompts
        .iter()
        .enumerate()
        .map(|(key, prompt)| Request::new(key as u64, Prompt::Tokens(prompt.clone()), options.clone()));
    let mut failed = None;
    let statistics = engine.generate(&mut requests, &mut |event| match event {
        Event::Failed { error, .. } => {
            failed = Some(error);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    match failed {
        Some(error) => Err(Error::Invalid(error.to_string())),
        None => Ok(statistics),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(arguments: &Arguments, report: &Report) -> Result<(), Error> {
    let json = serde_json::to_string_pretty(report).map_err(|error| Error::Invalid(error.to_string()))?;
    if let Some(path) = &arguments.out {
        std::fs::write(path, &json).map_err(|source| Error::Io { path: path.clone(), source })?;
    }
    if arguments.format == Format::Json {
        println!("{json}");
        return Ok(());
    }
    println!("{} ({}), {}, {} threads", report.model, report.dtype, report.device, report.threads);
    println!(
        "{} prompt tokens, {} new tokens, median of {}\n",
        report.prompt_tokens, report.new_tokens, report.repetitions
    );
    println!("batch   prefill tokens/s   decode tokens/s   first token   peak memory");
    for row in &report.rows {
        println!(
            "{:>5}   {:>16.1}   {:>15.1}   {:>9.3} s   {:>11}",
            row.batch,
            row.prefill_tokens_per_second,
            row.decode_tokens_per_second,
            row.time_to_first_token_seconds,
            format_bytes(row.peak_memory_bytes)
        );
    }
    Ok(())
}
