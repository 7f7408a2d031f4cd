//! What a server answers, read strictly: an answer that is none is a failed attempt, never an empty text.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ApiKey;
use crate::text_model::{FinishReason, ServedBy, TextLogprob, TokenLogprob};

/// An answer to a generation or scoring request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) finish: FinishReason,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tokens: Vec<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) logprobs: Vec<TokenLogprob>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) text_logprobs: Vec<TextLogprob>,
    /// Log-probabilities of the prompt's tokens where they were asked for; the first has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) echoed: Vec<Option<f32>>,
    pub(super) usage: Option<Usage>,
    pub(super) served_by: ServedBy,
}

/// Token counts, as the server tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u64,
    #[serde(default)]
    pub(super) completion_tokens: u64,
    #[serde(default, skip_serializing)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

impl Usage {
    /// Prompt tokens that the server had computed before.
    pub(super) fn cached_tokens(&self) -> u64 {
        self.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0).min(self.prompt_tokens)
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Flaw {
    /// The server answered something else this time; another attempt may go well.
    NoAnswer(String),
    /// The server's decision, which it will take again.
    Refused(String),
}

impl Flaw {
    /// What could not be read to its end: too large it is each time, otherwise another attempt may go well.
    pub(super) fn of_reading(what: &str, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::FileTooLarge => Self::Refused(error.to_string()),
            _ => Self::NoAnswer(format!("{what} broke off: {error}")),
        }
    }
}

/// One choice of an answer, in one piece or as a piece of a stream.
#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    message: Option<Message>,
    delta: Option<Message>,
    text: Option<String>,
    finish_reason: Option<String>,
    stop_reason: Option<Value>,
    logprobs: Option<Logprobs>,
    token_ids: Option<Vec<u32>>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

/// The chat form has `content`, the form of plain completions parallel lists.
#[derive(Debug, Deserialize)]
struct Logprobs {
    content: Option<Vec<ChatLogprob>>,
    tokens: Option<Vec<String>>,
    token_logprobs: Option<Vec<Option<f32>>>,
    top_logprobs: Option<Vec<Option<Map<String, Value>>>>,
}

#[derive(Debug, Deserialize)]
struct ChatLogprob {
    token: String,
    logprob: f32,
    #[serde(default)]
    top_logprobs: Vec<ChatAlternative>,
}

#[derive(Debug, Deserialize)]
struct ChatAlternative {
    token: String,
    logprob: f32,
}

#[derive(Debug, Deserialize)]
struct Body {
    choices: Option<Vec<Choice>>,
    usage: Option<Usage>,
    model: Option<String>,
    system_fingerprint: Option<String>,
    error: Option<Value>,
}

/// Collects an answer, whether it comes in one piece or in many.
#[derive(Debug)]
pub(super) struct AnswerBuilder<'k> {
    key: Option<&'k ApiKey>,
    /// How many alternatives per token were asked for, if log-probabilities were.
    top: Option<usize>,
    /// The answer's log-probabilities begin with those of so many prompt tokens.
    echoes: usize,
    text: String,
    finish: Option<FinishReason>,
    tokens: Vec<u32>,
    logprobs: Vec<TextLogprob>,
    echoed: Vec<Option<f32>>,
    usage: Option<Usage>,
    served_by: ServedBy,
}

impl<'k> AnswerBuilder<'k> {
    pub(super) fn new(key: Option<&'k ApiKey>, top: Option<usize>, echoes: usize) -> Self {
        Self {
            key,
            top,
            echoes,
            text: String::new(),
            finish: None,
            tokens: Vec::new(),
            logprobs: Vec::new(),
            echoed: Vec::new(),
            usage: None,
            served_by: ServedBy::default(),
        }
    }

