//! What a training prints.

use command_line::{Failure, Format, Outcome, print_json};
use llm_runtime::{LlamaConfig, PretrainedModel, format_bytes};
use serde::Serialize;
use training::RunDir;
use training::tracking::{Entry, read_events};

use super::fit::key_value_memory;
use super::workbench::Settings;
use super::{ADAPTER, ADAPTER_FOLDER, Fitted, Workbench};
use crate::train_arguments::{Method, Setup};

/// Positions whose logits exist at a time in a checkpointed head.
const HEAD_ROWS: usize = 256;

/// Steps, tokens and memory that a run will take.
#[derive(Serialize)]
struct DryRun<'a> {
    settings: &'a Settings,
    pairs: usize,
    validation_pairs: usize,
    longest: usize,
    steps: u64,
    trained_parameters: usize,
    memory: Memory,
}

/// Bytes, about.
#[derive(Debug, Clone, Copy, Serialize)]
struct Memory {
    /// Weights of the base model in their type.
    base: u64,
    /// Weights of another model that is the reference.
    reference: u64,
    /// Adapter, gradient and two moments in f32.
    adapter: u64,
    /// What the backward pass keeps.
    activations: u64,
    /// Logits and their gradient.
    logits: u64,
    /// Keys and values of the replies that are generated at evaluations.
    replies: u64,
    total: u64,
}

pub(crate) fn dry_run(bench: &Workbench, setup: &Setup, settings: &Settings, format: Format) -> Result<(), Failure> {
    let adapters = &bench.adapters;
    adapters.add(ADAPTER, &settings.lora, settings.trainer.seed)?;
    let trained = adapters.parameters(ADAPTER)?.elements();
    let answer = DryRun {
        settings,
        pairs: bench.train.pairs.len(),
        validation_pairs: bench.validation.pairs.len(),
        longest: bench.train.counts.longest,
        steps: settings.trainer.total_steps(bench.examples(settings.method)),
        trained_parameters: trained,
        memory: memory(bench, setup, settings, trained),
    };
    if format == Format::Json {
        return Ok(print_json(&answer)?);
    }
    println!("{}", toml::to_string(settings).map_err(Failure::work)?);
    println!("pairs               {} to learn from, {} for validation", answer.pairs, answer.validation_pairs);
    println!("longest             {} tokens, prompt and longer reply", answer.longest);
    println!("optimiser steps     {}", answer.steps);
    println!("trained parameters  {}", answer.trained_parameters);
    let Memory { base, reference, adapter, activations, logits, replies, total } = answer.memory;
    println!("memory, about       {} in all", format_bytes(total));
    println!("  base model        {}", format_bytes(base));
    if reference > 0 {
        println!("  reference model   {}", format_bytes(reference));
    }
    println!("  adapter, gradient and moments  {}", format_bytes(adapter));
    println!("  activations       {}", format_bytes(activations));
    println!("  logits            {}", format_bytes(logits));
    println!("  replies           {}", format_bytes(replies));
    Ok(())
}

/// A layer keeps per token: the residual stream and norms (about 6 widths), queries, keys, values and attention (4), and the feed-forward layer's gate, up and
/// product (3 of its width), in f32. With checkpointing only one layer's, and each layer's input.
fn memory(bench: &Workbench, setup: &Setup, settings: &Settings, trained: usize) -> Memory {
    let config = bench.loaded.llama.config();
    let rows = kept_rows(bench, settings) as u64;
    let layer = (10 * config.hidden_size + 3 * config.intermediate_size) as u64;
    let (layers, hidden) = (config.layers as u64, config.hidden_size as u64);
    let is_checkpointed = settings.trainer.gradient_checkpointing;
    let per_row = if is_checkpointed { layer + layers * hidden } else { layer * layers };
    let completion_rows = if is_checkpointed { rows.min(HEAD_ROWS as u64) } else { rows };
    let base = weights(&bench.loaded);
    let reference = bench.reference_model().map_or(0, weights);
    let (adapter, activations) = (16 * trained as u64, 4 * rows * per_row);
    let logits = 2 * 4 * completion_rows * config.vocabulary_size as u64;
    let replies = if setup.outputs.generate > 0 { key_value_memory(config) } else { 0 };
    let total = base + reference + adapter + activations + logits + replies;
    Memory { base, reference, adapter, activations, logits, replies, total }
}

