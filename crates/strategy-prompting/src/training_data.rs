//! Chats to fine-tune on, made of continuation records or of real turns: the strategy in the system text, the dialogue, the response.
//!
//! The data of section 4 of arXiv 2402.10453: whatever layout a response was generated with, it is learned in the plain one, so
//! that the tuned model follows the system text without repeated instructions.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use esconv_data::{Example, Split, StrategySet};
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
    /// The record or example it was made of.
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
    /// Responses that were empty after tidying.
    pub empty: usize,
    /// Responses that were left out because they have no strategy.
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

/// Makes `train.jsonl`, `dev.jsonl` and `test.jsonl` in `folder` from responses, split by conversation.
///
/// # Errors
/// A response can't be read or laid out, the split takes more conversations than there are, or a file can't be written.
pub fn write_training_data(
    sources: impl IntoIterator<Item = Result<TrainingSource, Error>>,
    folder: &Path,
    options: &TrainingDataOptions,
) -> Result<TrainingDataSummary, Error> {
    let mut summary = TrainingDataSummary::default();
    let mut conversations: Vec<(String, Vec<TrainingChat>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources {
        let Some(chat) = source?.chat(options, &mut summary)? else { continue };
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

/// A response with what stood before it, from wherever.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSource {
    /// Its id.
    pub id: String,
    /// The conversation it is from.
    pub conversation: String,
    /// The supporter turn.
    pub turn: usize,
    /// The strategy; `None` for a response without one.
    pub strategy: Option<StrategyText>,
    /// What the seeker is in.
    pub situation: String,
    /// What was said before.
    pub dialogue: Dialogue,
    /// The response.
    pub response: String,
}

impl TrainingSource {
    /// A generated continuation, tidied.
    ///
    /// # Errors
    /// The record's dialogue can't be prompted.
    pub fn of_record(record: &ContinuationRecord) -> Result<Self, Error> {
        let strategy = StrategyText { name: record.strategy.clone(), description: record.strategy_description.clone() };
        Ok(Self {
            id: record.id.clone(),
            conversation: record.conversation.clone(),
            turn: record.turn,
            strategy: (record.strategy != UNCONDITIONAL).then_some(strategy),
            situation: record.situation.clone(),
            dialogue: Dialogue::from_speakers(&record.example, &record.speakers, &record.dialog)?,
            response: tidy_response(&record.text, &record.strategy),
        })
    }

    /// What a supporter really said. The turn's first strategy counts; one that the set does not know counts as none.
    ///
    /// # Errors
    /// The example's dialogue can't be prompted.
    pub fn of_example(example: &Example, strategies: &StrategySet) -> Result<Self, Error> {
        let strategy = example.strategy.iter().find_map(|name| strategies.find(name).ok()).map(StrategyText::from);
        Ok(Self {
            id: example.id.clone(),
            conversation: example.conversation.clone(),
            turn: example.turn,
            strategy,
            situation: example.situation.clone(),
            dialogue: Dialogue::of(example)?,
            response: example.response.trim().to_owned(),
        })
    }

    /// As a chat; `None` if it is left out.
    fn chat(
        self,
        options: &TrainingDataOptions,
        summary: &mut TrainingDataSummary,
    ) -> Result<Option<TrainingChat>, Error> {
        if self.response.is_empty() {
            summary.empty += 1;
            return Ok(None);
        }
        let template = match (&self.strategy, &options.unconditional) {
            (Some(_), _) => &options.conditional,
            (None, Some(template)) => template,
            (None, None) => {
                summary.without_strategy += 1;
                return Ok(None);
            }
        };
        let instruction = template.fill(&self.situation, self.strategy.as_ref())?;
        let messages =
            build(Layout::Standard, &self.dialogue, &instruction, HistoryFormat::Prompting, SystemRole::Native);
        let response = ChatMessage { role: "assistant".into(), content: self.response };
        Ok(Some(TrainingChat {
            id: self.id,
            conversation: self.conversation,
            turn: self.turn,
            strategy: self.strategy.map_or_else(|| UNCONDITIONAL.to_owned(), |strategy| strategy.name),
            situation: self.situation,
            messages: messages.into_iter().map(ChatMessage::from).chain([response]).collect(),
        }))
    }
}