    /// Takes a whole answer or the next piece of one.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn take(&mut self, json: &[u8]) -> Result<(), Flaw> {
        let body: Body = serde_json::from_slice(json)
            .map_err(|error| Flaw::NoAnswer(format!("the answer is not what the API describes: {error}")))?;
        if let Some(error) = body.error.filter(|error| !error.is_null()) {
            return Err(Flaw::NoAnswer(format!("the server reports an error: {}", message_of(&error))));
        }
        self.usage = body.usage.or(self.usage);
        if let Some(model) = body.model {
            self.served_by.model = self.hidden(&model);
        }
        if let Some(fingerprint) = body.system_fingerprint {
            self.served_by.fingerprint = Some(self.hidden(&fingerprint));
        }
        let choices = body.choices.ok_or_else(|| Flaw::NoAnswer("the answer has no `choices`".into()))?;
        choices.into_iter().filter(|choice| choice.index == 0).try_for_each(|choice| self.take_choice(choice))
    }

    fn take_choice(&mut self, choice: Choice) -> Result<(), Flaw> {
        let message = choice.message.or(choice.delta);
        if let Some(refusal) =
            message.as_ref().and_then(|message| message.refusal.as_ref()).filter(|text| !text.is_empty())
        {
            return Err(Flaw::Refused(format!("the model refused to answer: {refusal}")));
        }
        let text = choice.text.or(message.and_then(|message| message.content));
        self.text.push_str(text.as_deref().unwrap_or_default());
        self.tokens.extend(choice.token_ids.into_iter().flatten());
        if let Some(logprobs) = choice.logprobs {
            self.take_logprobs(logprobs)?;
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(finish(&reason, choice.stop_reason.as_ref())?);
        }
        Ok(())
    }

    fn take_logprobs(&mut self, logprobs: Logprobs) -> Result<(), Flaw> {
        if let Some(content) = logprobs.content {
            self.logprobs.extend(content.into_iter().map(|token| TextLogprob {
                text: token.token,
                logprob: token.logprob,
                top: token.top_logprobs.into_iter().map(|other| (other.token, other.logprob)).collect(),
            }));
            return Ok(());
        }
        let (Some(tokens), Some(values)) = (logprobs.tokens, logprobs.token_logprobs) else { return Ok(()) };
        let uneven = || Flaw::NoAnswer("the answer's log-probabilities do not fit its tokens".into());
        let tops = logprobs.top_logprobs.unwrap_or_default();
        if tokens.len() != values.len() || tokens.len() < self.echoes || !tops.is_empty() && tops.len() != tokens.len()
        {
            return Err(uneven());
        }
        let mut tops = tops.into_iter();
        for (number, (text, value)) in tokens.into_iter().zip(values).enumerate() {
            let top = tops.next().flatten().unwrap_or_default();
            if number < self.echoes {
                self.echoed.push(value);
                continue;
            }
            let top = top.into_iter().filter_map(|(text, value)| Some((text, value.as_f64()? as f32))).collect();
            self.logprobs.push(TextLogprob { text, logprob: value.ok_or_else(uneven)?, top });
        }
        Ok(())
    }

    /// What has come of the text so far, without the key and without what may be the key's beginning.
    pub(super) fn text_so_far(&self) -> String {
        let Some(key) = self.key else { return self.text.clone() };
        let held = key.beginning_at_end_of(&self.text);
        key.hide_in_generated(&self.text[..self.text.len() - held])
    }

    /// Whether the server said why the text ended.
    pub(super) fn is_complete(&self) -> bool {
        self.finish.is_some()
    }

    /// The whole answer.
    ///
    /// # Errors
    /// It is not whole.
    pub(super) fn finish(mut self) -> Result<Answer, Flaw> {
        let finish = self.finish.ok_or_else(|| Flaw::NoAnswer("the answer ends without a `finish_reason`".into()))?;
        if self.top.is_some() && self.logprobs.is_empty() && !self.text.is_empty() {
            return Err(Flaw::Refused("log-probabilities were asked for, but the server gives none".into()));
        }
        let (logprobs, text_logprobs) = self.sorted_logprobs();
        let mut tokens = std::mem::take(&mut self.tokens);
        if tokens.is_empty() {
            tokens = logprobs.iter().map(|one| one.token).collect();
        }
        // An echoed prompt is known on this side.
        let text = if self.echoes > 0 { String::new() } else { self.hidden(&self.text) };
        Ok(Answer {
            text,
            finish,
            tokens,
            logprobs,
            text_logprobs,
            echoed: self.echoed,
            usage: self.usage,
            served_by: self.served_by,
        })
    }

    /// By token id where the server told ids for all, else by text.
    fn sorted_logprobs(&self) -> (Vec<TokenLogprob>, Vec<TextLogprob>) {
        let Some(top) = self.top else { return (Vec::new(), Vec::new()) };
        let mut by_text = self.logprobs.clone();
        for one in &mut by_text {
            one.top.sort_by(|left, right| right.1.total_cmp(&left.1));
            one.top.truncate(top);
        }
        let by_id = |one: &TextLogprob| {
            let top = one.top.iter().map(|(text, value)| Some((token_id(text)?, *value))).collect::<Option<_>>()?;
            Some(TokenLogprob { token: token_id(&one.text)?, logprob: one.logprob, top })
        };
        if let Some(by_id) = by_text.iter().map(by_id).collect::<Option<Vec<_>>>() {
            return (by_id, Vec::new());
        }
        for one in &mut by_text {
            one.text = self.hidden(&one.text);
        }
        (Vec::new(), by_text)
    }

    fn hidden(&self, text: &str) -> String {
        self.key.map_or_else(|| text.to_owned(), |key| key.hide_in_generated(text))
    }
}

/// The id in `token_id:17`, vLLM's form for tokens whose text is not wanted.
fn token_id(text: &str) -> Option<u32> {
    text.strip_prefix("token_id:")?.parse().ok()
}

/// `stop` stands for the model's own end and for stop strings; vLLM's `stop_reason` tells them apart.
fn finish(reason: &str, stop_reason: Option<&Value>) -> Result<FinishReason, Flaw> {
    match reason {
        "stop" if stop_reason.is_some_and(Value::is_string) => Ok(FinishReason::Stop),
        "stop" | "eos" | "eos_token" | "end_turn" => Ok(FinishReason::EndOfSequence),
        "stop_sequence" => Ok(FinishReason::Stop),
        "length" => Ok(FinishReason::Length),
        "content_filter" => Err(Flaw::Refused("the server's content filter cut the answer off".into())),
        other => Err(Flaw::Refused(format!("the answer ends for a reason that is none of text (`{other}`)"))),
    }
}

