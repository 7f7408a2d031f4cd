//! What a request asks for, apart from its prompt.
//!
//! Parameters that this server does not know are refused, and so are those that it knows and can't serve, unless they ask for nothing:
//! an answer that silently lacks what was asked for is worse than none.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use serde_json::Value;

use super::errors::ApiError;
use super::fields::{Fields, expected};
use crate::GenerationOptions;

/// Which of the API's two forms a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Messages.
    Chat,
    /// Plain text or token ids.
    Completions,
}

/// Most answers to one prompt.
const MOST_CHOICES: usize = 8;
/// Most alternatives per token.
const MOST_LOGPROBS: usize = 20;
/// Most stop strings.
const MOST_STOPS: usize = 16;
/// `max_tokens` of plain completions, as OpenAI has it. Chats have none.
const COMPLETION_TOKENS: usize = 16;

/// Parameters that change nothing about the answer.
const WITHOUT_EFFECT: [&str; 7] =
    ["user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls"];

/// A request's parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameters {
    /// How each answer is generated; its seed is the first answer's, and its length is settled when the prompt is known.
    pub(super) options: GenerationOptions,
    /// Longest answer; `None` for what the context has room for.
    pub(super) max_tokens: Option<usize>,
    /// Answers to each prompt.
    pub(super) choices: usize,
    pub(super) stream: bool,
    /// Whether a stream ends with token counts.
    pub(super) stream_usage: bool,
    /// Whether the prompt stands before the answer (plain completions only).
    pub(super) echo: bool,
    /// Whether token ids are told.
    pub(super) return_token_ids: bool,
    /// Whether log-probabilities tell tokens as `token_id:17` instead of their text.
    pub(super) tokens_as_ids: bool,
}

impl Parameters {
    /// Takes the parameters out of a request's fields.
    ///
    /// # Errors
    /// One is not what it should be, or is not known.
    pub(super) fn take(mut fields: Fields, form: Form) -> Result<Self, ApiError> {
        let options = GenerationOptions {
            temperature: fields.number("temperature", 0.0, 2.0)?.unwrap_or(1.0),
            top_p: fields.number("top_p", 0.0, 1.0)?.unwrap_or(1.0),
            top_k: top_k(&mut fields)?,
            min_p: fields.number("min_p", 0.0, 1.0)?.unwrap_or(0.0),
            typical_p: fields.number("typical_p", 0.0, 1.0)?.unwrap_or(1.0),
            repetition_penalty: fields.number("repetition_penalty", 0.0, 1e4)?.unwrap_or(1.0),
            no_repeat_ngram_size: fields.count("no_repeat_ngram_size", 0, usize::MAX)?.unwrap_or(0),
            min_new_tokens: fields.count("min_tokens", 0, usize::MAX)?.unwrap_or(0),
            ignore_eos: fields.flag("ignore_eos")?,
            stop: stop(&mut fields)?,
            seed: seed(&mut fields)?,
            logprobs: logprobs(&mut fields, form)?,
            ..GenerationOptions::default()
        };
        let echo = form == Form::Completions && fields.flag("echo")?;
        let stream = fields.flag("stream")?;
        let parameters = Self {
            options,
            max_tokens: max_tokens(&mut fields, form, echo)?,
            choices: fields.count("n", 1, MOST_CHOICES)?.unwrap_or(1),
            stream,
            stream_usage: stream_usage(&mut fields, stream)?,
            echo,
            return_token_ids: fields.flag("return_token_ids")?,
            tokens_as_ids: fields.flag("return_tokens_as_token_ids")?,
        };
        refuse_what_is_not_served(&mut fields, &parameters)?;
        fields.finish()?;
        Ok(parameters)
    }
}

