//! llm-runtime
#[cfg(feature = "engine")]
mod cache;
#[cfg(feature = "engine")]
mod config;
#[cfg(feature = "engine")]
mod device;
#[cfg(feature = "engine")]
mod engine;
mod error;
mod generation;
#[cfg(feature = "engine")]
mod kernels;
#[cfg(feature = "engine")]
mod linear;
#[cfg(feature = "engine")]
mod llama;
#[cfg(feature = "engine")]
mod load;
#[cfg(feature = "engine")]
mod memory;
mod message;
#[cfg(feature = "engine")]
mod ops;
#[path = "/tmp/stubs/template.rs"]
mod template;
mod text_model;
#[path = "/tmp/stubs/tokenizer.rs"]
#[cfg(feature = "engine")]
mod tokenizer;

#[cfg(feature = "engine")]
mod beam;

#[cfg(feature = "engine")]
#[path = "/tmp/stubs/hub.rs"]
pub mod hub;

#[cfg(feature = "engine")]
pub mod sampling;
#[cfg(feature = "engine")]
mod weights;

#[cfg(feature = "engine")]
pub use config::{LlamaConfig, RopeScaling};
#[cfg(feature = "engine")]
pub use device::{DeviceChoice, set_threads};
#[cfg(feature = "engine")]
pub use engine::{Engine, EngineOptions};
pub use error::Error;
pub use generation::{EarlyStopping, GenerationOptions, InvalidOption};
#[cfg(feature = "engine")]
pub use hub::HubError;
#[cfg(feature = "engine")]
pub use linear::{DenseLinear, Embedding, Linear, LinearLoader, QuantLinear};
#[cfg(feature = "engine")]
pub use llama::{Attention, Llama};
#[cfg(feature = "engine")]
pub use load::{LoadEvent, LoadOptions};
#[cfg(feature = "engine")]
pub use memory::{available_memory, format_bytes, parse_bytes, peak_memory};
pub use message::{Message, Part, Role};
pub use template::{ChatTemplate, RenderedChat, TemplateError};
pub use text_model::*;
#[cfg(feature = "engine")]
pub use tokenizer::{Encoding, GgufVocabulary, Tokenizer, TokenizerError};
#[cfg(feature = "engine")]
pub use weights::{FloatType, LoadProgress, Quantization, WeightOptions};
