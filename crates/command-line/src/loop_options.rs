//! The options of a training loop.

use clap::{Args, ValueEnum};
use training::{AdamWOptions, Schedule, TrainerOptions, Warmup};

/// The training loop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training")]
pub struct Loop {
    /// Passes over the data; may be a fraction
    #[arg(long, default_value_t = 5.0, allow_negative_numbers = true, value_name = "N")]
    pub epochs: f64,
    /// Examples that go through the model at a time
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub micro_batch: usize,
    /// Micro-batches of an optimiser step
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub accumulate: usize,
    /// Put examples of like lengths into a micro-batch
    #[arg(long)]
    pub by_length: bool,
    /// Peak learning rate
    #[arg(long, default_value_t = 5e-5, allow_negative_numbers = true, value_name = "RATE")]
    pub learning_rate: f64,
    /// constant, linear, cosine, cosine-with-restarts:N, cosine-with-floor:SHARE, polynomial:POWER:END, inverse-sqrt, noam or warmup-stable-decay:STEPS
    #[arg(long, default_value = "cosine-with-restarts:5", value_name = "SCHEDULE")]
    pub schedule: Schedule,
    /// Steps of the warm-up, or a fraction of all steps like 0.1
    #[arg(long, default_value = "0.1", value_parser = warmup, value_name = "N")]
    pub warmup: Warmup,
    /// Steps between evaluations; 0 is once an epoch
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub evaluate_every: u64,
    /// What every training loop has
    #[command(flatten)]
    pub usual: UsualLoop,
}

/// What every training loop has.
#[derive(Debug, Args)]
pub struct UsualLoop {
    /// End after so many optimiser steps instead
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Decoupled weight decay
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_name = "X")]
    pub weight_decay: f64,
    /// Largest norm over all gradients; 0 does not clip
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_name = "X")]
    pub clip: f64,
    /// Keep only each layer's input for the backward pass: less memory, a third more time
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Steps between checkpoints; 0 is once an epoch
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub save_every: u64,
    /// Checkpoints to keep beside the best
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub keep: usize,
    /// End after so many evaluations without a better one; 0 never does
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub patience: u64,
    /// Steps between records of the loss
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub log_every: u64,
    /// Seed of fresh weights, shuffles, dropout and of what is held out
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub seed: u64,
    /// Records for others
    #[command(flatten)]
    pub tracking: Tracking,
}

/// Records for others.
#[derive(Debug, Args)]
pub struct Tracking {
    /// Write records for this tracker too; wandb: a folder that `wandb sync` uploads
    #[arg(long, value_enum, value_name = "TRACKER")]
    pub track: Option<Track>,
    /// Project name for the tracker
    #[arg(long, default_value = "solace-sra", value_name = "NAME")]
    pub project: String,
}

/// A tracker beside events.jsonl and TensorBoard, which are always written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Track {
    /// An offline run folder of Weights & Biases
    Wandb,
}

impl Loop {
    /// What the options mean for a trainer.
    pub fn options(&self) -> TrainerOptions {
        TrainerOptions {
            epochs: self.epochs,
            batch: self.micro_batch,
            accumulate: self.accumulate,
            by_length: self.by_length,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            warmup: self.warmup,
            evaluate_every: self.evaluate_every,
            evaluate_first: true,
            evaluation_batch: self.micro_batch.max(4),
            ..self.usual.options()
        }
    }
}

impl UsualLoop {
    /// What the options mean for a trainer; what is not among them has its usual value.
    pub fn options(&self) -> TrainerOptions {
        TrainerOptions {
            max_steps: self.max_steps,
            adamw: AdamWOptions { weight_decay: self.weight_decay, ..AdamWOptions::default() },
            clip: (self.clip != 0.0).then_some(self.clip),
            gradient_checkpointing: self.gradient_checkpointing,
            save_every: self.save_every,
            keep: self.keep,
            patience: self.patience,
            log_every: self.log_every,
            seed: self.seed,
            ..TrainerOptions::default()
        }
    }
}

/// Reads `--warmup`: a number of steps, or a fraction of all steps.
///
/// # Errors
/// It is neither.
pub fn warmup(text: &str) -> Result<Warmup, String> {
    let wrong = || format!("`{text}` is neither a number of steps nor a fraction of all steps up to 1");
    if let Ok(steps) = text.parse() {
        return Ok(Warmup::Steps(steps));
    }
    let ratio: f64 = text.parse().map_err(|_| wrong())?;
    if (0.0..=1.0).contains(&ratio) { Ok(Warmup::Ratio(ratio)) } else { Err(wrong()) }
}
