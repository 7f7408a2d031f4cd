//! Files of preference pairs: JSON arrays, JSON Lines and CSV, with texts or turns of a chat.
//!
//! A record has the fields `prompt`, `chosen` and `rejected`, and perhaps `id` and `group`; whatever else it has is kept. Texts are strings,
//! or, in JSON, arrays of `{"role", "content"}` as TRL has them. There the prompt may also be left implicit: what whole conversations
//! `chosen` and `rejected` have in common at their beginning.

mod columns;
mod fields;
mod problem;
mod read;
mod records;
mod write;

pub use columns::PairColumns;
pub use problem::BadRecord;
pub use read::{PairFile, ReadPairs, read_pairs};
pub use write::write_pairs;
