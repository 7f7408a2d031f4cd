//! One test binary; a module per subject.

mod determinism;
mod gguf;
mod goldens;
mod llama;
