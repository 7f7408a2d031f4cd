//! Seconds and memory of a LoRA-DPO step on the CPU, on the model and pairs that `benches/peers/dpo_trl_peft.py --save FOLDER` leaves, to compare with trl and
//! peft. Prints one JSON line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Device;
use clap::{Parser, ValueEnum};
use dpo::{EncodedPair, PairDataset, Passes, PreferenceObjective, PreferenceOptions};
use llm_runtime::{Llama, WeightOptions, peak_memory, set_threads};
use lora::{AdaptedLlama, Adapters, LoraConfig, Targets};
use serde::Deserialize;
use serde_json::json;
use training::{Control, Schedule, TrainEvent, Trainer, TrainerOptions};

/// Seconds and memory of a LoRA-DPO step
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Folder with model/ and pairs.jsonl
    #[arg(long)]
    saved: PathBuf,
    /// Pairs of a step
    #[arg(long, default_value_t = 4)]
    pairs: usize,
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
    /// Threads to compute with
    #[arg(long, default_value_t = 2)]
    threads: usize,
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    set_threads(arguments.threads)?;
    llm_runtime::keep_freed_memory();
    let set = PairDataset::new(pairs(&arguments)?);
    let adapters = Adapters::new();
    let model = arguments.saved.join("model");
    let llama = Llama::open_through(&model, WeightOptions::default(), &Device::Cpu, &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    })?;
    let llama = Arc::new(llama);
    let targets = Targets::Any(vec!["q_proj".into(), "v_proj".into()]);
    let alpha = 2.0 * arguments.rank as f64;
    adapters.add(
        "policy",
        &LoraConfig { rank: arguments.rank, alpha, dropout: 0.0, targets, ..LoraConfig::default() },
        0,
    )?;
    let policy = AdaptedLlama::new(llama.clone(), &adapters, &["policy"])?;
    let reference = AdaptedLlama::new(llama, &adapters, &[])?;
    let passes = match arguments.passes {
        Kept::One => Passes::One,
        Kept::ByPair => Passes::ByPair,
        Kept::BySequence => Passes::BySequence,
    };
    let options = PreferenceOptions { passes, ..PreferenceOptions::default() };
    let objective = PreferenceObjective::new(policy, Some(Arc::new(reference)), options, &Device::Cpu)?;
    let before = peak_memory();
    let trainer_options = TrainerOptions {
        max_steps: Some(arguments.steps + 1),
        batch: arguments.pairs,
        shuffle: false,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        gradient_checkpointing: arguments.checkpointing,
        ..TrainerOptions::default()
    };
    let trainer = Trainer { objective: &objective, train: &set, evaluation: Vec::new(), options: &trainer_options };
    let (mut seconds, mut losses, mut last) = (Vec::new(), Vec::new(), Instant::now());
    trainer.run(&adapters.parameters("policy")?, None, false, &mut |event| {
        if let TrainEvent::Step(step) = event {
            seconds.push(last.elapsed().as_secs_f64());
            losses.push(step.loss);
        }
        last = Instant::now();
        Ok(Control::Continue)
    })?;
    let mut sorted = seconds.split_off(1);
    sorted.sort_by(f64::total_cmp);
    println!(
        "{}",
        json!({
            "side": "solace", "passes": format!("{:?}", arguments.passes), "checkpointing": arguments.checkpointing,
            "seconds_median": sorted[sorted.len() / 2], "seconds_min": sorted[0], "losses": losses,
            "rss_before_bytes": before, "peak_rss_bytes": peak_memory(),
        })
    );
    Ok(())
}

/// The pairs of the file in order, each as often as it takes.
fn pairs(arguments: &Arguments) -> Result<Vec<Arc<EncodedPair>>, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(arguments.saved.join("pairs.jsonl"))?;
    let rows: Vec<Row> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let pair = |row: &Row| {
        let (prompt, chosen, rejected) = (row.prompt_ids.clone(), row.chosen_ids.clone(), row.rejected_ids.clone());
        Arc::new(EncodedPair { prompt, chosen, rejected })
    };
    let wanted = arguments.pairs * (arguments.steps as usize + 1);
    Ok(rows.iter().map(pair).collect::<Vec<_>>().into_iter().cycle().take(wanted).collect())
}
