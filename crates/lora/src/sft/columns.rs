//! What the fields of a record are called in a file.

use std::str::FromStr;

use super::error::SftError;

/// The shapes a record may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// `instruction`, `input`, `output`, and optionally `system` and `history` (an array of `[user, assistant]`).
    Instruction,
    /// `messages`: an array of `{"role", "content"}`.
    Messages,
    /// `conversations`: an array of `{"from", "value"}` (ShareGPT).
    Conversations,
    /// `prompt` and `completion`: two texts, or two arrays of messages.
    PromptCompletion,
}

impl RecordKind {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Conversations, Self::PromptCompletion, Self::Instruction];

    /// `instruction`, `messages`, `conversations` or `prompt-completion`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instruction => "instruction",
            Self::Messages => "messages",
            Self::Conversations => "conversations",
            Self::PromptCompletion => "prompt-completion",
        }
    }

    /// The fields that only this kind has.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Instruction => &["instruction", "output", "input", "history"],
            Self::Messages => &["messages"],
            Self::Conversations => &["conversations"],
            Self::PromptCompletion => &["prompt", "completion"],
        }
    }

    /// The fields without which a record is surely not of this kind.
    pub(super) fn required(self) -> &'static [&'static str] {
        match self {
            Self::Instruction => &["instruction", "output"],
            other => other.fields(),
        }
    }
}

impl FromStr for RecordKind {
    type Err = SftError;

    fn from_str(name: &str) -> Result<Self, SftError> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| SftError::Setting {
            setting: "record kind",
            problem: format!("unknown kind `{name}` (known: {})", Self::ALL.map(Self::name).join(", ")),
        })
    }
}

/// Names that a file uses in place of the usual ones, as in `instruction=question,output=answer`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnMap {
    /// Usual name and the file's name.
    renamed: Vec<(&'static str, String)>,
}

impl ColumnMap {
    /// The file's name of a field.
    pub fn name<'a>(&'a self, field: &'a str) -> &'a str {
        self.renamed.iter().find(|(usual, _)| *usual == field).map_or(field, |(_, name)| name)
    }

    /// The kind that the renamed fields belong to; `None` if they say nothing about it.
    pub fn kind(&self) -> Option<RecordKind> {
        self.renamed.iter().find_map(|(field, _)| kind_of(field))
    }
}

impl FromStr for ColumnMap {
    type Err = SftError;

    fn from_str(text: &str) -> Result<Self, SftError> {
        let mut columns = Self::default();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (field, name) = pair
                .split_once('=')
                .map(|(field, name)| (field.trim(), name.trim()))
                .filter(|(_, name)| !name.is_empty())
                .ok_or_else(|| {
                    refused(format!("`{pair}` is not FIELD=NAME; write for example instruction=question,output=answer"))
                })?;
            columns.rename(field, name)?;
        }
        Ok(columns)
    }
}

impl ColumnMap {
    fn rename(&mut self, field: &str, name: &str) -> Result<(), SftError> {
        let known: Vec<&'static str> =
            RecordKind::ALL.into_iter().flat_map(RecordKind::fields).copied().chain(["system"]).collect();
        let Some(field) = known.iter().copied().find(|usual| *usual == field) else {
            return Err(refused(format!("unknown field `{field}` (known: {})", known.join(", "))));
        };
        if self.renamed.iter().any(|(usual, _)| *usual == field) {
            return Err(refused(format!("`{field}` is renamed twice: keep one of them")));
        }
        if let (Some(before), Some(now)) = (self.kind(), kind_of(field))
            && before != now
        {
            let (before, now) = (before.name(), now.name());
            return Err(refused(format!(
                "`{field}` belongs to {now} records, the fields before it to {before} records"
            )));
        }
        self.renamed.push((field, name.to_owned()));
        Ok(())
    }
}

fn kind_of(field: &str) -> Option<RecordKind> {
    RecordKind::ALL.into_iter().find(|kind| kind.fields().contains(&field))
}

fn refused(problem: String) -> SftError {
    SftError::Setting { setting: "columns", problem }
}
