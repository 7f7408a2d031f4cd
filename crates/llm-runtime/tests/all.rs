//! One test binary; a module per subject.

mod goldens;
mod llama;
