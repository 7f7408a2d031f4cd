//! Seconds and memory of a LoRA-DPO step, on random pairs or on the model and pairs that `benches/peers/dpo_trl_peft.py --save FOLDER` leaves, to compare with trl and
//! peft. Prints one JSON line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use benches::Outcome;
use benches::spread::Spread;
use candle_core::Device;
use clap::{Args, ValueEnum};
use dpo::{EncodedPair, PairDataset, Passes, PreferenceObjective, PreferenceOptions};
use llm_runtime::{Llama, WeightOptions, peak_memory, set_threads};
use lora::{AdaptedLlama, Adapters, LoraConfig, Targets};
use serde::Deserialize;
use serde_json::json;
use training::{Control, Schedule, TrainEvent, Trainer, TrainerOptions};

use crate::model::ModelArguments;
use crate::scenario::random_prompts;

#[derive(Debug, Args)]
pub(crate) struct DpoStepArguments {
    /// Folder with model/ and pairs.jsonl, instead of a model and random pairs
    #[arg(long, conflicts_with_all = ["model", "shape"])]
    saved: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArguments,
    /// Pairs of a step
    #[arg(long, default_value_t = 4)]
    pairs: usize,
    /// Tokens of a random pair's prompt
    #[arg(long, default_value_t = 192)]
    prompt_tokens: usize,
    /// Tokens of each of its replies
    #[arg(long, default_value_t = 64)]
    reply_tokens: usize,
    /// Steps that are measured, after one that is not
    #[arg(long, default_value_t = 5)]
    steps: u64,
    /// Rank of the adapter on q_proj and v_proj
    #[arg(long, default_value_t = 8)]
    rank: usize,
    /// What is kept of the forward pass
    #[arg(long, value_enum, default_value_t = Kept::One)]
    passes: Kept,
    /// Keep only layers' inputs
    #[arg(long)]
    checkpointing: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kept {
    One,
    ByPair,
    BySequence,
}

#[derive(Deserialize)]
struct Row {
    prompt_ids: Vec<u32>,
    chosen_ids: Vec<u32>,
    rejected_ids: Vec<u32>,
}

/// Measures steps and prints them.
pub(crate) fn run(arguments: &DpoStepArguments) -> Outcome<()> {
    if arguments.pairs == 0 || arguments.steps == 0 || arguments.prompt_tokens == 0 || arguments.reply_tokens == 0 {
        return Err("pairs, steps and tokens must be at least 1".into());
    }
    set_threads(arguments.model.threads())?;
    llm_runtime::keep_freed_memory();
    let device = arguments.model.device.open()?;
    let adapters = Adapters::new();
    let llama = Arc::new(adaptable_model(arguments, &adapters, &device)?);
    let set = PairDataset::new(pairs(arguments, llama.config().vocabulary_size as u32)?);
    let objective = objective(arguments, llama, &adapters, &device)?;
    let before = peak_memory();
    let (mut seconds, losses) = train(arguments, &adapters, &objective, &set)?;
    // The first step warms up.
    let Spread { median, min, .. } = Spread::of(&seconds.split_off(1)).ok_or("no step was measured")?;
    println!(
        "{}",
        json!({
            "side": "solace", "passes": format!("{:?}", arguments.passes), "checkpointing": arguments.checkpointing,
            "seconds_median": median, "seconds_min": min, "losses": losses,
            "rss_before_bytes": before, "peak_rss_bytes": peak_memory(),
        })
    );
    Ok(())
}

fn adaptable_model(arguments: &DpoStepArguments, adapters: &Adapters, device: &Device) -> Outcome<Llama> {
    let model = match &arguments.saved {
        Some(saved) => saved.join("model"),
        None => PathBuf::from(arguments.model.model()?),
    };
    let ModelArguments { dtype, quantize, plain_kernels, .. } = arguments.model;
    let weights = WeightOptions { float: dtype, quantize, plain: plain_kernels };
    Ok(Llama::open_through(&model, weights, device, &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    })?)
}

