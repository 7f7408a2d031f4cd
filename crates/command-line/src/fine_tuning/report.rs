//! What a training run prints.

use llm_runtime::{Llama, format_bytes};
use serde::Serialize;
use training::{Parameters, RunDir, TrainSummary};

use super::{ADAPTER_FOLDER, Settings, data};
use crate::{Failure, Format, Outcome, print_json};

/// Steps, tokens and memory that a run will take.
#[derive(Serialize)]
struct DryRun<'a> {
    settings: &'a Settings,
    examples: usize,
    tokens: usize,
    learned_tokens: usize,
    longest: usize,
    steps: u64,
    trained_parameters: usize,
    /// Adapter, gradient and two moments in f32.
    adapter_bytes: u64,
    /// What the backward pass keeps of one micro-batch, about.
    activation_bytes: u64,
}

pub(crate) fn dry_run(
    settings: &Settings,
    sets: &data::Sets,
    parameters: &Parameters,
    llama: &Llama,
    format: Format,
) -> Result<(), Failure> {
    let trained = parameters.elements();
    let answer = DryRun {
        settings,
        examples: sets.summary.encoded,
        tokens: sets.summary.tokens,
        learned_tokens: sets.summary.learned_tokens,
        longest: sets.summary.longest,
        steps: settings.trainer.total_steps(sets.train.len()),
        trained_parameters: trained,
        adapter_bytes: 16 * trained as u64,
        activation_bytes: activation_bytes(settings, sets.summary.longest, llama),
    };
    if format == Format::Json {
        return Ok(print_json(&answer)?);
    }
    println!("{}", toml::to_string(settings).map_err(Failure::work)?);
    println!("examples            {}", answer.examples);
    println!(
        "tokens              {} ({} learned), longest example {}",
        answer.tokens, answer.learned_tokens, answer.longest
    );
    println!("optimiser steps     {}", answer.steps);
    println!("trained parameters  {}", answer.trained_parameters);
    println!("adapter, gradients and moments  {}", format_bytes(answer.adapter_bytes));
    println!("activations of a micro-batch    about {} at most", format_bytes(answer.activation_bytes));
    Ok(())
}

/// Values per token that a layer keeps: the residual stream and norms (about 6 widths), queries, keys, values and attention (4),
/// and the feed-forward layer's gate, up and product (3 of its width). With checkpointing one layer's, and each layer's input.
fn activation_bytes(settings: &Settings, longest: usize, llama: &Llama) -> u64 {
    let config = llama.config();
    let tokens = (longest * settings.trainer.batch) as u64;
    let layer = (10 * config.hidden_size + 3 * config.intermediate_size) as u64;
    let layers = config.layers as u64;
    let values = match settings.trainer.gradient_checkpointing {
        true => layer + layers * config.hidden_size as u64,
        false => layer * layers + 2 * config.vocabulary_size as u64,
    };
    4 * tokens * values
}

/// What a finished run tells.
#[derive(Serialize)]
struct Finished {
    adapter: String,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(crate) fn finished(run: &RunDir, summary: &TrainSummary, format: Format) -> Result<(), Failure> {
    let adapter = run.path().join(ADAPTER_FOLDER).display().to_string();
    let answer = Finished { adapter, outcome: Outcome::new(run, summary) };
    if format == Format::Json {
        return Ok(print_json(&answer)?);
    }
    let Finished { adapter, outcome } = answer;
    println!("run                {}", outcome.run);
    println!("adapter            {adapter}");
    println!("steps              {} of {} ({})", outcome.steps, outcome.planned_steps, outcome.ended);
    if let Some(loss) = outcome.loss {
        println!("last loss          {loss:.4} nats per token");
    }
    if let Some(best) = outcome.best {
        println!("best held-out loss {:.4} nats per token, at step {}", best.loss, best.step);
    }
    println!("tokens             {}, {:.0} a second with evaluations", outcome.tokens, outcome.tokens_per_second);
    println!("time               {:.1} s", outcome.seconds);
    println!("peak memory        {}", format_bytes(outcome.peak_memory));
    Ok(())
}
