//! From a JSON object to what the record says: one function per kind of record. Errors are texts that begin with the field.

use llm_runtime::{Message, Role};
use serde_json::{Map, Value};

use super::columns::{ColumnMap, RecordKind};
use super::record::{SftContent, SftRecord};

/// Reads an object as a record of the given kind, or of the kind that its fields tell.
pub(super) fn content(row: &Value, kind: Option<RecordKind>, columns: &ColumnMap) -> Result<SftContent, String> {
    let Value::Object(values) = row else {
        return Err(format!("expected a JSON object, found {}", description(row)));
    };
    let fields = Fields { values, columns };
    let content = match kind.or_else(|| columns.kind()).or_else(|| fields.kind()) {
        Some(RecordKind::Messages) => fields.chat("messages", &ROLE_CONTENT)?,
        Some(RecordKind::Conversations) => fields.chat("conversations", &FROM_VALUE)?,
        Some(RecordKind::PromptCompletion) => fields.prompt_completion()?,
        Some(RecordKind::Instruction) => fields.instruction()?,
        None => return Err(fields.unknown_kind()),
    };
    match content.problem() {
        Some(problem) => Err(problem),
        None => Ok(content),
    }
}

/// The names inside a message.
struct MessageFields {
    role: &'static str,
    content: &'static str,
}

const ROLE_CONTENT: MessageFields = MessageFields { role: "role", content: "content" };
const FROM_VALUE: MessageFields = MessageFields { role: "from", content: "value" };

struct Fields<'a> {
    values: &'a Map<String, Value>,
    columns: &'a ColumnMap,
}

