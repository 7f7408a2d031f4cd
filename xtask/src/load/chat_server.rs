//! Requests to `sra serve`: good ones of every kind, and everything that a client can do wrong.

use std::io;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::kind::{Kind, Reply};
use crate::client::{Answer, Connection, Length};

/// The name under which the model is served.
pub(super) const MODEL: &str = "tiny";
/// Larger than the server takes.
const HUGE: usize = 5 << 20;
/// A stream that nobody reads to its end.
const LONG_STREAM: usize = 400;

/// The server, and what it said at the beginning.
pub(super) struct ChatServer {
    address: String,
    first: Vec<Value>,
}

impl ChatServer {
    /// Asks what is asked again and again later.
    ///
    /// # Errors
    /// The server does not answer.
    pub(super) fn new(address: &str) -> Result<Self, String> {
        let first = references(address).map_err(|error| format!("{address}: {error}"))?;
        Ok(Self { address: address.to_owned(), first })
    }

    /// Whether seeded requests are answered as they were at the beginning.
    pub(super) fn answers_as_before(&self) -> Result<(), String> {
        let now = references(&self.address).map_err(|error| error.to_string())?;
        match self.first.iter().zip(&now).find(|(first, now)| first != now) {
            None => Ok(()),
            Some((first, now)) => Err(format!("said {first} at the beginning and {now} now")),
        }
    }

    fn open(&self) -> io::Result<Connection> {
        Connection::open(&self.address)
    }

    fn post(&self, path: &str, body: &Value) -> io::Result<Answer> {
        let mut connection = self.open()?;
        let request = connection.post(path, body.to_string().as_bytes());
        connection.ask(&request)
    }
}

pub(super) const KINDS: &[Kind<ChatServer>] = &[
    Kind { name: "chat", weight: 20, expected: &[Reply::Status(200)], act: chat },
    Kind { name: "chat, seeded as at the start", weight: 8, expected: &[Reply::Status(200)], act: chat_again },
    Kind { name: "chat, streamed", weight: 12, expected: &[Reply::Status(200)], act: stream },
    Kind { name: "chats on one connection", weight: 4, expected: &[Reply::Status(200)], act: kept_alive },
    Kind { name: "completion", weight: 6, expected: &[Reply::Status(200)], act: completion },
    Kind { name: "score", weight: 6, expected: &[Reply::Status(200)], act: score },
    Kind { name: "tokenize", weight: 4, expected: &[Reply::Status(200)], act: tokenize },
    Kind { name: "models, health", weight: 6, expected: &[Reply::Status(200)], act: models },
    Kind { name: "chat, sent slowly", weight: 1, expected: &[Reply::Status(200)], act: slow },
    Kind { name: "no JSON", weight: 3, expected: &[Reply::Status(400)], act: no_json },
    Kind { name: "other content type", weight: 2, expected: &[Reply::Status(415)], act: other_type },
    Kind { name: "unknown model", weight: 2, expected: &[Reply::Status(404)], act: unknown_model },
    Kind { name: "impossible parameter", weight: 4, expected: &[Reply::Status(400)], act: impossible_parameter },
    Kind { name: "prompt beyond the context", weight: 1, expected: &[Reply::Status(400)], act: too_long },
    Kind { name: "huge body", weight: 1, expected: &[Reply::Status(413)], act: huge },
    Kind {
        name: "unknown path or method",
        weight: 2,
        expected: &[Reply::Status(404), Reply::Status(405)],
        act: nowhere,
    },
    Kind { name: "other host name", weight: 2, expected: &[Reply::Status(403)], act: other_host },
    Kind { name: "long address", weight: 1, expected: &[Reply::Status(414), Reply::Status(431)], act: long_address },
    Kind { name: "no HTTP", weight: 2, expected: &[Reply::Status(400), Reply::Closed], act: no_http },
    Kind { name: "left during a stream", weight: 4, expected: &[Reply::Left], act: leave_stream },
    Kind { name: "left before the answer", weight: 3, expected: &[Reply::Left], act: leave_at_once },
    Kind { name: "left in the body", weight: 2, expected: &[Reply::Left], act: leave_in_body },
    Kind {
        name: "half a head, then nothing",
        weight: 1,
        expected: &[Reply::Closed, Reply::Status(408)],
        act: half_a_head,
    },
];

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";

fn references(address: &str) -> io::Result<Vec<Value>> {
    let ask = |path: &str, body: Value| {
        let mut connection = Connection::open(address)?;
        let request = connection.post(path, body.to_string().as_bytes());
        let mut answer = connection.ask(&request)?.json();
        // The answer's number and time, and how much of the prompt was remembered.
        ["id", "created", "usage"]
            .iter()
            .for_each(|field| drop(answer.as_object_mut().and_then(|fields| fields.remove(*field))));
        io::Result::Ok(answer)
    };
    Ok(vec![
        ask(CHAT, seeded_chat())?,
        ask(
            COMPLETIONS,
            json!({"model": MODEL, "prompt": "I failed my exam", "max_tokens": 0, "echo": true, "logprobs": 1}),
        )?,
        ask(COMPLETIONS, json!({"model": MODEL, "prompt": "Tell me", "max_tokens": 12, "temperature": 0}))?,
    ])
}

