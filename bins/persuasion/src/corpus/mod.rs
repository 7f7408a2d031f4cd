//! From a corpus of posts and replies to pairs of a persuasive and an unpersuasive reply.
//!
//! Readers ([`reddit`], [`convokit`], [`jsonlist`], [`topic_folders`]) give posts with arguments ([`Candidates`]); [`PairMaker`] cleans and filters them and chooses
//! pairs, counting everything in a [`Funnel`]; groups are split ([`SplitRule`]), what stands in two parts is looked for ([`leakage()`]) and lengths are measured
//! ([`lengths()`]). [`pair_files`] come in behind the readers: their pairs are made already. [`Prepared`] is all of it.

mod bad_records;
mod candidates;
mod cleaning;
pub mod convokit;
mod entities;
mod error;
mod funnel;
mod input;
pub mod jsonlist;
mod leakage;
mod lengths;
mod line_source;
mod near_duplicates;
mod negatives;
mod op_pairs;
mod pair_file;
pub mod pair_files;
mod pair_maker;
mod pair_rules;
mod part;
mod prepared;
pub mod reddit;
mod split;
pub mod topic_folders;

pub use bad_records::BadRecords;
pub use candidates::{Argument, Candidates, Match, Post};
pub use cleaning::{Cleaning, is_deleted};
pub use entities::decode_entities;
pub use error::CorpusError;
pub use funnel::{Funnel, Stage};
pub use input::Input;
pub use leakage::{Finding, Leakage, Shared, drop_leaking, leakage};
pub use lengths::{Cut, InUnit, Limits, LongerWins, PartLengths, Spread, lengths};
pub use near_duplicates::{NEAR, near_duplicates};
pub use negatives::Negatives;
pub use pair_file::Columns;
pub use pair_files::PairFileRules;
pub use pair_maker::{Example, PairMaker};
pub use pair_rules::{Depth, PairRules};
pub use part::Part;
pub use prepared::{FUNNEL_FILE, LEAKAGE_FILE, LENGTHS_FILE, LeakageRule, PrepareRules, Prepared};
pub use reddit::{Dump, has_delta};
pub use split::{Assignment, SplitRng, SplitRule};