/// vLLM writes -1 for all.
fn top_k(fields: &mut Fields) -> Result<usize, ApiError> {
    match fields.take("top_k") {
        None => Ok(0),
        Some(value) if value.as_i64() == Some(-1) => Ok(0),
        Some(value) => value
            .as_u64()
            .and_then(|k| usize::try_from(k).ok())
            .ok_or_else(|| expected("top_k", "an integer from 0 on, or -1", &value)),
    }
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    const WHAT: &str = "a string or an array of strings";
    let stops = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(stops)) => stops
            .into_iter()
            .map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                other => Err(expected("stop", WHAT, &other)),
            })
            .collect::<Result<_, _>>()?,
        Some(other) => return Err(expected("stop", WHAT, &other)),
    };
    if stops.len() > MOST_STOPS {
        return Err(ApiError::parameter("stop", format!("at most {MOST_STOPS} strings")));
    }
    match stops.iter().any(String::is_empty) {
        true => Err(ApiError::parameter("stop", "a stop string is empty")),
        false => Ok(stops),
    }
}

/// The seed that was given, or any.
fn seed(fields: &mut Fields) -> Result<u64, ApiError> {
    let Some(value) = fields.take("seed") else { return Ok(RandomState::new().hash_one("seed") >> 1) };
    let seed = value.as_u64().or_else(|| value.as_i64().map(i64::cast_unsigned));
    seed.ok_or_else(|| expected("seed", "an integer", &value))
}

/// Chats have a flag and a number, plain completions a number.
fn logprobs(fields: &mut Fields, form: Form) -> Result<Option<usize>, ApiError> {
    if form == Form::Completions {
        return fields.count("logprobs", 0, MOST_LOGPROBS);
    }
    let is_asked = fields.flag("logprobs")?;
    match (is_asked, fields.count("top_logprobs", 0, MOST_LOGPROBS)?) {
        (true, top) => Ok(Some(top.unwrap_or(0))),
        (false, None | Some(0)) => Ok(None),
        (false, Some(_)) => Err(ApiError::parameter("top_logprobs", "needs `logprobs`: true")),
    }
}

fn max_tokens(fields: &mut Fields, form: Form, echo: bool) -> Result<Option<usize>, ApiError> {
    // Only an echo is something without an answer.
    let least = usize::from(!echo);
    let old = fields.count("max_tokens", least, usize::MAX)?;
    match form {
        Form::Chat => Ok(fields.count("max_completion_tokens", 1, usize::MAX)?.or(old)),
        Form::Completions => Ok(old.or(Some(COMPLETION_TOKENS))),
    }
}

fn stream_usage(fields: &mut Fields, stream: bool) -> Result<bool, ApiError> {
    match fields.take("stream_options") {
        None => Ok(false),
        Some(_) if !stream => Err(ApiError::parameter("stream_options", "needs `stream`: true")),
        Some(Value::Object(options)) => match options.get("include_usage") {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(expected("stream_options.include_usage", "true or false", other)),
        },
        Some(other) => Err(expected("stream_options", "an object", &other)),
    }
}

