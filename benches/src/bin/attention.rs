//! `attention`: what capturing attention costs, in time and memory.
//!
//! The same prompts are decoded without a probe and with one of every level, in turn, so that a change of the machine's speed hits
//! all alike; ratios are those of the medians. Memory is measured in a process of its own per level and prompt length: the growth
//! of the largest resident size over what the loaded and warmed model needs, and the size of what was captured.

use std::ops::ControlFlow;
use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};
use llm_runtime::{
    AttentionCapture, AttentionProbe, EmbeddedModel, Engine, EngineOptions, Error, Event, GenerationOptions,
    LoadOptions, Prompt, Quantization, Request, Span, SpanChoice, TextModel, WeightOptions, format_bytes, peak_memory,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What capturing attention costs, in time and memory
#[derive(Debug, Parser)]
#[command(name = "attention", version)]
struct Arguments {
    /// demo, a .gguf file or a Hugging Face folder
    #[arg(long, default_value = "demo")]
    model: String,
    /// Quantise while loading: q4_k, q6_k or q8_0
    #[arg(long)]
    quantize: Option<Quantization>,
    /// Sequences that run at a time
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Prompt tokens
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 2000])]
    prompt_tokens: Vec<usize>,
    /// New tokens
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
    /// Measured repetitions
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Also write the JSON here
    #[arg(long)]
    out: Option<std::path::PathBuf>,
    /// Measure the memory of one level and print it as JSON
    #[arg(long, hide = true)]
    memory_of: Option<Level>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    None,
    Spans,
    Layers,
    Full,
}

const LEVELS: [Level; 4] = [Level::None, Level::Spans, Level::Layers, Level::Full];

impl Level {
    fn probe(self) -> Option<AttentionProbe> {
        match self {
            Self::None => None,
            Self::Spans => Some(AttentionProbe::spans(spans())),
            Self::Layers => Some(AttentionProbe::layers(spans())),
            Self::Full => Some(AttentionProbe::full(spans())),
        }
    }
}

/// Twenty spans, nested like those of a prompt: a system text, its parts, and turns.
fn spans() -> SpanChoice {
    SpanChoice::new(|prompt| {
        let tokens = prompt.tokens.len();
        let span = |number: usize, tokens| Span { label: format!("span {number}"), bytes: 0..0, tokens };
        let mut spans = vec![span(0, 1..tokens), span(1, 1..tokens / 2), span(2, 10..18), span(3, 10..60)];
        let turn = tokens / 16;
        spans.extend((0..16).map(|number| span(4 + number, number * turn..(number + 1) * turn)));
        spans
    })
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    prompt_tokens: usize,
    level: Level,
    decode_milliseconds_per_token: f64,
    /// Decode time over that without a probe.
    time_ratio: f64,
    memory: Memory,
}

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    /// Growth of the largest resident size during one generation, all sequences together.
    growth_bytes: u64,
    /// Bytes of what was captured.
    captured_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    model: String,
    dtype: String,
    layers: usize,
    heads: usize,
    batch: usize,
    new_tokens: usize,
    repetitions: usize,
    rows: Vec<Row>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.memory_of {
        Some(level) => memory_of(&arguments, level),
        None => measure(&arguments).and_then(|report| print(&arguments, &report)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<Report, Error> {
    let mut rows = Vec::new();
    let longest = arguments.prompt_tokens.iter().copied().max().unwrap_or(0);
    let mut engine = load(arguments, longest)?;
    for &tokens in &arguments.prompt_tokens {
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); LEVELS.len()];
        for repetition in 0..=arguments.repetitions as u64 {
            let prompts = prompts(&engine, arguments.batch, tokens, repetition);
            generate(&mut engine, &prompts, 1, Level::None)?;
            for (level, times) in LEVELS.iter().zip(&mut times) {
                let (seconds, _) = generate(&mut engine, &prompts, arguments.new_tokens, *level)?;
                // The first round warms up.
                if repetition > 0 {
                    times.push(seconds / (arguments.new_tokens - 1) as f64);
                }
            }
        }
        let medians: Vec<f64> = times.into_iter().map(median).collect();
        for (level, time) in LEVELS.iter().zip(&medians) {
            rows.push(Row {
                prompt_tokens: tokens,
                level: *level,
                decode_milliseconds_per_token: 1000.0 * time,
                time_ratio: time / medians[0],
                memory: memory_in_a_new_process(arguments, tokens, *level)?,
            });
        }
    }
    let config = engine.model().config();
    Ok(Report {
        model: arguments.model.clone(),
        dtype: engine.identity().dtype,
        layers: config.layers,
        heads: config.heads,
        batch: arguments.batch,
        new_tokens: arguments.new_tokens,
        repetitions: arguments.repetitions,
        rows,
    })
}

