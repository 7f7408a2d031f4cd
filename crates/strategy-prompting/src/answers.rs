//! Answers to chats: the last answer of each is left out, and a model writes it anew.
//!
//! What the evaluation of a tuned model needs: the chats it was held out from, in any layout, with the reference beside each answer.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;

use llm_runtime::{Event, GenerationOptions, Message, Prompt, Request, Role, RunStatistics, TextModel};
use serde_json::{Map, Value, json};

use crate::dialogue::{Dialogue, Turn};
use crate::digest::digest;
use crate::error::Error;
use crate::instruction::LabelledText;
use crate::layout::{HistoryFormat, Layout, SystemRole, build};

/// How chats are answered.
#[derive(Debug, Clone)]
pub struct AnswerOptions {
    /// How each chat is laid out.
    pub layout: Layout,
    /// How text is generated; each chat's seed is this seed plus its number.
    pub generation: GenerationOptions,
}

impl AnswerOptions {
    /// How a chat is answered, with its own seed.
    fn generation_of(&self, row: &ChatRow) -> GenerationOptions {
        let seed = self.generation.seed.wrapping_add(row.number as u64);
        GenerationOptions { seed, ..self.generation.clone() }
    }
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AnswerSummary {
    /// Answers in the file now.
    pub answered: usize,
    /// Of these, from before.
    pub already_answered: usize,
    /// Chats that could not be answered.
    pub failed: usize,
    /// Whether the sink ended the run.
    pub stopped: bool,
    /// The model's account.
    pub statistics: RunStatistics,
}

/// A chat to be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRow {
    /// The row as it was, `messages` and all.
    pub fields: Map<String, Value>,
    /// Its number in the file, from 0.
    pub number: usize,
    system: Option<String>,
    dialogue: Dialogue,
}

/// Reads a file of chats: JSON Lines with `messages`, each ending with the assistant's reference answer.
///
/// # Errors
/// The file can't be read, or a line is no such chat; the error names the line.
pub fn read_chat_rows(path: &Path) -> Result<Vec<ChatRow>, Error> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut rows = Vec::new();
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line.map_err(Error::io(path))?;
        if line.trim().is_empty() {
            continue;
        }
        let row = chat_row(number, &line).map_err(|problem| Error::Dialogue {
            example: format!("{}, line {}", path.display(), number + 1),
            problem,
        })?;
        rows.push(row);
    }
    Ok(rows)
}

fn chat_row(number: usize, line: &str) -> Result<ChatRow, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let messages = fields.get("messages").and_then(Value::as_array).ok_or("the array `messages` is missing")?;
    let mut turns = Vec::new();
    let mut system = None;
    for message in messages {
        let content = message["content"].as_str().ok_or("a message has no text `content`")?.to_owned();
        match message["role"].as_str() {
            Some("system") if turns.is_empty() && system.is_none() => system = Some(content),
            Some("user") => turns.push(Turn { role: Role::User, text: content }),
            Some("assistant") => turns.push(Turn { role: Role::Assistant, text: content }),
            role => return Err(format!("a message has the role {role:?}: expected system (first), user or assistant")),
        }
    }
    if turns.pop().is_none_or(|last| last.role != Role::Assistant) {
        return Err("the last message must be the assistant's reference answer".into());
    }
    let dialogue = Dialogue::new(&format!("line {}", number + 1), turns).map_err(|error| error.to_string())?;
    Ok(ChatRow { fields, number, system, dialogue })
}

impl ChatRow {
    /// The system message; empty where there is none.
    pub fn instruction(&self) -> &str {
        self.system.as_deref().unwrap_or_default()
    }

    /// The dialogue without its last answer.
    pub fn history(&self) -> Vec<Message> {
        self.dialogue.turns().iter().map(|turn| Message::new(turn.role, turn.text.clone())).collect()
    }

    /// What a model answered to this chat, in a row that [`answer_chats`] wrote.
    pub fn answer(&self) -> Option<&str> {
        self.fields.get("model_response").and_then(Value::as_str)
    }

    /// The number, from 0, of the chat that such a row answers; else the row's own.
    pub fn answered_number(&self) -> usize {
        let number = self.fields.get("row").and_then(Value::as_u64).and_then(|row| usize::try_from(row).ok());
        number.unwrap_or(self.number)
    }

