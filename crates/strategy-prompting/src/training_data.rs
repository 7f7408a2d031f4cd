//! Chats to fine-tune on, made of continuation records: the strategy in the system text, the dialogue, the response.
//!
//! The data of section 4 of arXiv 2402.10453: whatever layout a response was generated with, it is learned in the plain one, so
//! that the tuned model follows the system text without repeated instructions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use esconv_data::Split;
use llm_runtime::Message;
use serde::{Deserialize, Serialize};

use crate::atomic_file::{write_atomically, write_json_line};
use crate::dialogue::Dialogue;
use crate::error::Error;
use crate::instruction::{InstructionTemplate, StrategyText};
use crate::layout::{HistoryFormat, Layout, SystemRole, build};
use crate::postprocess::tidy_response;
use crate::record::ContinuationRecord;
use crate::sweep::UNCONDITIONAL;

/// One chat to learn from. The last message is the response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingChat {
    /// The record it was made of.
    pub id: String,
    /// The conversation it was cut from; splits never divide one.
    pub conversation: String,
    /// The supporter turn.
    pub turn: usize,
    /// The strategy's label, or [`UNCONDITIONAL`].
    pub strategy: String,
    /// What the seeker is in.
    pub situation: String,
    /// System text, dialogue, response.
    pub messages: Vec<ChatMessage>,
}

/// A message as the usual chat files have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

impl From<Message> for ChatMessage {
    fn from(message: Message) -> Self {
        Self { role: message.role.as_str().to_owned(), content: message.content }
    }
}

/// What becomes of records.
#[derive(Debug, Clone)]
pub struct TrainingDataOptions {
    /// System text of a response with a strategy; usually the template `train`.
    pub conditional: InstructionTemplate,
    /// System text of a response without one; `None` leaves such responses out.
    pub unconditional: Option<InstructionTemplate>,
    /// Conversations held out to choose settings with.
    pub dev: Share,
    /// Conversations held out to report on.
    pub test: Share,
    /// Seed of the split.
    pub seed: u64,
}

/// How many conversations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Share {
    /// So many.
    Count(usize),
    /// This part of all, rounded down.
    Fraction(f64),
}

impl Share {
    fn of(self, count: usize) -> Result<usize, Error> {
        match self {
            Self::Count(wanted) => Ok(wanted),
            Self::Fraction(part) if (0.0..1.0).contains(&part) => Ok((count as f64 * part).floor() as usize),
            Self::Fraction(part) => {
                Err(Error::Setting { setting: "split", problem: format!("{part} is no fraction below 1") })
            }
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TrainingDataSummary {
    /// Files with their conversations and chats, in the order train, dev, test.
    pub files: Vec<TrainingFile>,
    /// Chats by strategy, over all files.
    pub strategies: BTreeMap<String, usize>,
    /// Records whose response was empty after tidying.
    pub empty: usize,
    /// Records that were left out because they have no strategy.
    pub without_strategy: usize,
}

/// One file of chats.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TrainingFile {
    /// The file.
    pub path: PathBuf,
    /// Conversations in it.
    pub conversations: usize,
    /// Chats in it.
    pub chats: usize,
}

/// Makes `train.jsonl`, `dev.jsonl` and `test.jsonl` in `folder` from records, split by conversation.
///
/// # Errors
/// A record can't be read or laid out, the split takes more conversations than there are, or a file can't be written.
pub fn write_training_data(
    records: impl IntoIterator<Item = Result<ContinuationRecord, Error>>,
    folder: &Path,
    options: &TrainingDataOptions,
) -> Result<TrainingDataSummary, Error> {
    let mut summary = TrainingDataSummary::default();
    let mut conversations: Vec<(String, Vec<TrainingChat>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for record in records {
        let record = record?;
        let Some(chat) = training_chat(&record, options, &mut summary)? else { continue };
        let place = *places.entry(chat.conversation.clone()).or_insert_with(|| {
            conversations.push((chat.conversation.clone(), Vec::new()));
            conversations.len() - 1
        });
        *summary.strategies.entry(chat.strategy.clone()).or_default() += 1;
        conversations[place].1.push(chat);
    }
    // By id, not by the order in which a run finished them.
    conversations.sort_by(|left, right| left.0.cmp(&right.0));
    let count = conversations.len();
    let split = Split::seeded(count, options.dev.of(count)?, options.test.of(count)?, options.seed)
        .map_err(|error| Error::Setting { setting: "split", problem: error.to_string() })?;
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    for (name, chosen) in [("train", &split.train), ("dev", &split.valid), ("test", &split.test)] {
        let chats = chosen.iter().flat_map(|index| &conversations[*index].1);
        let path = folder.join(format!("{name}.jsonl"));
        let chats = write_chats(&path, chats)?;
        summary.files.push(TrainingFile { path, conversations: chosen.len(), chats });
    }
    Ok(summary)
}

fn write_chats<'a>(path: &Path, chats: impl Iterator<Item = &'a TrainingChat>) -> Result<usize, Error> {
    let mut count = 0;
    write_atomically(path, |writer| {
        for chat in chats {
            write_json_line(writer, path, chat)?;
            count += 1;
        }
        Ok(())
    })?;
    Ok(count)
}

/// A record as a chat; `None` if it is left out.
fn training_chat(
    record: &ContinuationRecord,
    options: &TrainingDataOptions,
    summary: &mut TrainingDataSummary,
) -> Result<Option<TrainingChat>, Error> {
    let response = tidy_response(&record.text, &record.strategy);
    if response.is_empty() {
        summary.empty += 1;
        return Ok(None);
    }
    let is_unconditional = record.strategy == UNCONDITIONAL;
    let template = match (is_unconditional, &options.unconditional) {
        (false, _) => &options.conditional,
        (true, Some(template)) => template,
        (true, None) => {
            summary.without_strategy += 1;
            return Ok(None);
        }
    };
    let strategy = StrategyText { name: record.strategy.clone(), description: record.strategy_description.clone() };
    let instruction = template.fill(&record.situation, (!is_unconditional).then_some(&strategy))?;
    let dialogue = Dialogue::from_speakers(&record.example, &record.speakers, &record.dialog)?;
    let messages = build(Layout::Standard, &dialogue, &instruction, HistoryFormat::Prompting, SystemRole::Native);
    let response = ChatMessage { role: "assistant".into(), content: response };
    Ok(Some(TrainingChat {
        id: record.id.clone(),
        conversation: record.conversation.clone(),
        turn: record.turn,
        strategy: record.strategy.clone(),
        situation: record.situation.clone(),
        messages: messages.into_iter().map(ChatMessage::from).chain([response]).collect(),
    }))
}
