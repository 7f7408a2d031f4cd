//! Files for other programs: the published one-JSON-per-example format, and chat lines that `datasets` loads.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use llm_runtime::{Role, input_file};
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::atomic_file::{write_atomically, write_json_line};
use crate::error::Error;
use crate::layout::Layout;
use crate::postprocess::{compat_response, tidy_response};
use crate::record::ContinuationRecord;

/// Texts by strategy label, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextsByStrategy(pub Vec<(String, String)>);

/// One example with its continuations, as the published files have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceConversation {
    /// The history's texts, without an opening supporter turn, not stripped.
    pub dialog: Vec<String>,
    /// The seeker's situation.
    pub situation: String,
    /// The history's speakers, `seeker` or `supporter`.
    pub speakers: Vec<String>,
    /// Response per strategy; may be empty.
    pub responses: TextsByStrategy,
    /// Rendered prompt per strategy, control tokens as text; the same labels as `responses`.
    pub prompts: TextsByStrategy,
}

impl ReferenceConversation {
    /// Reads a published file.
    ///
    /// # Errors
    /// The file can't be read or is not of this form.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = input_file::read_text(path).map_err(Error::io(path))?;
        serde_json::from_str(&text).map_err(|error| Error::Format {
            path: path.to_owned(),
            problem: format!("not a conversation with continuations: {error}"),
        })
    }

    /// The conversation with its responses as the published post-processing leaves them.
    pub fn compat(mut self) -> Self {
        for (strategy, response) in &mut self.responses.0 {
            *response = compat_response(response, strategy);
        }
        self
    }
}

/// Which text an export gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseText {
    /// The raw text, stripped.
    #[default]
    Raw,
    /// As [`tidy_response`] makes it.
    Tidied,
    /// As [`compat_response`] makes it.
    Compat,
}

impl ResponseText {
    fn of(self, record: &ContinuationRecord) -> String {
        match self {
            Self::Raw => record.text.trim().to_owned(),
            Self::Tidied => tidy_response(&record.text, &record.strategy),
            Self::Compat => compat_response(&record.text, &record.strategy),
        }
    }
}

/// All continuations of one example in one layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedExample {
    /// The layout.
    pub layout: Layout,
    /// The example's id.
    pub example: String,
    /// Its texts.
    pub conversation: ReferenceConversation,
}

/// What an export wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ExportSummary {
    /// Files, one per layout and example.
    pub conversations: usize,
    /// Continuations in them.
    pub continuations: usize,
}

/// Gathers records by layout and example, in the order of their first appearance; the strategies of each stand in the
/// order of `strategies` (others after them, by appearance). Holds the texts of all records in memory.
///
/// # Errors
/// A record can't be read, or two records have the same layout, example and strategy.
pub fn gather_by_example(
    records: impl IntoIterator<Item = Result<ContinuationRecord, Error>>,
    strategies: &[String],
    text: ResponseText,
) -> Result<Vec<ExportedExample>, Error> {
    let mut numbers: HashMap<(Layout, String), usize> = HashMap::new();
    let mut gathered: Vec<ExportedExample> = Vec::new();
    for record in records {
        let record = record?;
        let response = text.of(&record);
        let number = *numbers.entry((record.layout, record.example.clone())).or_insert(gathered.len());
        if number == gathered.len() {
            gathered.push(ExportedExample {
                layout: record.layout,
                example: record.example.clone(),
                conversation: ReferenceConversation {
                    dialog: record.dialog,
                    situation: record.situation,
                    speakers: record.speakers,
                    responses: TextsByStrategy::default(),
                    prompts: TextsByStrategy::default(),
                },
            });
        }
        let conversation = &mut gathered[number].conversation;
        if conversation.responses.0.iter().any(|(strategy, _)| *strategy == record.strategy) {
            return Err(Error::Dialogue {
                example: record.example,
                problem: format!(
                    "two records for strategy {} in layout {}; export the records of one run",
                    record.strategy, record.layout
                ),
            });
        }
        conversation.responses.0.push((record.strategy.clone(), response));
        conversation.prompts.0.push((record.strategy, record.prompt));
    }
    let rank = |label: &str| strategies.iter().position(|known| known == label).unwrap_or(usize::MAX);
    for example in &mut gathered {
        example.conversation.responses.0.sort_by_key(|(label, _)| rank(label));
        example.conversation.prompts.0.sort_by_key(|(label, _)| rank(label));
    }
    Ok(gathered)
}

