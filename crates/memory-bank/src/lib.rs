//! The strategy memory of MAGIC, and the generator that reads it.
//!
//! What supporters said under each strategy is encoded to one vector a response and kept in a list for that strategy ([`StrategyBank`]). Who is to
//! answer with a strategy looks into its list by attention, and what was read stands beside the dialogue's states when the
//! decoder writes ([`MagicGenerator`]). The memory is written while the generator is trained ([`MagicObjective`]) and only read afterwards.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use memory_bank::{BankOptions, BankRow, Place, StrategyBank};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut bank = StrategyBank::new(8, 4, BankOptions::default(), &Device::Cpu)?;
//! let place = Place { dialogue: "d7".into(), turn: 3 };
//! let row = BankRow { text: "That sounds hard.".into(), place, written_at: 1, feedback: None };
//! bank.write(vec![(2, row)], &Tensor::ones((1, 4), candle_core::DType::F32, &Device::Cpu)?)?;
//! assert_eq!(bank.rows(2)[0].text, "That sounds hard.");
//! // An earlier turn of the same dialogue must not see what comes later.
//! assert!(bank.read(2, Some(&Place { dialogue: "d7".into(), turn: 1 }))?.is_none());
//! assert!(bank.read(2, Some(&Place { dialogue: "d8".into(), turn: 1 }))?.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - A row is trained in the step that writes it and is a constant afterwards.
//! - What a sample reads depends neither on padding nor on the samples beside it, beyond what they have written.
//! - No sample sees rows from the future of its own dialogue, unless that is switched off.
//! - Every weight gets a gradient; a test asks for one.
//!
//! # References
//!
//! "Memory-Enhanced Emotional Support Conversations with Motivation-Driven Strategy Inference", ECML-PKDD 2024, doi 10.1007/978-3-031-70362-1_13. Logits,
//! losses, gradients and the memory's contents over several steps are held against the published code, and against the same with padding left out of the
//! pooling, on golden files.

mod bank;
mod batch;
mod error;
mod file;
mod generator;
mod history;
mod objective;
mod options;
mod pooling;
mod pretrained;
mod published;
mod reader;
mod row;
mod weights;

pub use bank::{BankOptions, Eviction, StrategyBank};
pub use batch::{FixedLengths, MagicBatch, MagicDataset, Response, Sample};
pub use error::MemoryError;
pub use generator::{MagicGenerator, Sources};
pub use history::{History, Remembered, remembered};
pub use objective::{GENERATION_LOSS, MagicLosses, MagicObjective, PERPLEXITY, STRATEGY_LOSS};
pub use options::{EmptyMemory, GeneratorOptions, HeadInit, MotivationFusion};
pub use pooling::Pool;
pub use pretrained::TrainableMagic;
pub use row::{BankRow, Place};
