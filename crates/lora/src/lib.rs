//! LoRA on any linear layer: inject, train, save and load, merge, export (Hu et al., 2021; DoRA: Liu et al., 2024).
//!
//! A model is built through [`Adapters`]: [`Adapters::wrap`] hands out the model's own layers, each of which asks on every call which adapter is switched on. So one
//! model in memory serves any number of adapters, and none, and may stay quantised below them. [`LoraConfig`] says which layers ([`Targets`]), which rank and which
//! scale; files are those of PEFT, in both directions ([`CONFIG_FILE`], [`WEIGHTS_FILE`]). [`AdaptedLlama`] is a Llama that was opened that way.
//!
//! What a supervised fine-tuning learns from is made by [`sft`]: records of chats become token ids, of which only answers count, packed or not; [`SftDataset`] and
//! [`SftObjective`] hand them to the trainer of the `training` crate.
//!
//! ```
//! use candle_core::Device;
//! use llm_runtime::{Llama, WeightOptions};
//! use lora::Adapters;
//!
//! let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/goldens/lora");
//! let (model, adapters) = (format!("{folder}/base"), Adapters::new());
//! Llama::open_through(model.as_ref(), WeightOptions::default(), &Device::Cpu, &|loader, config, device| {
//!     Llama::load(&adapters.wrap(loader), config, device)
//! })?;
//! adapters.load("one that PEFT wrote", format!("{folder}/qv_dora").as_ref())?;
//! assert!(adapters.parameters("one that PEFT wrote")?.elements() > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
