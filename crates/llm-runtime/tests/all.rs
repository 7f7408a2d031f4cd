//! One test binary; a module per subject.

#[cfg(feature = "engine")]
mod attention;
#[cfg(feature = "engine")]
mod checkpoint;
#[cfg(feature = "engine")]
mod determinism;
#[cfg(feature = "engine")]
mod engine;
#[cfg(feature = "engine")]
mod export;
#[cfg(feature = "engine")]
mod gguf;
#[cfg(feature = "engine")]
mod hub;
#[cfg(feature = "engine")]
mod llama;
#[cfg(feature = "remote")]
mod log_capture;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "engine")]
mod sampling;
#[cfg(feature = "remote")]
mod scripted_server;
#[cfg(all(feature = "remote", feature = "serve"))]
mod server;
#[cfg(feature = "engine")]
mod templates;
#[cfg(feature = "engine")]
mod tokenizers;
