//! LoRA on any linear layer: inject, train, save and load, merge, export.

mod adapted;
mod adapters;
mod config;
mod error;
mod layer;
mod peft;
pub mod sft;
mod supervised;

pub use adapted::AdaptedLlama;
pub use adapters::{Adapters, LoraLoader};
pub use config::{ALL_LINEAR, LoraConfig, Targets};
pub use error::LoraError;
pub use peft::{CONFIG_FILE, WEIGHTS_FILE};
pub use supervised::{SftBatch, SftDataset, SftObjective};
