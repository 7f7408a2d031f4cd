//! Requests as a server reads them: what the API can express is written, everything else is refused by name.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::options::Dialect;
use crate::sha256::hex;
use crate::text_model::{Prompt, Request, RequestError};
use crate::{GenerationOptions, InvalidOption, Message};

/// A request to a path of a server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) path: &'static str,
    pub(super) body: Map<String, Value>,
}

impl Call {
    /// Hex SHA-256 over the server's URL and everything that decides the answer.
    pub(super) fn digest(&self, url: &str) -> String {
        let body = Value::Object(self.body.clone()).to_string();
        let mut hash = Sha256::new();
        for part in [url, self.path, &body] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize())
    }

    /// The body's bytes. Whether an answer is streamed does not decide it, so that is added last.
    pub(super) fn bytes(&self, streaming: bool) -> Vec<u8> {
        let mut body = self.body.clone();
        if streaming {
            body.insert("stream".into(), json!(true));
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        Value::Object(body).to_string().into_bytes()
    }
}

/// A generation request in a server's words.
///
/// # Errors
/// The server can't do what is asked, or the options make no sense.
pub(super) fn generation(model: &str, dialect: Dialect, request: &Request) -> Result<Call, RequestError> {
    check(&request.options, dialect)?;
    if request.probe.is_some() || request.edit.is_some() {
        let problem = "attention can only be captured and edited in a local model, not behind a server";
        return Err(RequestError::Unsupported(problem.into()));
    }
    let mut body = Map::new();
    body.insert("model".into(), json!(model));
    let path = match &request.prompt {
        Prompt::Chat(messages) => {
            body.insert("messages".into(), self::messages(messages));
            CHAT
        }
        Prompt::Text(text) => {
            body.insert("prompt".into(), json!(text));
            COMPLETIONS
        }
        Prompt::Tokens(tokens) => {
            check_tokens(tokens, dialect)?;
            body.insert("prompt".into(), json!(tokens));
            COMPLETIONS
        }
    };
    write_options(&mut body, path, dialect, &request.options);
    Ok(Call { path, body })
}

/// Path of chats.
pub(super) const CHAT: &str = "/chat/completions";
/// Path of plain prompts.
pub(super) const COMPLETIONS: &str = "/completions";

/// A request for the log-probabilities of tokens, each given all before it.
///
/// # Errors
/// There are no tokens, or the server can't score.
pub(super) fn scoring(model: &str, tokens: &[u32]) -> Call {
    let body =
        json!({"model": model, "prompt": tokens, "max_tokens": 0, "echo": true, "logprobs": 1, "temperature": 0});
    Call { path: COMPLETIONS, body: object(body) }
}

/// A request for the tokens of a chat, whose last message is to be answered, or of plain text.
pub(super) fn tokens_of(model: &str, prompt: &Prompt) -> Call {
    let body = match prompt {
        Prompt::Chat(messages) => {
            json!({"model": model, "messages": self::messages(messages), "add_generation_prompt": true})
        }
        Prompt::Text(text) => json!({"model": model, "prompt": text, "add_special_tokens": true}),
        Prompt::Tokens(tokens) => json!({"model": model, "prompt": tokens}),
    };
    Call { path: TOKENIZE, body: object(body) }
}

/// A request for the tokens of a chat whose answer has begun with `text`.
pub(super) fn tokens_of_answered(model: &str, messages: &[Message], text: &str) -> Call {
    let mut messages = messages.to_vec();
    messages.push(Message::assistant(text));
    let body = json!({
        "model": model,
        "messages": self::messages(&messages),
        "add_generation_prompt": false,
        "continue_final_message": true,
    });
    Call { path: TOKENIZE, body: object(body) }
}

/// Path of vLLM's tokenizer, beside the versioned API and not below it.
pub(super) const TOKENIZE: &str = "/tokenize";

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn messages(messages: &[Message]) -> Value {
    messages.iter().map(|message| json!({"role": message.role.as_str(), "content": message.content})).collect()
}

