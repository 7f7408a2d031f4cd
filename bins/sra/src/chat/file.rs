//! Chats in files: JSON Lines with the columns of exported chats, and for each answer how it was made.

use std::fs;
use std::path::{Path, PathBuf};

use llm_runtime::{FinishReason, Role, input_file};
use serde::{Deserialize, Serialize};
use strategy_prompting::{Layout, UNCONDITIONAL, write_json_lines};

use crate::chat::measured::Measured;
use crate::chat::state::{Answer, Chat, Exchange, Kept};

/// What to do with a file that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overwrite {
    /// Refuse.
    No,
    /// Replace it.
    Yes,
}

/// One line: a chat.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedChat {
    id: String,
    example: String,
    conversation: String,
    /// How many answers it has.
    turn: usize,
    /// The strategy chosen last.
    strategy: String,
    layout: Layout,
    model: String,
    messages: Vec<SavedMessage>,
    #[serde(default)]
    situation: String,
    #[serde(default)]
    seed: Option<u64>,
}

/// All messages have all columns; a user's are empty but for role and content.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedMessage {
    role: Role,
    content: String,
    #[serde(default)]
    strategy: Option<String>,
    #[serde(default)]
    layout: Option<Layout>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    attempt: Option<u64>,
    #[serde(default)]
    finish_reason: Option<FinishReason>,
    #[serde(flatten)]
    measured: Measured,
}

/// Writes chats, one a line; the file appears whole or not at all.
pub(crate) fn save(path: &Path, chats: &[SavedChat], overwrite: Overwrite) -> Result<(), String> {
    if overwrite == Overwrite::No && fs::symlink_metadata(path).is_ok() {
        return Err(format!("{} exists; `/save! {}` replaces it", path.display(), path.display()));
    }
    write_json_lines(path, chats).map_err(|error| error.to_string())
}

/// Reads the last chat of a file, and tells how many there are.
pub(crate) fn load(path: &Path) -> Result<(SavedChat, usize), String> {
    let problem = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
    let text = input_file::read_text(path).map_err(|error| problem(&error))?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.last().ok_or_else(|| problem(&"there is no chat in it"))?;
    let chat = serde_json::from_str(last).map_err(|error| problem(&format!("not a kept chat: {error}")))?;
    Ok((chat, lines.len()))
}

impl SavedChat {
    /// The chat as it is now, named after its file.
    pub(crate) fn of(chat: &Chat, model: &str, path: &Path) -> Self {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            id: name.clone(),
            example: name.clone(),
            conversation: name,
            turn: chat.history().len(),
            strategy: chat.strategy_name().unwrap_or(UNCONDITIONAL).to_owned(),
            layout: chat.layout(),
            model: model.to_owned(),
            messages: chat.history().iter().flat_map(messages).collect(),
            situation: chat.situation().to_owned(),
            seed: Some(chat.seed()),
        }
    }

    /// The chat again, with the strategies and the instruction of `present`.
    pub(crate) fn restore(self, present: &Chat) -> Result<Chat, String> {
        let history = self.exchanges()?;
        let strategy = Some(self.strategy).filter(|name| name != UNCONDITIONAL);
        present.go_on_with(Kept { situation: self.situation, layout: self.layout, seed: self.seed, strategy, history })
    }

    fn exchanges(&self) -> Result<Vec<Exchange>, String> {
        let has_system = self.messages.first().is_some_and(|message| message.role == Role::System);
        if has_system && self.layout != Layout::Standard {
            return Err(format!(
                "in layout {} part of the history is in the system text; only chats in layout standard can go on",
                self.layout
            ));
        }
        let turns = &self.messages[usize::from(has_system)..];
        let (pairs, rest) = turns.as_chunks::<2>();
        let alternate = pairs.iter().all(|[user, answer]| user.role == Role::User && answer.role == Role::Assistant);
        if !rest.is_empty() || !alternate {
            return Err("the messages must alternate between user and assistant and end with assistant".to_owned());
        }
        Ok(pairs.iter().enumerate().map(|(index, pair)| self.exchange(pair, index + 1 == pairs.len())).collect())
    }

    /// Exported chats tell the strategy once, for their last answer.
    fn exchange(&self, [user, answer]: &[SavedMessage; 2], is_last: bool) -> Exchange {
        let strategy = answer.strategy.as_ref().or(is_last.then_some(&self.strategy));
        Exchange {
            text: user.content.clone(),
            attempt: answer.attempt.unwrap_or(0),
            answer: Answer {
                text: answer.content.clone(),
                strategy: strategy.filter(|name| *name != UNCONDITIONAL).cloned(),
                layout: answer.layout.unwrap_or(self.layout),
                seed: answer.seed.or(self.seed).unwrap_or(0),
                finish_reason: answer.finish_reason.unwrap_or(FinishReason::EndOfSequence),
                measured: answer.measured.clone(),
            },
        }
    }
}

fn messages(exchange: &Exchange) -> [SavedMessage; 2] {
    let Exchange { text, attempt, answer } = exchange;
    let user = SavedMessage {
        role: Role::User,
        content: text.clone(),
        strategy: None,
        layout: None,
        seed: None,
        attempt: None,
        finish_reason: None,
        measured: Measured::default(),
    };
    let answer = SavedMessage {
        role: Role::Assistant,
        content: answer.text.clone(),
        strategy: Some(answer.strategy.as_deref().unwrap_or(UNCONDITIONAL).to_owned()),
        layout: Some(answer.layout),
        seed: Some(answer.seed),
        attempt: Some(*attempt),
        finish_reason: Some(answer.finish_reason),
        measured: answer.measured.clone(),
    };
    [user, answer]
}

/// A file that follows the chat, turn by turn. Chats that were put aside stay in it, before the present one.
pub(crate) struct Autosave {
    path: PathBuf,
    earlier: Vec<SavedChat>,
    /// Whether the last turn could not be written.
    is_behind: bool,
}

impl Autosave {
    /// Begins a new file (it appears with the first turn).
    pub(crate) fn begin(path: &Path) -> Result<Self, String> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(format!("--save: {} exists; name a new file, and /load that one in the chat", path.display()));
        }
        Ok(Self { path: path.to_owned(), earlier: Vec::new(), is_behind: false })
    }

    /// Writes the chat. What could not be written is part of the next attempt.
    pub(crate) fn save(&mut self, chat: &Chat, model: &str) -> Result<(), String> {
        let present = SavedChat::of(chat, model, &self.path);
        let chats: Vec<SavedChat> = self.earlier.iter().cloned().chain([present]).collect();
        let saved = save(&self.path, &chats, Overwrite::Yes);
        self.is_behind = saved.is_err();
        saved
    }

    /// Whether the file lacks the last turn.
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Keeps the chat although another one is about to begin.
    pub(crate) fn put_aside(&mut self, chat: &Chat, model: &str) {
        if !chat.history().is_empty() {
            self.earlier.push(SavedChat::of(chat, model, &self.path));
        }
    }
}