fn refuse_what_is_not_served(fields: &mut Fields, parameters: &Parameters) -> Result<(), ApiError> {
    for name in WITHOUT_EFFECT {
        fields.take(name);
    }
    let is_zero = |value: &Value| value.as_f64() == Some(0.0);
    fields.refuse_unless(&["presence_penalty", "frequency_penalty"], is_zero)?;
    let is_empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(|map| map.is_empty())
    };
    fields.refuse_unless(&["tools", "functions", "logit_bias"], is_empty)?;
    fields.refuse_unless(&["tool_choice", "function_call"], |value| value == "none" || value == "auto")?;
    fields.refuse_unless(&["response_format"], |value| value["type"] == "text")?;
    fields.refuse_unless(&["modalities"], |value| *value == serde_json::json!(["text"]))?;
    fields.refuse_unless(&["skip_special_tokens"], |value| *value == Value::Bool(true))?;
    fields.refuse_unless(&["suffix"], |value| value == "")?;
    match fields.count("best_of", 1, MOST_CHOICES)? {
        Some(best_of) if best_of != parameters.choices => {
            Err(ApiError::parameter("best_of", "this server can't choose among answers: leave it out"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(form: Form, body: Value) -> Result<Parameters, ApiError> {
        Parameters::take(Fields::parse(body.to_string().as_bytes())?, form)
    }

    #[test]
    fn nothing_asked_is_the_apis_own_defaults() {
        let chat = read(Form::Chat, json!({})).unwrap();
        assert_eq!((chat.options.temperature, chat.options.top_p, chat.max_tokens, chat.choices), (1.0, 1.0, None, 1));
        assert_eq!(read(Form::Completions, json!({})).unwrap().max_tokens, Some(16));
        assert_ne!(chat.options.seed, read(Form::Chat, json!({})).unwrap().options.seed, "any seed will do");
    }

    #[test]
    fn what_is_asked_is_understood() {
        let asked = json!({
            "temperature": 0.7, "top_k": -1, "stop": "\n", "seed": -1, "logprobs": true, "top_logprobs": 2, "n": 3,
            "max_tokens": 5, "max_completion_tokens": 7, "stream": true, "stream_options": {"include_usage": true},
            "user": "me", "presence_penalty": 0, "tools": [], "response_format": {"type": "text"}, "top_p": null,
        });
        let chat = read(Form::Chat, asked).unwrap();
        assert_eq!(chat.options.seed, u64::MAX);
        assert_eq!((chat.options.logprobs, chat.options.stop.as_slice()), (Some(2), &["\n".to_owned()][..]));
        assert_eq!((chat.max_tokens, chat.choices, chat.stream_usage), (Some(7), 3, true));
        assert_eq!(read(Form::Completions, json!({"logprobs": 3})).unwrap().options.logprobs, Some(3));
        assert_eq!(read(Form::Completions, json!({"echo": true, "max_tokens": 0})).unwrap().max_tokens, Some(0));
    }

    #[test]
    fn any_value_of_any_parameter_is_understood_or_refused_by_name() {
        let names = [
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "typical_p",
            "repetition_penalty",
            "no_repeat_ngram_size",
            "min_tokens",
            "ignore_eos",
            "stop",
            "seed",
            "logprobs",
            "top_logprobs",
            "echo",
            "stream",
            "max_tokens",
            "max_completion_tokens",
            "n",
            "stream_options",
            "return_token_ids",
            "return_tokens_as_token_ids",
            "user",
            "presence_penalty",
            "tools",
            "logit_bias",
            "tool_choice",
            "response_format",
            "modalities",
            "suffix",
            "best_of",
            "no_such_thing",
        ];
        let values = [
            json!(null),
            json!(true),
            json!(0),
            json!(1),
            json!(-1),
            json!(0.5),
            json!(1e300),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(""),
            json!("text"),
            json!([]),
            json!(["text"]),
            json!([[]]),
            json!({}),
            json!({"type": "text"}),
        ];
        for (name, value) in names.iter().flat_map(|name| values.iter().map(move |value| (name, value))) {
            for form in [Form::Chat, Form::Completions] {
                if let Err(error) = read(form, json!({*name: value})) {
                    let told = error.body()["error"]["param"].clone();
                    assert!(told.as_str().is_some_and(|told| told.starts_with(name)), "{name}: {value}: {told}");
                }
            }
        }
    }

    #[test]
    fn every_refusal_names_its_parameter() {
        for (name, body) in [
            ("temperature", json!({"temperature": 3})),
            ("temperature", json!({"temperature": "hot"})),
            ("top_p", json!({"top_p": -0.1})),
            ("max_tokens", json!({"max_tokens": 0})),
            ("max_tokens", json!({"max_tokens": 1.5})),
            ("max_completion_tokens", json!({"max_completion_tokens": -3})),
            ("n", json!({"n": 9})),
            ("stop", json!({"stop": [""]})),
            ("stop", json!({"stop": [1]})),
            ("stop", json!({"stop": 17})),
            ("seed", json!({"seed": 0.5})),
            ("logprobs", json!({"logprobs": 3})),
            ("top_logprobs", json!({"top_logprobs": 3})),
            ("stream_options", json!({"stream_options": {}})),
            ("presence_penalty", json!({"presence_penalty": 0.1})),
            ("tools", json!({"tools": [{}]})),
            ("response_format", json!({"response_format": {"type": "json_object"}})),
            ("best_of", json!({"best_of": 2})),
            ("echo", json!({"echo": true})),
            ("temprature", json!({"temprature": 1})),
        ] {
            let error = read(Form::Chat, body.clone()).unwrap_err();
            assert_eq!((error.status.as_u16(), error.body()["error"]["param"].as_str()), (400, Some(name)), "{body}");
        }
    }
}