/// Checks that a server can do what is asked.
///
/// # Errors
/// The first option that is out of range, or that the API has no word for.
pub(super) fn check(options: &GenerationOptions, dialect: Dialect) -> Result<(), InvalidOption> {
    options.validate()?;
    let refuse = |option: &'static str, problem: &str| Err(InvalidOption { option, problem: problem.to_owned() });
    let none = GenerationOptions::default();
    const NEVER: &str = "OpenAI's API has no such parameter: leave it at its default, or use a local model";
    const VLLM: &str = "OpenAI's API has no such parameter (vLLM's has): leave it at its default";
    let changed = [
        ("beam_width", options.beam_width != none.beam_width),
        ("num_return_sequences", options.num_return_sequences != none.num_return_sequences),
        ("typical_p", options.typical_p != none.typical_p),
        ("no_repeat_ngram_size", options.no_repeat_ngram_size != none.no_repeat_ngram_size),
        ("min_length", options.min_length != none.min_length),
    ];
    if let Some((option, _)) = changed.into_iter().find(|(_, changed)| *changed) {
        return refuse(option, NEVER);
    }
    let extensions = [
        ("top_k", options.top_k != none.top_k),
        ("min_p", options.min_p != none.min_p),
        ("repetition_penalty", options.repetition_penalty != none.repetition_penalty),
        ("min_new_tokens", options.min_new_tokens != none.min_new_tokens),
        ("ignore_eos", options.ignore_eos != none.ignore_eos),
    ];
    if dialect == Dialect::OpenAi
        && let Some((option, _)) = extensions.into_iter().find(|(_, changed)| *changed)
    {
        return refuse(option, VLLM);
    }
    if dialect == Dialect::OpenAi && options.stop.len() > 4 {
        return refuse("stop", "OpenAI's API takes at most 4 stop strings");
    }
    if options.seed > i64::MAX as u64 {
        return refuse("seed", "servers take seeds up to 9223372036854775807");
    }
    match options.logprobs {
        Some(count) if count > MOST_LOGPROBS => refuse("logprobs", "servers tell at most 20 alternatives"),
        _ => Ok(()),
    }
}

/// Most alternatives per token.
const MOST_LOGPROBS: usize = 20;

fn check_tokens(tokens: &[u32], dialect: Dialect) -> Result<(), RequestError> {
    if tokens.is_empty() {
        return Err(RequestError::EmptyPrompt);
    }
    match dialect {
        Dialect::Vllm => Ok(()),
        Dialect::OpenAi => {
            let problem = "OpenAI's API takes prompts as chats or text, not as token ids of another tokenizer";
            Err(RequestError::Unsupported(problem.into()))
        }
    }
}

fn write_options(body: &mut Map<String, Value>, path: &str, dialect: Dialect, options: &GenerationOptions) {
    let none = GenerationOptions::default();
    // OpenAI's newer chat models refuse `max_tokens`; many other servers know nothing else.
    let length = if path == CHAT && dialect == Dialect::OpenAi { "max_completion_tokens" } else { "max_tokens" };
    body.insert(length.into(), json!(options.max_new_tokens));
    body.insert("temperature".into(), decimal(options.temperature));
    body.insert("seed".into(), json!(options.seed));
    let mut set = |name: &str, value: Value, is_set: bool| {
        if is_set {
            body.insert(name.into(), value);
        }
    };
    set("top_p", decimal(options.top_p), options.top_p != none.top_p);
    set("stop", json!(options.stop), !options.stop.is_empty());
    set("top_k", json!(options.top_k), options.top_k != none.top_k);
    set("min_p", decimal(options.min_p), options.min_p != none.min_p);
    let penalty = options.repetition_penalty;
    set("repetition_penalty", decimal(penalty), penalty != none.repetition_penalty);
    set("min_tokens", json!(options.min_new_tokens), options.min_new_tokens != none.min_new_tokens);
    set("ignore_eos", json!(true), options.ignore_eos);
    set("return_token_ids", json!(true), dialect == Dialect::Vllm);
    let Some(count) = options.logprobs else { return };
    set("return_tokens_as_token_ids", json!(true), dialect == Dialect::Vllm);
    match path == CHAT {
        true => {
            set("logprobs", json!(true), true);
            set("top_logprobs", json!(count), count > 0);
        }
        false => set("logprobs", json!(count), true),
    }
}

