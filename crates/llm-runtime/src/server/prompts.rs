//! What stands before the answer: messages, text or token ids, out of a request's fields.

use serde_json::Value;

use super::errors::ApiError;
use super::fields::{Fields, expected};
use super::parameters::Form;
use crate::text_model::Prompt;
use crate::{Message, Role};

/// The `messages` of a chat.
///
/// # Errors
/// They are not there, or one is none. Contents other than text can't be served.
pub(super) fn messages(fields: &mut Fields) -> Result<Vec<Message>, ApiError> {
    const WHAT: &str = "an array of messages";
    let messages = match fields.take("messages") {
        Some(Value::Array(messages)) if !messages.is_empty() => messages,
        Some(Value::Array(_)) => return Err(ApiError::parameter("messages", "there are no messages")),
        Some(other) => return Err(expected("messages", WHAT, &other)),
        None => return Err(ApiError::parameter("messages", format!("missing: expected {WHAT}"))),
    };
    messages
        .into_iter()
        .enumerate()
        .map(|(number, message)| self::message(&format!("messages[{number}]"), message))
        .collect()
}

fn message(place: &str, message: Value) -> Result<Message, ApiError> {
    let Value::Object(mut message) = message else { return Err(expected(place, "an object", &message)) };
    let role = match message.get("role").and_then(Value::as_str) {
        // A developer's instructions are what system texts were called before.
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        _ => return Err(ApiError::parameter(format!("{place}.role"), "expected system, user or assistant")),
    };
    for name in ["tool_calls", "function_call", "tool_call_id", "audio"] {
        let asks = message
            .get(name)
            .is_some_and(|value| !value.is_null() && value.as_array().is_none_or(|calls| !calls.is_empty()));
        if asks {
            return Err(ApiError::parameter(format!("{place}.{name}"), "this server has no tools and no sound"));
        }
    }
    let content = message.remove("content").unwrap_or_default();
    Ok(Message::new(role, text_of(&format!("{place}.content"), content)?))
}

/// A content in one piece, or in parts that are all text.
fn text_of(place: &str, content: Value) -> Result<String, ApiError> {
    let parts = match content {
        Value::String(text) => return Ok(text),
        Value::Array(parts) => parts,
        other => return Err(expected(place, "a string or an array of text parts", &other)),
    };
    let part = |(number, part): (usize, &Value)| match (part["type"].as_str(), part["text"].as_str()) {
        (Some("text"), Some(text)) => Ok(text.to_owned()),
        _ => Err(ApiError::parameter(format!("{place}[{number}]"), "only parts of type `text` can be served")),
    };
    parts.iter().enumerate().map(part).collect()
}

/// The prompts of plain completions: one or several, as text or token ids.
///
/// # Errors
/// They are not there, or one is neither text nor token ids.
pub(super) fn prompts(fields: &mut Fields) -> Result<Vec<Prompt>, ApiError> {
    const WHAT: &str = "a string, an array of strings, of token ids or of arrays of token ids";
    match fields.take("prompt") {
        Some(Value::String(text)) => Ok(vec![Prompt::Text(text)]),
        Some(Value::Array(items)) if items.is_empty() => Err(ApiError::parameter("prompt", "it is empty")),
        Some(Value::Array(items)) => {
            if items.iter().all(Value::is_number) {
                return Ok(vec![token_ids(&items)?]);
            }
            let one = |item: Value| match item {
                Value::String(text) => Ok(Prompt::Text(text)),
                Value::Array(ids) => token_ids(&ids),
                other => Err(expected("prompt", WHAT, &other)),
            };
            items.into_iter().map(one).collect()
        }
        Some(other) => Err(expected("prompt", WHAT, &other)),
        None => Err(ApiError::parameter("prompt", format!("missing: expected {WHAT}"))),
    }
}

fn token_ids(ids: &[Value]) -> Result<Prompt, ApiError> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    ids.iter()
        .map(|value| id(value).ok_or_else(|| expected("prompt", "token ids", value)))
        .collect::<Result<_, _>>()
        .map(Prompt::Tokens)
}

