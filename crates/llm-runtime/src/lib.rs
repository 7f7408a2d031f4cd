//! llm-runtime
mod error;
mod generation;
mod message;
mod text_model;

pub use error::Error;
pub use generation::{EarlyStopping, GenerationOptions, InvalidOption};
pub use message::{Message, Part, Role};
pub use text_model::*;
