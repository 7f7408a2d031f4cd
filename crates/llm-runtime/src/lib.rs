//! Decoder-only language models: load, tokenise, render chats, generate in batches that share prefixes, score.
//!
//! The ground floor of the workspace. One [`Llama`] runs Llama-2, Llama-3 and Mistral from GGUF files and Hugging Face folders, on
//! the CPU and on CUDA; one [`Engine`] serves requests with continuous batching over a block cache with a prefix tree, so
//! that prompts which begin alike are computed once. Everything that needs text from a model takes a [`TextModel`].
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use llm_runtime::{Engine, Event, GenerationOptions, LoadOptions, Message, Prompt, Request, TextModel};
//!
//! # fn main() -> Result<(), llm_runtime::Error> {
//! let mut engine = Engine::load(&LoadOptions::new("model.gguf"), &|_| ())?;
//! let prompt = Prompt::Chat(vec![Message::system("Be brief."), Message::user("How are you?")]);
//! let options = GenerationOptions { max_new_tokens: 64, temperature: 0.7, seed: 1, ..GenerationOptions::default() };
//! let mut requests = std::iter::once(Request::new(0, prompt, options));
//! let statistics = engine.generate(&mut requests, &mut |event| {
//!     if let Event::Text { delta, .. } = event {
//!         print!("{delta}");
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! println!("\n{} new tokens", statistics.generated_tokens);
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! The same request and seed give the same tokens alone, among others, after a prefix hit, after an eviction and with any number
//! of threads, for dense and quantised weights, on the CPU and one kind of processor. The reason is that each row's
//! arithmetic is done in an order of its own, whatever rows are computed beside it; tests compare log-probabilities bit for
//! bit. On CUDA the matrix library chooses kernels by shape, so logits may differ in their last bits between batches.
//!
//! # References
//!
//! Logits, greedy and beam search are held against transformers, GGUF files against llama.cpp, tokenisers against SentencePiece
//! and transformers, chat templates against jinja2, and processors against transformers, on golden files.
//!
//! # Features
//!
//! `engine` (default) brings tensors and tokenisers; without it only messages, templates, options and [`TextModel`] remain.
//! `remote` (default, needs no `engine`) adds `RemoteModel`: models behind servers that speak OpenAI's API. `serve` adds the module
//! `server`: the engine as such a server. `cuda` adds CUDA devices.
mod allocator;
#[cfg(any(feature = "remote", feature = "serve"))]
mod api_key;
mod attention;
#[cfg(feature = "engine")]
pub mod beam;
#[cfg(feature = "engine")]
mod cache;
#[cfg(feature = "engine")]
mod checkpoint;
#[cfg(feature = "engine")]
mod config;
#[cfg(feature = "engine")]
mod device;
#[cfg(feature = "engine")]
mod dropout;
#[cfg(feature = "engine")]
mod engine;
mod error;
#[cfg(feature = "engine")]
mod fork;
mod generation;
pub mod input_file;
#[cfg(feature = "engine")]
mod kernels;
mod known_hosts;
#[cfg(feature = "engine")]
mod linear;
#[cfg(feature = "engine")]
mod llama;
#[cfg(feature = "engine")]
mod load;
#[cfg(feature = "engine")]
mod log_probs;
#[cfg(feature = "engine")]
mod memory;
mod message;
#[cfg(feature = "engine")]
pub mod ops;
pub mod output_file;
#[cfg(feature = "engine")]
mod packing;
#[cfg(feature = "remote")]
mod remote;
mod sha256;
mod template;
mod text_model;
#[cfg(feature = "engine")]
mod token_statistics;
#[cfg(feature = "engine")]
pub mod tokenizer;
mod torn_row;

#[cfg(feature = "engine")]
pub mod hub;

#[cfg(feature = "engine")]
pub mod sampling;
#[cfg(feature = "serve")]
pub mod server;
#[cfg(feature = "engine")]
mod weights;

pub use allocator::keep_freed_memory;
#[cfg(any(feature = "remote", feature = "serve"))]
pub use api_key::{ApiKey, KeySource};
pub use attention::{AttentionCapture, AttentionEdit, AttentionProbe, EditedRows, Selection, SpanChoice};
#[cfg(feature = "engine")]
pub use cache::KvType;
#[cfg(feature = "engine")]
pub use checkpoint::Checkpoints;
#[cfg(feature = "engine")]
pub use config::{LlamaConfig, RopeScaling};
#[cfg(feature = "engine")]
pub use device::{DeviceChoice, set_threads};
#[cfg(feature = "engine")]
pub use dropout::{DropoutPass, drop_out, seeded_stream};
#[cfg(feature = "engine")]
pub use engine::{Engine, EngineOptions, Pressure, RequestSource, Supply};
pub use error::Error;
#[cfg(feature = "engine")]
pub use fork::Fork;
pub use generation::{EarlyStopping, GenerationOptions, InvalidOption};
#[cfg(feature = "engine")]
pub use hub::HubError;
pub use known_hosts::KnownHosts;
#[cfg(feature = "engine")]
pub use linear::{DenseLinear, Embedding, Linear, LinearLoader, QuantLinear};
#[cfg(feature = "engine")]
pub use llama::{Attention, Llama};
#[cfg(feature = "engine")]
pub use load::{BuildLlama, EmbeddedModel, LoadEvent, LoadOptions, PretrainedModel};
#[cfg(feature = "engine")]
pub use log_probs::{observed_token_log_probs, smoothed_token_log_probs, token_log_probs};
#[cfg(feature = "engine")]
pub use memory::{available_memory, format_bytes, parse_bytes, peak_memory};
pub use message::{Message, Part, Role};
#[cfg(feature = "engine")]
pub use packing::{Packing, starts_of};
#[cfg(feature = "remote")]
pub use remote::{Dialect, Patience, Prices, RemoteAddress, RemoteModel, RemoteOptions, RetryPolicy};
pub use sha256::{hex, sha256_of, sha256_of_files};
pub use template::{BuiltInTemplate, ChatTemplate, GenerationPrompt, RenderedChat, TemplateError};
pub use text_model::*;
#[cfg(feature = "engine")]
pub use token_statistics::{TokenStatistic, TokenStatistics};
#[cfg(feature = "engine")]
pub use tokenizer::{ControlTokenText, DecodeStream, Encoding, GgufVocabulary, Tokenizer, TokenizerError};
pub use torn_row::is_torn_row;
#[cfg(feature = "engine")]
pub use weights::export::{ExportType, ModelExport, Replacement};
#[cfg(feature = "engine")]
pub use weights::{FloatType, LoadProgress, Quantization, StateDict, WeightOptions, weights_sha256};
