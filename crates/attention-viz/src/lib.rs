//! Attention of generated text: a file format, aggregation, and a viewer for the browser.
//!
//! A record is one generated text with the attention behind each of its tokens, as `llm_runtime` captures it. It is kept in
//! one `.attn` file: a [safetensors](https://github.com/huggingface/safetensors) file whose metadata has a manifest. So it
//! can be read anywhere, e.g. in Python:
//!
//! ```python
//! import json
//! from safetensors import safe_open
//! with safe_open("record.attn", "np") as file:
//!     manifest = json.loads(file.metadata()["manifest"])
//!     rows = file.get_tensor("layer_rows")  # [new tokens, layers, positions]
//! ```
//!
//! From files, [`token_rows`], [`span_steps`], [`layer_heads`] and [`layer_profile`] make the tables behind the views;
//! [`span_differences`], [`head_difference`] and [`token_differences`] those behind comparisons, [`over_turns`] that over turns;
//! [`serve`] shows them in the browser, [`export_record`], [`export_comparison`] and [`export_turns`] write them, and
//! [`standalone_html`] makes a page that needs no server.
//!
//! ```
//! use attention_viz::{AttentionRecord, Choice, Precision, RecordInfo, span_steps};
//! use llm_runtime::{AttentionCapture, Span};
//!
//! # fn main() -> Result<(), attention_viz::Error> {
//! // One new token after two; one layer and one head; half of the attention goes to position 1.
//! let capture = AttentionCapture {
//!     layers: 1,
//!     heads: 1,
//!     rows: 1,
//!     first_position: 1,
//!     sinks: vec![0],
//!     spans: vec![Span { label: "word".into(), bytes: 0..4, tokens: 1..2 }],
//!     span_sums: vec![0.5, 0.5, 0.5],
//!     head_profile: vec![0.5, 0.5, 0.5],
//!     ..AttentionCapture::default()
//! };
//! let record = AttentionRecord {
//!     info: RecordInfo { id: "example".into(), ..RecordInfo::default() },
//!     token_ids: vec![1, 7, 9],
//!     token_texts: ["<s>", "word", "!"].map(String::from).to_vec(),
//!     capture,
//! };
//! let again = AttentionRecord::from_bytes(&record.to_bytes(Precision::F32)?)?;
//! assert_eq!(again, record);
//! // Without the sink, the word has everything.
//! assert_eq!(span_steps(&again.capture, &Choice::default())?.row(0), [1.0]);
//! # Ok(())
//! # }
//! ```
//!
//! # The file
//!
//! Keys are positions a query sees; `keys` is their number in the last row, and shorter rows are padded with zeros. Columns of
//! sums are position 0, sinks (position 0 and beginning-of-sequence tokens), then the manifest's spans in order.
//!
//! | array | type | shape | |
//! |---|---|---|---|
//! | `token_ids` | U32 | `[prompt + new]` | |
//! | `span_sums` | F32 | `[new, layers, columns]` | mass, mean over heads |
//! | `head_profile` | F32 | `[layers, heads, columns]` | mass, mean over new tokens |
//! | `head_shares` | F32 | `[layers, heads, spans]` | part of what sinks leave, mean over new tokens; files of older programs lack it |
//! | `head_span_sums` | F32 | `[new, layers, heads, columns]` | level `full` |
//! | `layer_rows` | F16 or F32 | `[new, layers, keys]` | levels `layers` and `full`; mean over heads |
//! | `head_rows` | F16 or F32 | `[new, layers, heads, keys]` | level `full` |
//! | `top_positions`, `top_values` | U32, F32 | `[new, layers, heads, top]` | where they were asked for |
//!
//! The manifest says `"format": "solace.attention"` and `"version": 1`; a file of another version is refused with that
//! reason. Its other fields are those of [`Manifest`].

mod against;
mod aggregate;
mod assets;
mod compare;
mod container;
mod error;
mod export;
mod flow;
mod html;
mod index;
mod manifest;
mod server;
mod sheets;
mod table;
mod tensors;
mod turns;

pub use against::{Against, Field};
pub use aggregate::{
    Choice, HeadMean, Matrix, SinkHandling, largest, layer_heads, layer_profile, span_steps, token_rows, token_values,
};
pub use compare::{
    HeadDifference, SpanDifference, TokenDifference, head_difference, span_differences, token_differences,
};
pub use container::{AttentionRecord, EXTENSION, Precision, read_manifest};
pub use error::Error;
pub use export::{ExportOptions, Exported, export_comparison, export_record, export_turns, run_folders, show_record};
pub use html::standalone_html;
pub use index::{Entry, Listing, Run, RunIndex};
pub use manifest::{FORMAT, Manifest, RecordInfo, VERSION};
pub use server::{ServerOptions, serve};
pub use turns::{LineBy, TurnLine, TurnPoint, over_turns};
