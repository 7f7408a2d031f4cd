//! Answers to chats: the last answer of each is left out, and a model writes it anew.
//!
//! What the evaluation of a tuned model needs: the chats it was held out from, in any layout, with the reference beside each answer.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use llm_runtime::{
    Event, GenerationOptions, Message, Prompt, Request, Role, RunStatistics, TextModel, input_file, is_torn_row,
};
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

/// Fields of an answer, behind those of its chat.
const ANSWER_FIELDS: [&str; 5] = ["row", "layout", "model", "generation", "model_response"];

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
/// The file can't be read, holds no chat, or a line is no such chat; the error names the line.
pub fn read_chat_rows(path: &Path) -> Result<Vec<ChatRow>, Error> {
    let text = input_file::read_text(path).map_err(Error::io(path))?;
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row = chat_row(number, line).map_err(|problem| Error::Dialogue {
            example: format!("{}, line {}", path.display(), number + 1),
            problem,
        })?;
        rows.push(row);
    }
    if rows.is_empty() {
        let problem = "no chat in this file: each line is to be an object with `messages`".into();
        return Err(Error::Dialogue { example: path.display().to_string(), problem });
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
    let done = answered(out, rows)?;
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
    let values = [
        json!(row.number),
        json!(options.layout.name()),
        json!(model),
        json!(options.generation_of(row)),
        json!(answer.trim()),
    ];
    fields.extend(ANSWER_FIELDS.map(str::to_owned).into_iter().zip(values));
    let mut line = serde_json::to_vec(&fields)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Numbers of the rows that are answered; a torn last line is cut off, if it is one of these answers'.
fn answered(out: &Path, rows: &[ChatRow]) -> Result<HashSet<usize>, Error> {
    let text = match input_file::read(out) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(Error::io(out)(error)),
    };
    let foreign = |number: usize| Error::Dialogue {
        example: format!("{}, line {}", out.display(), number + 1),
        problem: "this is no file of answers: name another file to write to".into(),
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = text[..whole].split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let number_of = |(number, line): (usize, &[u8])| {
        let row: Value = serde_json::from_slice(line).unwrap_or_default();
        row["row"].as_u64().map(|row| row as usize).ok_or_else(|| foreign(number))
    };
    let done = lines.map(number_of).collect::<Result<HashSet<usize>, Error>>()?;
    let (torn, before) = (&text[whole..], text[..whole].iter().filter(|byte| **byte == b'\n').count());
    if !torn.is_empty() && !rows.iter().any(|row| is_torn_row(torn, &beginning(row))) {
        return Err(foreign(before));
    }
    if !torn.is_empty() {
        let file = OpenOptions::new().write(true).open(out).map_err(Error::io(out))?;
        file.set_len(whole as u64).map_err(Error::io(out))?;
    }
    Ok(done)
}

/// How the line of an answer to this chat begins, whatever model answers in whatever way.
fn beginning(row: &ChatRow) -> String {
    let own = row.fields.iter().take_while(|(name, _)| !ANSWER_FIELDS.contains(&name.as_str()));
    let own: Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let line = Value::Object(own).to_string();
    line.strip_suffix('}').unwrap_or(&line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_torn_answers_to_these_chats_are_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (chats, out) = (folder.path().join("chats.jsonl"), folder.path().join("out.jsonl"));
        let chat = r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}],"id":"a"}"#;
        std::fs::write(&chats, chat).unwrap();
        let rows = read_chat_rows(&chats).unwrap();
        let answer = chat.strip_suffix('}').unwrap().to_owned() + r#","row":0,"layout":"standard","#;
        for torn in [&answer[..1], &answer[..40], &answer] {
            std::fs::write(&out, format!("{{\"row\":0}}\n{torn}")).unwrap();
            assert_eq!(answered(&out, &rows).unwrap(), HashSet::from([0]));
            assert_eq!(std::fs::read_to_string(&out).unwrap(), "{\"row\":0}\n");
        }
        for foreign in ["a note of mine", "{\"messages\":[]", "{\"row\":0}\nnote", "one\ntwo\n"] {
            std::fs::write(&out, foreign).unwrap();
            assert!(answered(&out, &rows).unwrap_err().to_string().contains("no file of answers"), "{foreign}");
            assert_eq!(std::fs::read_to_string(&out).unwrap(), foreign, "it stays as it is");
        }
    }
}
