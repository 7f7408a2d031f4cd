//! The seven prompt layouts: where the history stands relative to the instruction (arXiv 2402.10453, §3).
//!
//! `standard` keeps every turn as a chat message below the instruction. `cN_hf` and `cN_hl` keep only the last N turns
//! as chat messages and write the older ones into the system text, before (history first) or after (history last) the
//! instruction; long dialogues then no longer push the instruction away from the turn to be answered.

use std::fmt;
use std::str::FromStr;

use llm_runtime::{Message, Role};
use serde::{Deserialize, Serialize};

use crate::dialogue::{Dialogue, Turn};
use crate::error::Error;
use crate::instruction::{LabelledText, part};

/// How instruction and history are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Layout {
    /// The instruction as system text, all turns as messages.
    Standard,
    /// The last turn as message; history, then instruction.
    C1HistoryFirst,
    /// The last turn as message; instruction, then history.
    C1HistoryLast,
    /// The last three turns as messages; history, then instruction.
    C3HistoryFirst,
    /// The last three turns as messages; instruction, then history.
    C3HistoryLast,
    /// The last five turns as messages; history, then instruction.
    C5HistoryFirst,
    /// The last five turns as messages; instruction, then history.
    C5HistoryLast,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Layout; 7] = [
        Layout::Standard,
        Layout::C1HistoryFirst,
        Layout::C1HistoryLast,
        Layout::C3HistoryFirst,
        Layout::C3HistoryLast,
        Layout::C5HistoryFirst,
        Layout::C5HistoryLast,
    ];

    /// The layout of that name.
    ///
    /// # Errors
    /// The name is none of `standard`, `c1_hf`, `c1_hl`, `c3_hf`, `c3_hl`, `c5_hf`, `c5_hl`; the error lists them.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|layout| layout.name() == name).ok_or_else(|| Error::UnknownName {
            kind: "layout",
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }

    /// The layout's name, e.g. `c1_hf`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::C1HistoryFirst => "c1_hf",
            Self::C1HistoryLast => "c1_hl",
            Self::C3HistoryFirst => "c3_hf",
            Self::C3HistoryLast => "c3_hl",
            Self::C5HistoryFirst => "c5_hf",
            Self::C5HistoryLast => "c5_hl",
        }
    }

    /// How many of the last turns stay chat messages; `None` for all.
    pub fn recent_turns(self) -> Option<usize> {
        match self {
            Self::Standard => None,
            Self::C1HistoryFirst | Self::C1HistoryLast => Some(1),
            Self::C3HistoryFirst | Self::C3HistoryLast => Some(3),
            Self::C5HistoryFirst | Self::C5HistoryLast => Some(5),
        }
    }

    /// Whether the history block stands before the instruction.
    pub fn is_history_first(self) -> bool {
        matches!(self, Self::C1HistoryFirst | Self::C3HistoryFirst | Self::C5HistoryFirst)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Layout {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::parse(name)
    }
}

impl TryFrom<String> for Layout {
    type Error = Error;
    fn try_from(name: String) -> Result<Self, Error> {
        Self::parse(&name)
    }
}

impl From<Layout> for String {
    fn from(layout: Layout) -> Self {
        layout.name().to_owned()
    }
}

/// How the history block is written. The published code has one format where it generates continuations and another
/// where it evaluates; here it is an option, and the same everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryFormat {
    /// Header and a newline; lines `user: …`, `assistant: …`; one blank line before the instruction.
    #[default]
    Prompting,
    /// Header and two newlines; lines `User: …`, `Assistant: …`; two blank lines before the instruction.
    Evaluation,
}

/// Where the system text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemRole {
    /// Into a system message.
    #[default]
    Native,
    /// In front of the first user message, with a blank line between (for templates without a system role). Only
    /// there: the published code repeats it in all user turns but the last in one case.
    InFirstUser,
}

impl SystemRole {
    /// What fits a model: the first user message if it has a template and that has no system role.
    pub fn for_template(template: Option<&llm_runtime::ChatTemplate>) -> Self {
        match template {
            Some(template) if !template.supports_system_role() => Self::InFirstUser,
            _ => Self::Native,
        }
    }
}

/// Builds the chat messages of a prompt; the model is to continue with the supporter's next turn.
///
/// Parts (see [`part`]): the system text, the history block, the instruction with its slots, and every turn by its number
/// in the dialogue, be it a line of the history block (without the speaker's name) or a message. Turns are stripped in
/// the partial layouts and stay as they are in `standard`, where the part leaves out surrounding white space. With no
/// more turns than the layout keeps as messages there is no history block.
pub fn build(
    layout: Layout,
    dialogue: &Dialogue,
    instruction: &LabelledText,
    format: HistoryFormat,
    system_role: SystemRole,
) -> Vec<Message> {
    let turns = dialogue.turns();
    let older = layout.recent_turns().map_or(0, |recent| turns.len().saturating_sub(recent));
    let system = system_text(layout, &turns[..older], instruction, format);
    let chat = turns.iter().enumerate().skip(older).map(|(index, turn)| chat_message(layout, index + 1, turn));
    match system_role {
        SystemRole::Native => std::iter::once(system).chain(chat).collect(),
        SystemRole::InFirstUser => put_in_first_user(system, chat.collect()),
    }
}

fn system_text(layout: Layout, older: &[Turn], instruction: &LabelledText, format: HistoryFormat) -> Message {
    let mut system = Message::system("");
    let history_first = layout.is_history_first();
    if history_first && !older.is_empty() {
        push_history(&mut system, older, format);
        system.push(match format {
            HistoryFormat::Prompting => "\n",
            HistoryFormat::Evaluation => "\n\n",
        });
    }
    system.push_labelled(&instruction.text, &instruction.parts);
    if !history_first && !older.is_empty() {
        system.push("\n");
        push_history(&mut system, older, format);
    }
    system.labelled(part::SYSTEM)
}

fn push_history(system: &mut Message, older: &[Turn], format: HistoryFormat) {
    let mut block = Message::system(match format {
        HistoryFormat::Prompting => "conversation history:\n",
        HistoryFormat::Evaluation => "conversation history:\n\n",
    });
    for (index, turn) in older.iter().enumerate() {
        block.push(match (format, turn.role) {
            (HistoryFormat::Prompting, Role::Assistant) => "assistant: ",
            (HistoryFormat::Prompting, _) => "user: ",
            (HistoryFormat::Evaluation, Role::Assistant) => "Assistant: ",
            (HistoryFormat::Evaluation, _) => "User: ",
        });
        block.push_part(part::turn(index + 1), turn.text.trim());
        block.push("\n");
    }
    let block = block.labelled(part::HISTORY);
    system.push_labelled(&block.content, &block.parts);
}

fn chat_message(layout: Layout, number: usize, turn: &Turn) -> Message {
    let stripped = turn.text.trim();
    if layout.recent_turns().is_some() {
        return Message::new(turn.role, stripped).labelled(part::turn(number));
    }
    let (leading, trailing) = turn.text.split_at(turn.text.len() - turn.text.trim_start().len());
    let mut message = Message::new(turn.role, leading);
    message.push_part(part::turn(number), stripped);
    message.push(&trailing[stripped.len()..]);
    message
}

fn put_in_first_user(system: Message, chat: Vec<Message>) -> Vec<Message> {
    let mut chat = chat.into_iter();
    let mut first = Message::new(Role::User, system.content);
    first.parts = system.parts;
    if let Some(user) = chat.next() {
        first.push("\n\n");
        first.push_labelled(&user.content, &user.parts);
    }
    std::iter::once(first).chain(chat).collect()
}