    /// Names an answer by chat, history and text, so that answers of different files are not taken for each other.
    pub fn answer_id(&self) -> String {
        let turns = self.dialogue.turns().iter().map(|turn| turn.text.as_bytes());
        let fields: Vec<&[u8]> = std::iter::once(self.answer().unwrap_or_default().as_bytes()).chain(turns).collect();
        format!("chat-{}-{}", self.answered_number(), llm_runtime::hex(&digest("chat-answer", &fields)[..8]))
    }

    /// The prompt's messages in a layout.
    pub fn messages(&self, layout: Layout, system_role: SystemRole) -> Vec<Message> {
        let instruction = LabelledText { text: self.system.clone().unwrap_or_default(), parts: Vec::new() };
        build(layout, &self.dialogue, &instruction, HistoryFormat::Prompting, system_role)
    }
}

/// Answers chats and appends each row with `model_response` to `out` as soon as it is there. Rows that `out` holds already are not
/// answered again, so an interrupted call is gone on with by calling again.
///
/// # Errors
/// The model fails, or the file can't be read or written.
pub fn answer_chats(
    rows: &[ChatRow],
    model: &mut dyn TextModel,
    options: &AnswerOptions,
    out: &Path,
    sink: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<AnswerSummary, Error> {
    let done = answered(out)?;
    let system_role = SystemRole::for_template(model.template());
    let mut summary = AnswerSummary { answered: done.len(), already_answered: done.len(), ..AnswerSummary::default() };
    let mut file = OpenOptions::new().create(true).append(true).open(out).map_err(Error::io(out))?;
    let name = model.identity().name;
    let mut failure = None;
    let mut requests = rows.iter().enumerate().filter(|(_, row)| !done.contains(&row.number)).map(|(key, row)| {
        let prompt = Prompt::Chat(row.messages(options.layout, system_role));
        Request::new(key as u64, prompt, options.generation_of(row))
    });
    let statistics = model.generate(&mut requests, &mut |event| match event {
        Event::Finished(completion) => {
            let row = &rows[completion.key as usize];
            if let Err(error) = append(&mut file, row, &completion.text, options, &name) {
                failure = Some(Error::io(out)(error));
                return ControlFlow::Break(());
            }
            summary.answered += 1;
            let flow = sink(summary.answered);
            summary.stopped |= flow.is_break();
            flow
        }
        Event::Failed { key, error } => {
            tracing::warn!("row {}: {error}", rows[key as usize].number + 1);
            summary.failed += 1;
            ControlFlow::Continue(())
        }
        // Somebody may want to end the run while a long answer is waited for.
        Event::Text { .. } => {
            let flow = sink(summary.answered);
            summary.stopped |= flow.is_break();
            flow
        }
    })?;
    match failure {
        Some(error) => Err(error),
        None => Ok(AnswerSummary { statistics, ..summary }),
    }
}

fn append(file: &mut File, row: &ChatRow, answer: &str, options: &AnswerOptions, model: &str) -> std::io::Result<()> {
    let mut fields = row.fields.clone();
    fields.insert("row".into(), json!(row.number));
    fields.insert("layout".into(), json!(options.layout.name()));
    fields.insert("model".into(), json!(model));
    fields.insert("generation".into(), json!(options.generation_of(row)));
    fields.insert("model_response".into(), json!(answer.trim()));
    let mut line = serde_json::to_vec(&fields)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Numbers of the rows that are answered; a torn last line is cut off.
fn answered(out: &Path) -> Result<HashSet<usize>, Error> {
    let text = match std::fs::read(out) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(Error::io(out)(error)),
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let file = OpenOptions::new().write(true).open(out).map_err(Error::io(out))?;
        file.set_len(whole as u64).map_err(Error::io(out))?;
    }
    let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(number, line)| {
            let row: Value = serde_json::from_slice(line).unwrap_or_default();
            row["row"].as_u64().map(|row| row as usize).ok_or_else(|| Error::Dialogue {
                example: format!("{}, line {}", out.display(), number + 1),
                problem: "this is no file of answers: name another file to write to".into(),
            })
        })
        .collect()
}