/// Writes `FOLDER/LAYOUT/EXAMPLE.json` for each layout and example, the published format; each file appears whole or not
/// at all. `strategies` is the order of the labels in the files.
///
/// # Errors
/// As for [`gather_by_example`]; a file can't be written, or an example's id can't be a file name.
pub fn export_reference(
    records: impl IntoIterator<Item = Result<ContinuationRecord, Error>>,
    strategies: &[String],
    folder: &Path,
    text: ResponseText,
) -> Result<ExportSummary, Error> {
    let gathered = gather_by_example(records, strategies, text)?;
    for example in &gathered {
        check_file_name(&example.example)?;
    }
    let mut summary = ExportSummary::default();
    for ExportedExample { layout, example, conversation } in gathered {
        let layout_folder = folder.join(layout.name());
        fs::create_dir_all(&layout_folder).map_err(Error::io(&layout_folder))?;
        let path = layout_folder.join(format!("{example}.json"));
        write_atomically(&path, |writer| write_json_line(writer, &path, &conversation))?;
        summary.conversations += 1;
        summary.continuations += conversation.responses.0.len();
    }
    Ok(summary)
}

/// Writes conversations as one indented JSON array, the form of the published post-processing's output.
///
/// # Errors
/// The file can't be written.
pub fn write_conversation_array(path: &Path, conversations: &[ReferenceConversation]) -> Result<(), Error> {
    write_atomically(path, |writer| {
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut text = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, indent);
        conversations.serialize(&mut serializer).map_err(Error::json("the conversations"))?;
        text.push(b'\n');
        writer.write_all(&text).map_err(Error::io(path))
    })
}

/// Writes one chat per record as JSON Lines, with the same columns in every line, so that
/// `datasets.load_dataset("json", data_files=…)` reads it: the prompt's messages and the response as the last one.
///
/// # Errors
/// A record can't be read, its messages can't be built again, or the file can't be written.
pub fn export_chats(
    records: impl IntoIterator<Item = Result<ContinuationRecord, Error>>,
    path: &Path,
    text: ResponseText,
) -> Result<ExportSummary, Error> {
    let mut summary = ExportSummary::default();
    let mut examples = std::collections::HashSet::new();
    write_atomically(path, |writer| {
        for record in records {
            let record = record?;
            write_json_line(writer, path, &Chat::of(&record, text)?)?;
            examples.insert((record.layout, record.example));
            summary.continuations += 1;
        }
        Ok(())
    })?;
    summary.conversations = examples.len();
    Ok(summary)
}

/// Writes values as JSON Lines; the file appears whole or not at all.
///
/// # Errors
/// A value can't be written as JSON, or the file can't be written.
pub fn write_json_lines(path: &Path, values: &[impl Serialize]) -> Result<(), Error> {
    write_atomically(path, |writer| values.iter().try_for_each(|value| write_json_line(writer, path, value)))
}

#[derive(Serialize)]
struct Chat<'a> {
    id: &'a str,
    example: &'a str,
    conversation: &'a str,
    turn: usize,
    strategy: &'a str,
    layout: &'a str,
    model: &'a str,
    messages: Vec<ChatLine>,
}

#[derive(Serialize)]
struct ChatLine {
    role: &'static str,
    content: String,
}

impl<'a> Chat<'a> {
    fn of(record: &'a ContinuationRecord, text: ResponseText) -> Result<Self, Error> {
        let prompt = record.messages()?.into_iter();
        let reply = ChatLine { role: Role::Assistant.as_str(), content: text.of(record) };
        let line = |message: llm_runtime::Message| ChatLine { role: message.role.as_str(), content: message.content };
        Ok(Self {
            id: &record.id,
            example: &record.example,
            conversation: &record.conversation,
            turn: record.turn,
            strategy: &record.strategy,
            layout: record.layout.name(),
            model: &record.model.name,
            messages: prompt.map(line).chain([reply]).collect(),
        })
    }
}

fn check_file_name(id: &str) -> Result<(), Error> {
    let is_plain = !id.is_empty() && !id.starts_with('.') && !id.contains(['/', '\\', ':', '\0']);
    if is_plain {
        return Ok(());
    }
    Err(Error::Dialogue { example: id.to_owned(), problem: "the id can't be a file name; rename the example".into() })
}

impl Serialize for TextsByStrategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (strategy, text) in &self.0 {
            map.serialize_entry(strategy, text)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for TextsByStrategy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = TextsByStrategy;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of strategy labels and texts")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextsByStrategy, A::Error> {
                let mut texts = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    texts.push(entry);
                }
                Ok(TextsByStrategy(texts))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