fn seeded_chat() -> Value {
    json!({
        "model": MODEL, "seed": 7, "temperature": 0.9, "max_tokens": 24,
        "messages": [{"role": "user", "content": "I lost my job and can't sleep."}],
    })
}

/// Some words.
fn text(random: &mut ChaCha8Rng, most: usize) -> String {
    const WORDS: [&str; 16] = [
        "I", "feel", "sad", "about", "my", "work", "and", "nobody", "listens", "to", "me", "since", "the", "exam",
        "went", "wrong",
    ];
    let count = random.random_range(1..=most);
    (0..count).map(|_| WORDS[random.random_range(0..WORDS.len())]).collect::<Vec<_>>().join(" ")
}

fn chat_body(random: &mut ChaCha8Rng) -> Value {
    let mut messages = vec![json!({"role": "system", "content": "You are a supporter."})];
    for _ in 0..random.random_range(0..3) {
        messages.push(json!({"role": "user", "content": text(random, 30)}));
        messages.push(json!({"role": "assistant", "content": text(random, 30)}));
    }
    messages.push(json!({"role": "user", "content": text(random, 60)}));
    let mut body = json!({
        "model": MODEL, "messages": messages, "max_tokens": random.random_range(1..=32), "seed": random.random_range(0..1000),
        "temperature": f64::from(random.random_range(0..15_u32)) / 10.0,
    });
    match random.random_range(0..5) {
        0 => body["n"] = json!(random.random_range(1..=4)),
        1 => (body["logprobs"], body["top_logprobs"]) = (json!(true), json!(3)),
        2 => body["stop"] = json!(["\n", "."]),
        _ => {}
    }
    body
}

/// A status, if the answer of status 200 has what it must have.
fn checked(answer: &Answer, is_right: impl FnOnce(&Value) -> bool) -> Reply {
    match answer.status {
        200 if !is_right(&answer.json()) => Reply::Wrong(format!(
            "200 with {}",
            String::from_utf8_lossy(&answer.body).chars().take(120).collect::<String>()
        )),
        status => Reply::Status(status),
    }
}

fn has_texts(answer: &Value) -> bool {
    let choices = answer["choices"].as_array();
    choices.is_some_and(|choices| {
        !choices.is_empty()
            && choices.iter().all(|choice| choice["message"]["content"].is_string() || choice["text"].is_string())
    })
}

fn chat(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let body = chat_body(random);
    let count = body["n"].as_u64().unwrap_or(1) as usize;
    let answer = server.post(CHAT, &body)?;
    Ok(checked(&answer, |found| has_texts(found) && found["choices"].as_array().map(Vec::len) == Some(count)))
}

fn chat_again(server: &ChatServer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let answer = server.post(CHAT, &seeded_chat())?;
    Ok(checked(&answer, |found| found["choices"] == server.first[0]["choices"]))
}

fn stream(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut body = chat_body(random);
    body["stream"] = json!(true);
    let answer = server.post(CHAT, &body)?;
    let is_whole = answer.status != 200 || String::from_utf8_lossy(&answer.body).trim_end().ends_with("data: [DONE]");
    Ok(if is_whole { Reply::Status(answer.status) } else { Reply::Wrong("a stream without its end".into()) })
}

fn kept_alive(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let mut last = Reply::Status(0);
    for _ in 0..random.random_range(2..5) {
        let request = connection.post(CHAT, chat_body(random).to_string().as_bytes());
        last = checked(&connection.ask(&request)?, has_texts);
        if last != Reply::Status(200) {
            break;
        }
    }
    Ok(last)
}

fn completion(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let prompts: Vec<String> = (0..random.random_range(1..4)).map(|_| text(random, 40)).collect();
    let body = json!({"model": MODEL, "prompt": prompts, "max_tokens": 8, "top_k": 20, "seed": 3});
    Ok(checked(&server.post(COMPLETIONS, &body)?, |found| {
        found["choices"].as_array().map(Vec::len) == Some(prompts.len())
    }))
}

fn score(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let body = json!({"model": MODEL, "prompt": text(random, 60), "max_tokens": 0, "echo": true, "logprobs": 1});
    Ok(checked(&server.post(COMPLETIONS, &body)?, |found| found["choices"][0]["logprobs"]["token_logprobs"].is_array()))
}

fn tokenize(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let answer = server.post("/tokenize", &json!({"model": MODEL, "prompt": text(random, 100)}))?;
    Ok(checked(&answer, |found| found["count"].as_u64().is_some_and(|count| count > 0)))
}

fn models(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let path = ["/v1/models", "/v1/models/tiny", "/health"][random.random_range(0..3)];
    let request = connection.get(path);
    Ok(Reply::Status(connection.ask(&request)?.status))
}

