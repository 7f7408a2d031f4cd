//! ESConv and its relatives: readers, cutting into examples, splits, statistics and the strategy registry.
//!
//! ESConv (Liu et al., "Towards Emotional Support Dialog Systems", ACL 2021) holds 1,300 conversations between seekers and
//! supporters. Four projects build on it, each with files and labels of its own; this crate reads them all into one
//! [`Conversation`], cuts conversations into [`Example`]s as the SRA project does (arXiv 2402.10453), and knows the
//! projects' strategies. The corpora themselves are not part of it: ESConv is CC BY-NC 4.0.
//!
//! ```
//! use esconv_data::{Conversation, Speaker, StrategySet, Utterance, cut};
//!
//! let say = |speaker, text: &str| Utterance { speaker, content: text.into(), strategy: None, feedback: None };
//! let conversation = Conversation {
//!     situation: "I failed an exam.".into(),
//!     dialog: vec![
//!         say(Speaker::Seeker, "I failed."),
//!         say(Speaker::Supporter, "What happened?"),
//!         say(Speaker::Seeker, "I panicked."),
//!         say(Speaker::Supporter, "That must have been hard."),
//!         say(Speaker::Seeker, "Yes."),
//!         say(Speaker::Supporter, "You can try again."),
//!     ],
//!     ..Conversation::default()
//! };
//! // Three supporter turns give one example: the last turns are never targets.
//! let examples = cut(&conversation, 1);
//! assert_eq!(examples.len(), 1);
//! assert_eq!(examples[0].response, "What happened?");
//! assert_eq!(StrategySet::built_in("extes15").unwrap().strategies[6].name, "Offer Hope");
//! ```

mod conversation;
mod error;
mod example;
mod example_file;
mod label;
mod python_json;
mod readers;
mod split;
mod statistics;
mod strategy;

pub use conversation::{Conversation, Speaker, SurveyAnswers, SurveyScores, Utterance};
pub use error::{Error, read_text};
pub use example::{Example, MergedTurn, cut, merge_turns};
pub use example_file::{read_examples, write_examples};
pub use label::LabelSet;
pub use python_json::write_python_lines;
pub use readers::{
    Corpus, CorpusForm, read_corpus, read_esconv, read_failed_esconv, read_multiesc, read_multiesc_as_written,
    read_thtra,
};
pub use split::Split;
pub use statistics::Statistics;
pub use strategy::{Strategy, StrategySet};