/// The loss of a fresh adapter on `q_proj` and `v_proj`, with the model under it as reference.
fn objective(
    arguments: &DpoStepArguments,
    llama: Arc<Llama>,
    adapters: &Adapters,
    device: &Device,
) -> Outcome<PreferenceObjective<AdaptedLlama>> {
    let targets = Targets::Any(vec!["q_proj".into(), "v_proj".into()]);
    let alpha = 2.0 * arguments.rank as f64;
    let config = LoraConfig { rank: arguments.rank, alpha, dropout: 0.0, targets, ..LoraConfig::default() };
    adapters.add("policy", &config, 0)?;
    let policy = AdaptedLlama::new(llama.clone(), adapters, &["policy"])?;
    let reference = AdaptedLlama::new(llama, adapters, &[])?;
    let passes = match arguments.passes {
        Kept::One => Passes::One,
        Kept::ByPair => Passes::ByPair,
        Kept::BySequence => Passes::BySequence,
    };
    let options = PreferenceOptions { passes, ..PreferenceOptions::default() };
    Ok(PreferenceObjective::new(policy, Some(Arc::new(reference)), options, device)?)
}

/// Seconds and losses of the steps.
fn train(
    arguments: &DpoStepArguments,
    adapters: &Adapters,
    objective: &PreferenceObjective<AdaptedLlama>,
    set: &PairDataset,
) -> Outcome<(Vec<f64>, Vec<f64>)> {
    let options = TrainerOptions {
        max_steps: Some(arguments.steps + 1),
        batch: arguments.pairs,
        shuffle: false,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        gradient_checkpointing: arguments.checkpointing,
        ..TrainerOptions::default()
    };
    let trainer = Trainer { objective, train: set, evaluation: Vec::new(), options: &options };
    let (mut seconds, mut losses, mut last) = (Vec::new(), Vec::new(), Instant::now());
    trainer.run(&adapters.parameters("policy")?, None, false, &mut |event| {
        if let TrainEvent::Step(step) = event {
            seconds.push(last.elapsed().as_secs_f64());
            losses.push(step.loss);
        }
        last = Instant::now();
        Ok(Control::Continue)
    })?;
    Ok((seconds, losses))
}

/// The pairs of the file in order, or random ones, each as often as it takes.
fn pairs(arguments: &DpoStepArguments, vocabulary: u32) -> Outcome<Vec<Arc<EncodedPair>>> {
    let pairs = match &arguments.saved {
        Some(saved) => pairs_of(&saved.join("pairs.jsonl"))?,
        None => random_pairs(arguments, vocabulary),
    };
    let wanted = arguments.pairs * (arguments.steps as usize + 1);
    Ok(pairs.into_iter().map(Arc::new).collect::<Vec<_>>().into_iter().cycle().take(wanted).collect())
}

fn pairs_of(path: &Path) -> Outcome<Vec<EncodedPair>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let pair = |line| {
        serde_json::from_str(line).map(|Row { prompt_ids, chosen_ids, rejected_ids }| EncodedPair {
            prompt: prompt_ids,
            chosen: chosen_ids,
            rejected: rejected_ids,
        })
    };
    Ok(text.lines().map(pair).collect::<Result<_, _>>().map_err(|error| format!("{}: {error}", path.display()))?)
}

fn random_pairs(arguments: &DpoStepArguments, vocabulary: u32) -> Vec<EncodedPair> {
    let DpoStepArguments { pairs, prompt_tokens, reply_tokens, .. } = *arguments;
    let of = |tokens, seed| random_prompts(pairs, tokens, vocabulary, seed);
    let replies = of(reply_tokens, 2).into_iter().zip(of(reply_tokens, 3));
    let pair = |(prompt, (chosen, rejected))| EncodedPair { prompt, chosen, rejected };
    of(prompt_tokens, 1).into_iter().zip(replies).map(pair).collect()
}