/// Bytes of a model's weights in their type.
fn weights(model: &PretrainedModel) -> u64 {
    (parameters(model.llama.config()) as f64 * bytes_per_weight(&model.identity().dtype)) as u64
}

/// Tokens of the longest piece that is computed at once.
fn kept_rows(bench: &Workbench, settings: &Settings) -> usize {
    let pairs = bench.train.encoded.pairs();
    let pair = pairs.iter().map(|pair| pair.tokens()).max().unwrap_or(0);
    match (settings.method, settings.objective.passes) {
        (Method::Dpo, dpo::Passes::One) => pair * settings.trainer.batch,
        (Method::Dpo, dpo::Passes::ByPair) => pair,
        (Method::Dpo, dpo::Passes::BySequence) => bench.train.counts.longest,
        (Method::It | Method::Pft, _) => bench.train.counts.longest * settings.trainer.batch,
    }
}

fn parameters(config: &LlamaConfig) -> usize {
    let (hidden, head) = (config.hidden_size, config.head_dim);
    let attention = 2 * hidden * config.heads * head + 2 * hidden * config.key_value_heads * head;
    let layer = attention + 3 * hidden * config.intermediate_size;
    let tables = if config.tied_head { 1 } else { 2 };
    config.layers * layer + tables * config.vocabulary_size * hidden
}

/// By the name of a type of weights.
fn bytes_per_weight(dtype: &str) -> f64 {
    match dtype.to_ascii_lowercase().as_str() {
        name if name.contains("q4") => 4.5 / 8.0,
        name if name.contains("q5") => 5.5 / 8.0,
        name if name.contains("q6") => 6.5625 / 8.0,
        name if name.contains("q8") => 8.5 / 8.0,
        "f16" | "bf16" => 2.0,
        _ => 4.0,
    }
}

/// What a finished run tells.
#[derive(Serialize)]
struct Finished {
    adapter: String,
    /// Of the best evaluation, beside the loss.
    metrics: Vec<(String, f64)>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// What the evaluation at a step told, be it in this call or before an interruption.
fn metrics_at(run: &RunDir, step: u64) -> Result<Vec<(String, f64)>, Failure> {
    let events = read_events(&run.events_file()).map_err(Failure::work)?;
    let of_step = events.into_iter().filter(|event| event.at.step == step);
    let values = of_step.filter_map(|event| match event.entry {
        Entry::Scalars(values) => Some(values),
        _ => None,
    });
    let evaluated = |(name, value): (String, f64)| Some((name.strip_prefix("eval_")?.to_owned(), value));
    Ok(values.flatten().filter_map(evaluated).filter(|(name, _)| name != "loss").collect())
}

pub(crate) fn finished(run: &RunDir, fitted: &Fitted, format: Format) -> Result<(), Failure> {
    let best = fitted.summary.best;
    let metrics = best.map(|best| metrics_at(run, best.step)).transpose()?.unwrap_or_default();
    let adapter = run.path().join(ADAPTER_FOLDER).display().to_string();
    let answer = Finished { adapter, metrics, outcome: Outcome::new(run, &fitted.summary) };
    if format == Format::Json {
        return Ok(print_json(&answer)?);
    }
    let Finished { adapter, metrics, outcome } = answer;
    println!("run                {}", outcome.run);
    println!("adapter            {adapter}");
    println!("steps              {} of {} ({})", outcome.steps, outcome.planned_steps, outcome.ended);
    if let Some(best) = outcome.best {
        println!("best evaluation    at step {}, loss {:.4}", best.step, best.loss);
    }
    for name in ["rewards/accuracies", "rewards/margins", "perplexity_policy_tokens/chosen"] {
        if let Some((_, value)) = metrics.iter().find(|(own, _)| own == name) {
            println!("  {name:<32} {value:.4}");
        }
    }
    println!("tokens             {}, {:.0} a second with evaluations", outcome.tokens, outcome.tokens_per_second);
    println!("time               {:.1} s", outcome.seconds);
    println!("peak memory        {}", format_bytes(outcome.peak_memory));
    Ok(())
}
