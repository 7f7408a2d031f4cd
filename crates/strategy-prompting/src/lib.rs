//! Steering a chat model with support strategies: prompt layouts, strategy × dialogue sweeps, continuation records.
//!
//! A support strategy ("Offer Hope", say) is named and described in an instruction; a *layout* decides where the dialogue's
//! history stands relative to it, because in long dialogues models lose sight of an instruction that is far away. A *sweep*
//! continues many dialogues with many strategies and layouts, journals each finished continuation, and resumes after any kill.
//! The method is that of "Steering Conversational Large Language Models for Long Emotional Support Conversations"
//! (arXiv [2402.10453](https://arxiv.org/abs/2402.10453)).
//!
//! From the inside out: [`InstructionTemplate`] fills the instruction and knows where each slot ends up; [`Dialogue`] is a
//! checked history; [`build`] lays both out as messages; [`SweepPlan`] chooses and orders what is to be continued;
//! [`run_sweep`] runs it through any [`llm_runtime::TextModel`] into a [`Journal`] of [`ContinuationRecord`]s;
//! [`tidy_response`], [`export_reference`] and [`export_chats`] make of them what other programs read.
//!
//! ```
//! use llm_runtime::{Message, Role};
//! use strategy_prompting::{
//!     Dialogue, HistoryFormat, InstructionTemplate, Layout, StrategyText, SystemRole, Turn, build,
//! };
//!
//! # fn main() -> Result<(), strategy_prompting::Error> {
//! let turn = |role, text: &str| Turn { role, text: text.to_owned() };
//! let dialogue = Dialogue::new("example-1", vec![
//!     turn(Role::User, "I failed my driving test again."),
//!     turn(Role::Assistant, "That is disappointing. What happened?"),
//!     turn(Role::User, "I panicked at a roundabout."),
//! ])?;
//! let strategy = StrategyText {
//!     name: "Offer Hope".to_owned(),
//!     description: "Description: Say that things can get better. Examples: 'It will come.' 'Hold on.' 'Soon.'".to_owned(),
//! };
//! let instruction = InstructionTemplate::default().fill("Failing the driving test", Some(&strategy))?;
//! let messages =
//!     build(Layout::C1HistoryFirst, &dialogue, &instruction, HistoryFormat::Prompting, SystemRole::Native);
//!
//! let system = &messages[0];
//! assert!(system.content.starts_with("conversation history:\nuser: I failed my driving test again.\nassistant: That"));
//! let name = system.parts.iter().find(|part| part.label == "strategy_name").map(|part| part.range.clone());
//! assert_eq!(name.map(|range| &system.content[range]), Some("\"Offer Hope\""));
//! assert_eq!(messages[1].content, "I panicked at a roundabout.");
//! # Ok(())
//! # }
//! ```

mod adherence;
mod answers;
mod atomic_file;
mod attention;
mod dialogue;
mod digest;
mod error;
mod export;
mod instruction;
mod journal;
mod layout;
mod model_names;
mod postprocess;
mod record;
mod row_file;
mod run;
mod sampling;
mod sra;
mod sra_table;
mod sweep;
mod training_data;

pub use adherence::{
    ADHERENCE_ROWS, AdherenceOptions, AdherenceRow, AdherenceSummary, StrategyLikelihoods, is_scored, score_adherence,
    scored_by,
};
pub use answers::{AnswerOptions, AnswerSummary, ChatRow, answer_chats, read_chat_rows};
pub use atomic_file::write_atomically;
pub use attention::{AttentionLevel, CapturedRecord, KeepAttention};
pub use dialogue::{Dialogue, Turn};
pub use error::Error;
pub use export::{
    ExportSummary, ExportedExample, ReferenceConversation, ResponseText, TextsByStrategy, export_chats,
    export_reference, gather_by_example, write_conversation_array, write_json_lines,
};
pub use instruction::{InstructionTemplate, LabelledText, StrategyText, part};
pub use journal::{CONTINUATIONS, ExistingRun, FAILURES, FailureRecord, Journal, MANIFEST, RunManifest};
pub use layout::{HistoryFormat, Layout, SystemRole, build};
pub use model_names::ModelNames;
pub use postprocess::{PostprocessSummary, compat_response, postprocess_file, tidy_response};
pub use record::{CREATED_BY, ContinuationRecord, InstructionSource, Records, TornLine, read_records};
pub use row_file::{RowFile, RowKind, read_rows};
pub use run::{OnFailure, Progress, RunSummary, run_sweep};
pub use sampling::{
    PYTHON_COMPAT_SEED, Pair, PairSampling, PythonDraw, Shard, TurnRange, python_compat_draws, sample_pairs,
};
pub use sra::{
    CONTROL_AFTER, CONTROL_BEFORE, NormaliseOrder, SRA_PRESETS, SinkHandling, SpanEnd, Sra, SraControls, SraOptions,
    SraRows, part_labels, sra, sra_controls, strategy_spans,
};
pub use sra_table::{GroupBy, PairCorrelation, SraCorrelation, SraGroup, SraRow, audit_steps, group_sra};
pub use sweep::{CostEstimate, SweepExample, SweepItem, SweepPlan, SweepSettings, UNCONDITIONAL};
pub use training_data::{
    ChatMessage, Share, TrainingChat, TrainingDataOptions, TrainingDataSummary, TrainingFile, TrainingSource,
    write_training_data,
};