/// The request of a tokenizer: a prompt, or a chat whose last message may be an answer that has begun.
pub(super) enum ToTokenise {
    /// Text or a chat. Without special tokens, text gets no beginning of sequence.
    Prompt { prompt: Prompt, special_tokens: bool },
    /// A chat and what the answer begins with.
    Begun { messages: Vec<Message>, answer: String },
}

impl ToTokenise {
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Prompt { prompt: Prompt::Text(_) | Prompt::Tokens(_), .. } => Form::Completions,
            Self::Prompt { prompt: Prompt::Chat(_), .. } | Self::Begun { .. } => Form::Chat,
        }
    }
}

/// What a tokenizer's request asks for.
///
/// # Errors
/// It is neither text nor a chat, or asks for a rendering that is not served.
pub(super) fn to_tokenise(fields: &mut Fields) -> Result<ToTokenise, ApiError> {
    let special = fields.take("add_special_tokens");
    let (opens, goes_on) = (fields.take("add_generation_prompt"), fields.flag("continue_final_message")?);
    if let Some(text) = fields.text("prompt")? {
        let special_tokens = special.is_none_or(|value| value != Value::Bool(false));
        return Ok(ToTokenise::Prompt { prompt: Prompt::Text(text), special_tokens });
    }
    let mut messages = self::messages(fields)?;
    let opens = opens.is_none_or(|value| value != Value::Bool(false));
    match (opens, goes_on, messages.pop()) {
        (_, true, Some(last)) if last.role == Role::Assistant => {
            Ok(ToTokenise::Begun { messages, answer: last.content })
        }
        (_, true, _) => Err(ApiError::parameter("continue_final_message", "the last message is not the assistant's")),
        (true, false, last) => {
            messages.extend(last);
            Ok(ToTokenise::Prompt { prompt: Prompt::Chat(messages), special_tokens: true })
        }
        (false, false, _) => {
            let problem = "chats are rendered up to where the answer begins, or goes on (`continue_final_message`)";
            Err(ApiError::parameter("add_generation_prompt", problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(body: Value) -> Fields {
        Fields::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn messages_come_in_one_piece_or_in_parts() {
        let body = json!({"messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "Ada", "content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]},
            {"role": "assistant", "content": "Hi", "tool_calls": null, "refusal": null},
        ]});
        let expected = [Message::system("Be brief."), Message::user("Hello"), Message::assistant("Hi")];
        assert_eq!(messages(&mut fields(body)).unwrap(), expected);
    }

    #[test]
    fn what_is_no_message_is_named_by_its_place() {
        for (place, list) in [
            ("messages", json!([])),
            ("messages", json!("hi")),
            ("messages[0]", json!(["hi"])),
            ("messages[0].role", json!([{"content": "hi"}])),
            ("messages[0].role", json!([{"role": "tool", "content": "hi"}])),
            ("messages[0].content", json!([{"role": "user"}])),
            ("messages[0].content[0]", json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])),
            ("messages[0].tool_calls", json!([{"role": "user", "content": "", "tool_calls": [{}]}])),
        ] {
            let error = messages(&mut fields(json!({"messages": list}))).unwrap_err();
            assert_eq!(error.body()["error"]["param"], place, "{list}");
        }
    }

    #[test]
    fn prompts_are_text_or_token_ids_one_or_several() {
        let read = |prompt: Value| prompts(&mut fields(json!({"prompt": prompt})));
        assert_eq!(read(json!("a")).unwrap(), [Prompt::Text("a".into())]);
        assert_eq!(read(json!(["a", [1, 2]])).unwrap(), [Prompt::Text("a".into()), Prompt::Tokens(vec![1, 2])]);
        assert_eq!(read(json!([1, 2])).unwrap(), [Prompt::Tokens(vec![1, 2])]);
        for wrong in [json!([]), json!(7), json!([true]), json!([1.5]), json!([-1, 2]), json!({})] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
