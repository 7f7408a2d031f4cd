//! One test binary; a module per subject.

mod attention;
mod determinism;
mod engine;
mod export;
mod gguf;
mod goldens;
mod hub;
mod llama;
mod sampling;
mod templates;
mod tokenizers;