impl<'a> Fields<'a> {
    /// A field's value; `null` counts as absent, as data sets with optional columns write it.
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.values.get(self.columns.name(field)).filter(|value| !value.is_null())
    }

    /// The first kind whose required fields are all here, else the first of which one is here.
    fn kind(&self) -> Option<RecordKind> {
        let here = |field: &&str| self.get(field).is_some();
        let whole = RecordKind::ALL.into_iter().find(|kind| kind.required().iter().all(&here));
        whole.or_else(|| RecordKind::ALL.into_iter().find(|kind| kind.required().iter().any(here)))
    }

    fn unknown_kind(&self) -> String {
        let found: Vec<&str> = self.values.keys().map(String::as_str).take(12).collect();
        format!(
            "no known fields; expected `messages`, `conversations`, `prompt` and `completion`, or `instruction` and `output`, found: {}; name the columns, as in instruction=question,output=answer",
            if found.is_empty() { "none".to_owned() } else { found.join(", ") }
        )
    }

    fn required(&self, field: &str, expected: &str) -> Result<&'a Value, String> {
        self.get(field).ok_or_else(|| {
            format!("`{}` is missing: expected {expected}; add it, or name its column", self.columns.name(field))
        })
    }

    /// A text field; absent and `null` are the empty text.
    fn optional_text(&self, field: &str) -> Result<&'a str, String> {
        self.get(field).map_or(Ok(""), |value| text(self.columns.name(field), value))
    }

    fn system(&self) -> Result<Option<Message>, String> {
        let system = self.optional_text("system")?;
        Ok((!system.trim().is_empty()).then(|| Message::system(system)))
    }

    fn instruction(&self) -> Result<SftContent, String> {
        let output = text(self.columns.name("output"), self.required("output", "the answer")?)?;
        let mut messages: Vec<Message> = self.system()?.into_iter().collect();
        messages.extend(self.history()?);
        messages.push(self.question()?);
        messages.push(Message::assistant(output));
        Ok(SftContent::Chat(messages))
    }

    /// Instruction and input in one message, a line break between them.
    fn question(&self) -> Result<Message, String> {
        let instruction = self.optional_text("instruction")?;
        let input = self.optional_text("input")?;
        let mut question = Message::user("");
        if !instruction.trim().is_empty() {
            question.push_part(SftRecord::INSTRUCTION, instruction);
        }
        if !input.trim().is_empty() {
            if !question.content.is_empty() {
                question.push("\n");
            }
            question.push_part(SftRecord::INPUT, input);
        }
        if question.content.is_empty() {
            let (instruction, input) = (self.columns.name("instruction"), self.columns.name("input"));
            return Err(format!("`{instruction}` and `{input}` are both blank: expected a question in one of them"));
        }
        Ok(question)
    }

    fn history(&self) -> Result<Vec<Message>, String> {
        let Some(value) = self.get("history") else { return Ok(Vec::new()) };
        let name = self.columns.name("history");
        let turns = array(name, value, "pairs [user, assistant]")?;
        let mut messages = Vec::with_capacity(turns.len() * 2);
        for (number, turn) in turns.iter().enumerate() {
            let place = format!("{name}[{number}]");
            let [user, assistant] = array(&place, turn, "two texts [user, assistant]")?.as_slice() else {
                return Err(format!("`{place}`: expected exactly two texts [user, assistant]"));
            };
            messages.push(Message::user(text(&format!("{place}[0]"), user)?));
            messages.push(Message::assistant(text(&format!("{place}[1]"), assistant)?));
        }
        Ok(messages)
    }

    /// Messages, with the field `system` before them where they begin without one.
    fn chat(&self, field: &str, names: &MessageFields) -> Result<SftContent, String> {
        let mut chat = messages(self.columns.name(field), self.required(field, "an array of messages")?, names)?;
        if chat.first().is_some_and(|first| first.role != Role::System) {
            chat.splice(0..0, self.system()?);
        }
        Ok(SftContent::Chat(chat))
    }

    fn prompt_completion(&self) -> Result<SftContent, String> {
        const EXPECTED: &str = "a text or an array of messages";
        let (prompt_name, completion_name) = (self.columns.name("prompt"), self.columns.name("completion"));
        let prompt = self.required("prompt", EXPECTED)?;
        let completion = self.required("completion", EXPECTED)?;
        match (prompt, completion) {
            (Value::Array(_), Value::Array(_)) => {
                let mut chat = messages(prompt_name, prompt, &ROLE_CONTENT)?;
                chat.extend(messages(completion_name, completion, &ROLE_CONTENT)?);
                Ok(SftContent::Chat(chat))
            }
            (Value::String(prompt), Value::String(completion)) => {
                Ok(SftContent::Text { prompt: prompt.clone(), completion: completion.clone() })
            }
            _ => Err(format!(
                "`{prompt_name}` is {} and `{completion_name}` is {}: expected two texts or two arrays of messages",
                description(prompt),
                description(completion)
            )),
        }
    }
}

fn messages(name: &str, value: &Value, names: &MessageFields) -> Result<Vec<Message>, String> {
    let rows = array(name, value, "messages")?;
    rows.iter().enumerate().map(|(number, row)| message(&format!("{name}[{number}]"), row, names)).collect()
}

fn message(place: &str, row: &Value, names: &MessageFields) -> Result<Message, String> {
    let field = |name: &str| {
        let value = row.get(name).ok_or_else(|| {
            format!("`{place}`: expected an object with `{}` and `{}`; `{name}` is missing", names.role, names.content)
        })?;
        text(&format!("{place}.{name}"), value)
    };
    let name = field(names.role)?;
    let role = role(name).ok_or_else(|| {
        format!(
            "`{place}.{}` is `{name}`: expected system, user (human) or assistant (gpt); convert or remove such messages",
            names.role
        )
    })?;
    Ok(Message::new(role, field(names.content)?))
}

fn role(name: &str) -> Option<Role> {
    match name {
        "system" => Some(Role::System),
        "user" | "human" => Some(Role::User),
        "assistant" | "gpt" => Some(Role::Assistant),
        _ => None,
    }
}

fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("`{name}`: expected a text, found {}", description(value)))
}

fn array<'a>(name: &str, value: &'a Value, of: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("`{name}`: expected an array of {of}, found {}", description(value)))
}

fn description(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