fn load(arguments: &Arguments, prompt: usize) -> Result<Engine, Error> {
    if arguments.batch == 0 || prompt == 0 || arguments.new_tokens < 2 || arguments.repetitions == 0 {
        let problem = "batch, prompt tokens and repetitions must be at least 1, new tokens at least 2";
        return Err(Error::Invalid(problem.into()));
    }
    let context_length = Some(prompt + arguments.new_tokens);
    Engine::load(
        &LoadOptions {
            weights: WeightOptions { quantize: arguments.quantize, ..WeightOptions::default() },
            engine: EngineOptions { batch: arguments.batch, context_length, ..EngineOptions::default() },
            embedded: Some(EmbeddedModel { name: demo_corpus::MODEL_NAME, gguf: demo_corpus::MODEL }),
            ..LoadOptions::new(&arguments.model)
        },
        &|_| (),
    )
}

/// Random tokens: every prompt is computed, and none shares its beginning with another.
fn prompts(engine: &Engine, batch: usize, tokens: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let vocabulary = engine.model().config().vocabulary_size as u32;
    (0..batch).map(|_| (0..tokens).map(|_| rng.random_range(0..vocabulary)).collect()).collect()
}

/// Seconds of the steps that generated, and bytes captured.
fn generate(engine: &mut Engine, prompts: &[Vec<u32>], new: usize, level: Level) -> Result<(f64, u64), Error> {
    let options = GenerationOptions { max_new_tokens: new, ignore_eos: true, ..GenerationOptions::default() };
    let mut requests = prompts.iter().enumerate().map(|(key, prompt)| Request {
        probe: level.probe(),
        ..Request::new(key as u64, Prompt::Tokens(prompt.clone()), options.clone())
    });
    let (mut captured, mut failed) = (0, None);
    let statistics = engine.generate(&mut requests, &mut |event| {
        match event {
            Event::Finished(completion) => captured += completion.attention.as_deref().map_or(0, bytes),
            Event::Failed { error, .. } => failed = Some(error),
            Event::Text { .. } => {}
        }
        ControlFlow::Continue(())
    })?;
    match failed {
        Some(error) => Err(Error::Invalid(error.to_string())),
        None => Ok((statistics.decode_seconds, captured)),
    }
}

fn bytes(capture: &AttentionCapture) -> u64 {
    let AttentionCapture { span_sums, head_profile, head_span_sums, layer_rows, head_rows, .. } = capture;
    let arrays = [span_sums, head_profile, head_span_sums, layer_rows, head_rows];
    arrays.iter().map(|array| 4 * array.len() as u64).sum()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn memory_in_a_new_process(arguments: &Arguments, tokens: usize, level: Level) -> Result<Memory, Error> {
    let failed = |problem: String| Error::Invalid(format!("measuring memory: {problem}"));
    let program = std::env::current_exe().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(["--model", &arguments.model, "--batch", &arguments.batch.to_string()]);
    command.args(["--prompt-tokens", &tokens.to_string(), "--new-tokens", &arguments.new_tokens.to_string()]);
    command.args(["--memory-of", level.to_possible_value().as_ref().map_or("none", |value| value.get_name())]);
    if let Some(quantize) = arguments.quantize {
        command.args(["--quantize", &quantize.to_string()]);
    }
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| failed(format!("{error}: {}", String::from_utf8_lossy(&output.stderr))))
}

/// One generation without a probe grows heap and cache; what the second one adds is the probe's.
fn memory_of(arguments: &Arguments, level: Level) -> Result<(), Error> {
    let tokens = arguments.prompt_tokens[0];
    let mut engine = load(arguments, tokens)?;
    let prompts = prompts(&engine, arguments.batch, tokens, 1);
    generate(&mut engine, &prompts, arguments.new_tokens, Level::None)?;
    engine.clear_cache();
    forget_peak();
    let before = peak_memory();
    let (_, captured_bytes) = generate(&mut engine, &prompts, arguments.new_tokens, level)?;
    let memory = Memory { growth_bytes: peak_memory().saturating_sub(before), captured_bytes };
    println!("{}", serde_json::to_string(&memory).map_err(|error| Error::Invalid(error.to_string()))?);
    Ok(())
}

/// Lets Linux count the largest resident size anew. Elsewhere the growth is that over the first generation's peak.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn print(arguments: &Arguments, report: &Report) -> Result<(), Error> {
    let Report { model, dtype, layers, heads, batch, new_tokens, repetitions, rows } = report;
    println!(
        "{model} ({dtype}, {layers} layers, {heads} heads), batch {batch}, {new_tokens} new tokens, medians of {repetitions}"
    );
    println!("prompt  level   ms per token  time ratio  memory growth     captured");
    for row in rows {
        println!(
            "{:>6}  {:<6}  {:>12.3}  {:>10.3}  {:>13}  {:>11}",
            row.prompt_tokens,
            format!("{:?}", row.level).to_lowercase(),
            row.decode_milliseconds_per_token,
            row.time_ratio,
            format_bytes(row.memory.growth_bytes),
            format_bytes(row.memory.captured_bytes),
        );
    }
    if let Some(out) = &arguments.out {
        let text = serde_json::to_string_pretty(report).map_err(|error| Error::Invalid(error.to_string()))?;
        std::fs::write(out, text).map_err(|source| Error::Io { path: out.clone(), source })?;
    }
    Ok(())
}