/// The message in an error that a server reports, in the forms that are about.
pub(super) fn message_of(error: &Value) -> String {
    let found = [&error["message"], &error["error"]["message"], &error["error"], &error["detail"], error];
    found.into_iter().find_map(Value::as_str).map_or_else(|| error.to_string(), str::to_owned)
}

/// The token ids in the answer of a tokenizer.
///
/// # Errors
/// There are none.
pub(super) fn tokens(json: &[u8]) -> Result<Vec<u32>, Flaw> {
    #[derive(Deserialize)]
    struct Tokens {
        tokens: Vec<u32>,
    }
    serde_json::from_slice::<Tokens>(json)
        .map(|found| found.tokens)
        .map_err(|error| Flaw::NoAnswer(format!("the answer is not what vLLM's tokenizer gives: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, top: Option<usize>) -> Result<Answer, Flaw> {
        let mut builder = AnswerBuilder::new(None, top, 0);
        builder.take(json.as_bytes())?;
        builder.finish()
    }

    #[test]
    fn a_chat_answer_is_read() {
        let answer = read(
            r#"{"model": "m-1", "system_fingerprint": "fp", "unknown": [1],
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop",
                             "stop_reason": null}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}}"#,
            None,
        )
        .unwrap();
        assert_eq!((answer.text.as_str(), answer.finish), ("Hi", FinishReason::EndOfSequence));
        assert_eq!(answer.served_by, ServedBy { model: "m-1".into(), fingerprint: Some("fp".into()) });
        let usage = answer.usage.unwrap();
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens()), (9, 2, 4));
    }

    #[test]
    fn what_is_no_answer_is_a_failed_attempt() {
        for json in [
            "",
            "<html></html>",
            "{",
            "[]",
            "{}",
            r#"{"choices": []}"#,
            r#"{"choices": "none"}"#,
            r#"{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}"#,
            r#"{"choices": [{"message": {"content": "x"}}]}"#,
            r#"{"error": {"message": "overloaded"}}"#,
            r#"{"choices": [{"text": "x", "finish_reason": "stop", "logprobs": {"tokens": ["x"], "token_logprobs": []}}]}"#,
        ] {
            assert!(matches!(read(json, None), Err(Flaw::NoAnswer(_))), "{json}");
        }
    }

    #[test]
    fn a_refusal_is_final() {
        for json in [
            r#"{"choices": [{"message": {"content": "x"}, "finish_reason": "content_filter"}]}"#,
            r#"{"choices": [{"message": {"content": null, "refusal": "No."}, "finish_reason": "stop"}]}"#,
            r#"{"choices": [{"message": {"content": null}, "finish_reason": "tool_calls"}]}"#,
        ] {
            assert!(matches!(read(json, None), Err(Flaw::Refused(_))), "{json}");
        }
        let without = r#"{"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}"#;
        assert!(matches!(read(without, Some(0)), Err(Flaw::Refused(_))));
    }

    #[test]
    fn log_probabilities_come_by_text_or_by_id() {
        let chat = |token: &str, other: &str| {
            format!(
                r#"{{"choices": [{{"message": {{"content": "x"}}, "finish_reason": "length", "logprobs": {{"content": [
                    {{"token": "{token}", "logprob": -0.5, "bytes": [120],
                     "top_logprobs": [{{"token": "{other}", "logprob": -2.0}}, {{"token": "{token}", "logprob": -0.5}}]}}]}}}}]}}"#
            )
        };
        let by_text = read(&chat("x", "y"), Some(2)).unwrap();
        assert!(by_text.logprobs.is_empty());
        let top = vec![("x".into(), -0.5), ("y".into(), -2.0)];
        assert_eq!(by_text.text_logprobs, [TextLogprob { text: "x".into(), logprob: -0.5, top }]);
        let by_id = read(&chat("token_id:7", "token_id:9"), Some(1)).unwrap();
        assert_eq!(by_id.logprobs, [TokenLogprob { token: 7, logprob: -0.5, top: vec![(7, -0.5)] }]);
        assert_eq!(by_id.tokens, [7]);
    }

    #[test]
    fn the_key_leaves_no_trace() {
        let key = ApiKey::new("sk-0123456789abcdef").unwrap();
        let mut builder = AnswerBuilder::new(Some(&key), None, 0);
        for piece in ["You sent sk-0123", "456789abcdef", ", didn't you? sk"] {
            let json = serde_json::json!({"model": "sk-0123456789abcdef", "choices": [{"delta": {"content": piece}}]});
            builder.take(json.to_string().as_bytes()).unwrap();
            assert!(!builder.text_so_far().contains("sk-"), "{}", builder.text_so_far());
        }
        builder.take(br#"{"choices": [{"delta": {}, "finish_reason": "stop"}]}"#).unwrap();
        let answer = builder.finish().unwrap();
        assert_eq!(answer.text, "You sent [key], didn't you? sk");
        assert_eq!(answer.served_by.model, "[key]");
    }
}
