//! A record's fields as a pair.

use llm_runtime::{Message, Role};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::columns::PairColumns;
use super::problem::{BadRecord, Problem};
use super::records::kind;
use crate::{PairText, PreferencePair};

/// The pair of a record that stands in this place of its file.
pub(super) fn pair(
    mut fields: Map<String, Value>,
    columns: &PairColumns,
    place: usize,
) -> Result<PreferencePair, Problem> {
    check_presence(&fields, columns)?;
    let id = name(&mut fields, columns.name("id"))?.unwrap_or_else(|| place.to_string());
    let group = name(&mut fields, columns.name("group"))?;
    let prompt = text_or_turns(&mut fields, columns.name("prompt"))?;
    let chosen = text_or_turns(&mut fields, columns.name("chosen"))?;
    let rejected = text_or_turns(&mut fields, columns.name("rejected"))?;
    let beginning = match prompt {
        Some(PairText::Chat(_)) => Vec::new(),
        _ => common_beginning(chosen.as_ref(), rejected.as_ref()),
    };
    let turns = beginning.len();
    let chosen = reply_behind(columns.name("chosen"), chosen, turns)?;
    let rejected = reply_behind(columns.name("rejected"), rejected, turns)?;
    // Files with whole conversations often repeat a turn of them as the prompt.
    let prompt = if turns > 0 { Some(PairText::Chat(beginning)) } else { prompt };
    let no_beginning = || {
        let problem = format!("there is no `{}`, and the conversations begin differently", columns.name("prompt"));
        Problem::new(BadRecord::MissingField, problem)
    };
    let prompt = prompt.ok_or_else(no_beginning)?;
    let group = group.unwrap_or_else(|| in_one_string(&prompt));
    let pair = PreferencePair { id, group, prompt, chosen, rejected, other: fields };
    check_texts(&pair, columns)?;
    Ok(pair)
}

/// The prompt may be missing where replies are conversations.
fn check_presence(fields: &Map<String, Value>, columns: &PairColumns) -> Result<(), Problem> {
    let has_turns = fields.get(columns.name("chosen")).is_some_and(Value::is_array);
    let needed = ["prompt", "chosen", "rejected"].into_iter().filter(|field| *field != "prompt" || !has_turns);
    for field in needed {
        let column = columns.name(field);
        if !fields.contains_key(column) {
            let present: Vec<String> = fields.keys().map(|name| format!("`{name}`")).collect();
            let present = if present.is_empty() { "nothing".to_owned() } else { present.join(", ") };
            let problem =
                format!("`{column}` is missing, there is {present}; if it has another name, give {field}=NAME");
            return Err(Problem::new(BadRecord::MissingField, problem));
        }
    }
    Ok(())
}

/// A field that names something: a string or a number; a blank one counts as absent.
fn name(fields: &mut Map<String, Value>, column: &str) -> Result<Option<String>, Problem> {
    match fields.shift_remove(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name).filter(|name| !name.trim().is_empty())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(wrong_type(column, "a string or a number", &other)),
    }
}

fn text_or_turns(fields: &mut Map<String, Value>, column: &str) -> Result<Option<PairText>, Problem> {
    match fields.shift_remove(column) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(PairText::Plain(text))),
        Some(Value::Array(turns)) => turns_of(column, turns).map(PairText::Chat).map(Some),
        Some(other) => Err(wrong_type(column, "a string or an array of turns", &other)),
    }
}

/// A turn in a file; whatever else it says is of no use here.
#[derive(Deserialize)]
struct Turn {
    role: Role,
    content: String,
}

fn turns_of(column: &str, turns: Vec<Value>) -> Result<Vec<Message>, Problem> {
    let turn = |(turn, number): (Value, usize)| match serde_json::from_value(turn) {
        Ok(Turn { role, content }) => Ok(Message::new(role, content)),
        Err(error) => {
            let problem = format!(r#"turn {number} of `{column}` is not {{"role": .., "content": ".."}}: {error}"#);
            Err(Problem::new(BadRecord::WrongType, problem))
        }
    };
    turns.into_iter().zip(1..).map(turn).collect()
}

fn wrong_type(column: &str, expected: &str, found: &Value) -> Problem {
    Problem::new(BadRecord::WrongType, format!("`{column}` is {}; {expected} was expected", kind(found)))
}

/// The turns with which two conversations begin.
fn common_beginning(chosen: Option<&PairText>, rejected: Option<&PairText>) -> Vec<Message> {
    let (Some(PairText::Chat(chosen)), Some(PairText::Chat(rejected))) = (chosen, rejected) else { return Vec::new() };
    let common = chosen.iter().zip(rejected).take_while(|(left, right)| left == right).count();
    // Where both are the same, or one is the other's beginning, the last turn is still a reply.
    let common = common.min(chosen.len().saturating_sub(1)).min(rejected.len().saturating_sub(1));
    chosen.iter().take(common).cloned().collect()
}

/// The reply behind the first turns of a conversation.
fn reply_behind(column: &str, reply: Option<PairText>, prompt_turns: usize) -> Result<String, Problem> {
    let turns = match reply {
        Some(PairText::Plain(text)) => return Ok(text),
        Some(PairText::Chat(turns)) => turns,
        None => Vec::new(),
    };
    let mut behind = turns.into_iter().skip(prompt_turns);
    match (behind.next(), behind.next()) {
        (Some(reply), None) if reply.role == Role::Assistant => Ok(reply.content),
        (None, _) => Err(Problem::new(BadRecord::Empty, format!("`{column}` holds no reply"))),
        _ => {
            let problem = format!("`{column}` must hold one turn of the assistant behind the prompt");
            Err(Problem::new(BadRecord::WrongType, problem))
        }
    }
}

fn in_one_string(prompt: &PairText) -> String {
    match prompt {
        PairText::Plain(text) => text.clone(),
        PairText::Chat(turns) => {
            let turns = turns.iter().map(|turn| format!("{}: {}", turn.role.as_str(), turn.content));
            turns.collect::<Vec<_>>().join("\n")
        }
    }
}

fn check_texts(pair: &PreferencePair, columns: &PairColumns) -> Result<(), Problem> {
    let is_blank = |text: &str| text.trim().is_empty();
    let prompt_is_blank = match &pair.prompt {
        PairText::Plain(text) => is_blank(text),
        PairText::Chat(turns) => turns.iter().all(|turn| is_blank(&turn.content)),
    };
    let fields =
        [("prompt", prompt_is_blank), ("chosen", is_blank(&pair.chosen)), ("rejected", is_blank(&pair.rejected))];
    if let Some((field, _)) = fields.into_iter().find(|(_, blank)| *blank) {
        return Err(Problem::new(BadRecord::Empty, format!("`{}` is empty", columns.name(field))));
    }
    if pair.chosen.trim() == pair.rejected.trim() {
        let (chosen, rejected) = (columns.name("chosen"), columns.name("rejected"));
        let text = format!("`{chosen}` and `{rejected}` are the same: there is nothing to prefer");
        return Err(Problem::new(BadRecord::Identical, text));
    }
    Ok(())
}
