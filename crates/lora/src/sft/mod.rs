//! The data side of supervised fine-tuning: records from files, and token sequences with the places to learn from.
//!
//! [`read_records`] reads question–answer rows, chats and prompt–completion pairs from JSON; [`SftEncoder`] renders each with
//! the model's chat template or a [`PlainTemplate`], finds the tokens of the assistant's answer and keeps the sequence under
//! a limit; [`pack`] joins short sequences where that is asked for. What is learned by default is the last answer with its
//! end token: the loss looks at nothing that the model will not have to write.
//!
//! ```
//! use std::path::Path;
//! use llm_runtime::{BuiltInTemplate, Tokenizer};
//! use lora::sft::{BadRecords, EncodeOptions, ReadOptions, SftEncoder, SftTemplate, parse_records};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-llama");
//! let rows = r#"{"instruction": "Say hello.", "output": "Hello!"}"#;
//! let set = parse_records(Path::new("rows.jsonl"), rows, &ReadOptions::default())?;
//!
//! let tokenizer = Tokenizer::from_tokenizer_json(&std::fs::read(format!("{folder}/tokenizer.json"))?, None)?;
//! let template = SftTemplate::from(BuiltInTemplate::Llama2.template()?);
//! let encoder = SftEncoder::new(&tokenizer, &template, EncodeOptions::default())?;
//! let (examples, summary) = encoder.encode_all(&set.records, BadRecords::Fail)?;
//!
//! assert_eq!(summary.encoded, 1);
//! assert_eq!(tokenizer.decode_text(&examples[0].learned_ids()).trim(), "Hello!");
//! # Ok(())
//! # }
//! ```

mod columns;
mod cutoff;
mod encode;
mod error;
mod fields;
mod pack;
mod plain;
mod read;
mod record;
mod turns;

pub use columns::{ColumnMap, RecordKind};
pub use encode::{
    Bos, EncodeOptions, EncodeRecord, EncodeSummary, Encoded, Join, LearnOn, SftEncoder, SftExample, SftTemplate,
    SkippedRecord,
};
pub use error::SftError;
pub use pack::{PackedExample, pack};
pub use plain::{BuiltInPlain, PlainTemplate};
pub use read::{BadRecords, FileLayout, ReadOptions, RecordSet, parse_records, read_records};
pub use record::{Place, Position, SftContent, SftRecord};