/// A few bytes at a time, within what the server waits for.
fn slow(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let request = connection.post(CHAT, chat_body(random).to_string().as_bytes());
    for piece in request.chunks(request.len().div_ceil(30)) {
        connection.send(piece)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(checked(&connection.answer()?, has_texts))
}

fn no_json(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let deep = "[".repeat(50_000);
    let bodies: [&[u8]; 6] =
        [b"", b"{", b"{\"model\": \"tiny\", \"messages\": [}", b"[1, 2]", b"\xff\xfe\x00", deep.as_bytes()];
    let mut connection = server.open()?;
    let request =
        connection.post([CHAT, COMPLETIONS, "/tokenize"][random.random_range(0..3)], bodies[random.random_range(0..6)]);
    Ok(Reply::Status(connection.ask(&request)?.status))
}

fn other_type(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let body = seeded_chat().to_string();
    let kind = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
        [random.random_range(0..3)];
    let length = body.len().to_string();
    let head = connection.request("POST", CHAT, &[("Content-Type", kind), ("Content-Length", &length)]);
    Ok(Reply::Status(connection.ask(&[head, body.into_bytes()].concat())?.status))
}

fn unknown_model(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut body = chat_body(random);
    body["model"] = json!("gpt-4o");
    Ok(Reply::Status(server.post(CHAT, &body)?.status))
}

fn impossible_parameter(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut body = seeded_chat();
    let (name, value) = match random.random_range(0..9) {
        0 => ("temperature", json!(-1)),
        1 => ("temperature", json!("hot")),
        2 => ("n", json!(1000)),
        3 => ("max_tokens", json!(-5)),
        4 => ("tools", json!([{"type": "function"}])),
        5 => ("messages", json!([])),
        6 => ("messages", json!([{"role": "wizard", "content": 7}])),
        7 => ("stop", json!({"a": 1})),
        _ => ("no_such_parameter", json!(1)),
    };
    body[name] = value;
    Ok(Reply::Status(server.post(CHAT, &body)?.status))
}

fn too_long(server: &ChatServer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let body = json!({"model": MODEL, "prompt": "I feel sad about it. ".repeat(20_000), "max_tokens": 4});
    Ok(Reply::Status(server.post(COMPLETIONS, &body)?.status))
}

fn huge(server: &ChatServer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let body = json!({"model": MODEL, "prompt": "x".repeat(HUGE)});
    Ok(Reply::Status(server.post(COMPLETIONS, &body)?.status))
}

fn nowhere(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let request = match random.random_range(0..4) {
        0 => connection.get("/"),
        1 => connection.get("/v1/../../etc/passwd"),
        2 => connection.get(CHAT),
        _ => connection.request("DELETE", "/v1/models", &[]),
    };
    Ok(Reply::Status(connection.ask(&request)?.status))
}

fn other_host(server: &ChatServer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let request = connection.request("GET", "/v1/models", &[("Host", "elsewhere.example")]);
    Ok(Reply::Status(connection.ask(&request)?.status))
}

fn long_address(server: &ChatServer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let request = connection.get(&format!("/v1/models/{}", "x".repeat(20_000)));
    Ok(Reply::Status(connection.ask(&request)?.status))
}

fn no_http(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let mut bytes: Vec<u8> = (0..200).map(|_| random.random_range(0..=255_u32) as u8).collect();
    bytes.extend_from_slice(b"\r\n\r\n");
    Ok(Reply::Status(connection.ask(&bytes)?.status))
}

fn leave_stream(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut body = chat_body(random);
    (body["stream"], body["max_tokens"], body["ignore_eos"]) = (json!(true), json!(LONG_STREAM), json!(true));
    let mut connection = server.open()?;
    let request = connection.post(CHAT, body.to_string().as_bytes());
    connection.send(&request)?;
    let (status, length) = connection.head()?;
    if status != 200 {
        return Ok(Reply::Status(status));
    }
    let mut read = Vec::new();
    for _ in 0..random.random_range(1..6) {
        if !matches!(length, Length::Chunks) || !connection.chunk(&mut read)? {
            return Ok(Reply::Wrong("a stream that ended at once".into()));
        }
    }
    Ok(Reply::Left)
}

fn leave_at_once(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let mut body = chat_body(random);
    body["max_tokens"] = json!(LONG_STREAM);
    let request = connection.post(CHAT, body.to_string().as_bytes());
    connection.send(&request)?;
    Ok(Reply::Left)
}

fn leave_in_body(server: &ChatServer, random: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    let request = connection.post(CHAT, chat_body(random).to_string().as_bytes());
    connection.send(&request[..request.len() - 20])?;
    Ok(Reply::Left)
}

/// The server's own patience has an end.
fn half_a_head(server: &ChatServer, _: &mut ChaCha8Rng) -> io::Result<Reply> {
    let mut connection = server.open()?;
    connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: loc")?;
    Ok(Reply::Status(connection.answer()?.status))
}
