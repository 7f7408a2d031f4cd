//! Attention of generated text: a file format, aggregation, and a viewer for the browser.

mod container;
mod error;
mod manifest;

pub use container::{AttentionRecord, EXTENSION, Precision, read_manifest};
pub use error::Error;
pub use manifest::{FORMAT, Manifest, RecordInfo, VERSION};