/// An `f32` with its own digits: 0.7, not 0.699999988079071.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, |value| json!(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(dialect: Dialect, prompt: Prompt, options: GenerationOptions) -> Result<Value, RequestError> {
        generation("m", dialect, &Request::new(0, prompt, options)).map(|call| Value::Object(call.body))
    }

    fn hello() -> Prompt {
        Prompt::Chat(vec![Message::system("Be brief."), Message::user("Hello").labelled("turn:1")])
    }

    #[test]
    fn a_chat_is_written_without_its_labels() {
        let options =
            GenerationOptions { max_new_tokens: 5, seed: 3, temperature: 0.7, ..GenerationOptions::default() };
        assert_eq!(
            call(Dialect::OpenAi, hello(), options).unwrap(),
            json!({
                "model": "m",
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
                "max_completion_tokens": 5,
                "temperature": 0.7,
                "seed": 3,
            })
        );
    }

    #[test]
    fn extensions_are_sent_where_they_are_known_and_refused_elsewhere() {
        let options = GenerationOptions { top_k: 50, ..GenerationOptions::default() };
        assert_eq!(call(Dialect::Vllm, hello(), options.clone()).unwrap()["top_k"], 50);
        let error = call(Dialect::OpenAi, hello(), options).unwrap_err();
        assert!(error.to_string().contains("`top_k`"), "{error}");
    }

    #[test]
    fn what_no_server_can_do_is_refused_by_name() {
        let none = GenerationOptions::default();
        for (name, options) in [
            ("beam_width", GenerationOptions { beam_width: 2, ..none.clone() }),
            ("typical_p", GenerationOptions { typical_p: 0.9, ..none.clone() }),
            ("no_repeat_ngram_size", GenerationOptions { no_repeat_ngram_size: 3, ..none.clone() }),
            ("min_length", GenerationOptions { min_length: 3, ..none.clone() }),
            ("seed", GenerationOptions { seed: u64::MAX, ..none.clone() }),
            ("logprobs", GenerationOptions { logprobs: Some(21), ..none.clone() }),
            ("temperature", GenerationOptions { temperature: -1.0, ..none.clone() }),
        ] {
            let error = call(Dialect::Vllm, hello(), options).unwrap_err().to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }

    #[test]
    fn token_ids_go_where_they_are_understood() {
        let tokens = Prompt::Tokens(vec![1, 2]);
        assert_eq!(call(Dialect::Vllm, tokens.clone(), Default::default()).unwrap()["prompt"], json!([1, 2]));
        assert!(matches!(call(Dialect::OpenAi, tokens, Default::default()), Err(RequestError::Unsupported(_))));
        assert_eq!(call(Dialect::Vllm, Prompt::Tokens(vec![]), Default::default()), Err(RequestError::EmptyPrompt));
    }

    #[test]
    fn everything_but_streaming_decides_the_digest() {
        let of = |url: &str, seed| {
            let options = GenerationOptions { seed, ..GenerationOptions::default() };
            let call = generation("m", Dialect::Vllm, &Request::new(0, hello(), options)).unwrap();
            assert_ne!(call.bytes(true), call.bytes(false));
            call.digest(url)
        };
        assert_eq!(of("http://a", 1), of("http://a", 1));
        assert_ne!(of("http://a", 1), of("http://a", 2));
        assert_ne!(of("http://a", 1), of("http://b", 1));
    }
}
