//! A server of the API that does what a test tells it to, well or badly.
//!
//! A request is known by the text of its last message (or its prompt); a script says what happens at its first attempt, at its
//! second and so on. After that, and where there is no script, it is answered as it should be.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What happens at an attempt.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// The right answer.
    Answer,
    /// This status, with these headers and this body.
    Status(u16, &'static str, String),
    /// This body with status 200.
    Body(&'static str, String),
    /// The connection drops before a byte was sent.
    DropAtOnce,
    /// The connection drops within the headers.
    DropInHead,
    /// The connection drops within the body.
    DropInBody,
    /// The body is shorter than a JSON object, in well-formed HTTP.
    Truncated,
    /// Nothing comes, ever.
    Silence,
    /// The head comes a byte at a time, without end.
    DripHead,
    /// The body comes a byte at a time, without end.
    DripBody,
    /// More than a client should read.
    Huge(usize),
    /// So many pieces of a stream, then the connection drops.
    CutStream(usize),
    /// So many pieces of a stream, then nothing, ever.
    StalledStream(usize),
    /// A whole stream with other words.
    OtherStream(Vec<&'static str>),
    /// An error within a stream.
    ErrorInStream,
    /// The right answer, after a while.
    Slow(Duration),
}

/// An attempt that the server saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) prompt: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
    pub(crate) at: Instant,
}

/// The running server. It ends with the process.
pub(crate) struct ScriptedServer {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    scripts: Mutex<HashMap<String, Vec<Act>>>,
    seen: Mutex<Vec<Seen>>,
    at_work: AtomicUsize,
    most_at_work: AtomicUsize,
}

impl ScriptedServer {
    pub(crate) fn start(scripts: &[(&str, &[Act])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let scripts = scripts.iter().map(|(prompt, acts)| ((*prompt).to_owned(), acts.iter().rev().cloned().collect()));
        let shared = Arc::new(Shared {
            scripts: Mutex::new(scripts.collect()),
            seen: Mutex::default(),
            at_work: AtomicUsize::new(0),
            most_at_work: AtomicUsize::new(0),
        });
        let server = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = server.clone();
                // A client may hang up at any time.
                std::thread::spawn(move || {
                    let _ = converse(&stream, &shared);
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { url, shared }
    }

    /// All attempts, in the order of their coming.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How often a prompt was asked.
    pub(crate) fn attempts(&self, prompt: &str) -> usize {
        self.seen().iter().filter(|seen| seen.prompt == prompt).count()
    }

    /// Most requests that were being answered at a time.
    pub(crate) fn most_at_work(&self) -> usize {
        self.shared.most_at_work.load(Ordering::SeqCst)
    }
}

/// What the right answer to a prompt says.
pub(crate) fn right_answer(prompt: &str) -> String {
    format!("This is the answer to {prompt}: é.")
}

fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read_request(&mut reader)? {
        let act = shared.scripts.lock().unwrap().get_mut(&seen.prompt).and_then(Vec::pop).unwrap_or(Act::Answer);
        shared.seen.lock().unwrap().push(seen.clone());
        let now = shared.at_work.fetch_add(1, Ordering::SeqCst) + 1;
        shared.most_at_work.fetch_max(now, Ordering::SeqCst);
        let goes_on = perform(stream, &seen, act);
        shared.at_work.fetch_sub(1, Ordering::SeqCst);
        if !goes_on? {
            return Ok(());
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Seen>> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            text => head.push(text.to_owned()),
        }
    }
    let header = |name: &str| {
        head.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let last = body["messages"].as_array().and_then(|messages| messages.last());
    let prompt = last.map_or(&body["prompt"], |message| &message["content"]);
    Ok(Some(Seen {
        path: head[0].split(' ').nth(1).unwrap_or_default().to_owned(),
        prompt: prompt.as_str().map_or_else(|| prompt.to_string(), str::to_owned),
        authorization: header("authorization"),
        body,
        at: Instant::now(),
    }))
}

/// Does what the script says; tells whether the connection stays open.
fn perform(mut stream: &TcpStream, seen: &Seen, act: Act) -> std::io::Result<bool> {
    let streams = seen.body["stream"] == true;
    let text = right_answer(&seen.prompt);
    match act {
        Act::Answer if streams => stream_pieces(stream, seen, &pieces(&text), usize::MAX)?,
        Act::Answer => send(stream, "application/json", &answer(seen, &text))?,
        Act::Slow(time) => {
            std::thread::sleep(time);
            return perform(stream, seen, Act::Answer);
        }
        Act::Status(status, headers, body) => {
            write!(stream, "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())?;
        }
        Act::Body(kind, body) => send(stream, kind, &body)?,
        Act::DropAtOnce => return Ok(false),
        Act::DropInHead => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Le")?;
            return Ok(false);
        }
        Act::DropInBody => {
            let body = answer(seen, &text);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..body.len() / 2])?;
            return Ok(false);
        }
        Act::Truncated => {
            let body = answer(seen, &text);
            send(stream, "application/json", &body[..body.len() - 3])?;
        }
        Act::Silence => return wait_for_hang_up(stream),
        Act::DripHead => {
            write!(stream, "HTTP/1.1 200 OK\r\nX-Long: ")?;
            return drip(stream);
        }
        Act::DripBody => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")?;
            return drip(stream);
        }
        Act::Huge(size) => send(stream, "application/json", &format!("{{\"padding\": \"{}\"}}", "x".repeat(size)))?,
        Act::CutStream(count) => {
            stream_pieces(stream, seen, &pieces(&text), count)?;
            return Ok(false);
        }
        Act::StalledStream(count) => {
            stream_pieces(stream, seen, &pieces(&text), count)?;
            return wait_for_hang_up(stream);
        }
        Act::OtherStream(words) => {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            stream_pieces(stream, seen, &words, usize::MAX)?;
        }
        Act::ErrorInStream => {
            begin_stream(stream)?;
            chunk(stream, "data: {\"error\": {\"message\": \"out of memory\"}}\n\n")?;
            chunk(stream, "")?;
        }
    }
    Ok(true)
}

fn send(mut stream: &TcpStream, kind: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn answer(seen: &Seen, text: &str) -> String {
    let mut choice = json!({"index": 0, "finish_reason": "stop", "stop_reason": null});
    match seen.path.ends_with("/chat/completions") {
        true => choice["message"] = json!({"role": "assistant", "content": text}),
        false => choice["text"] = json!(text),
    }
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}});
    json!({"id": "1", "model": "scripted-1", "choices": [choice], "usage": usage}).to_string()
}

fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

fn begin_stream(mut stream: &TcpStream) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
}

fn chunk(mut stream: &TcpStream, data: &str) -> std::io::Result<()> {
    write!(stream, "{:x}\r\n{data}\r\n", data.len())?;
    stream.flush()
}

/// Sends up to so many pieces, and the end if all are sent.
fn stream_pieces(stream: &TcpStream, seen: &Seen, pieces: &[String], count: usize) -> std::io::Result<()> {
    begin_stream(stream)?;
    let event = |choice: Value| format!("data: {}\n\n", json!({"model": "scripted-1", "choices": [choice]}));
    for piece in pieces.iter().take(count) {
        let choice = match seen.path.ends_with("/chat/completions") {
            true => json!({"index": 0, "delta": {"content": piece}, "finish_reason": null}),
            false => json!({"index": 0, "text": piece, "finish_reason": null}),
        };
        chunk(stream, &event(choice))?;
    }
    if count < pieces.len() {
        return Ok(());
    }
    chunk(stream, &event(json!({"index": 0, "delta": {}, "finish_reason": "stop"})))?;
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}});
    chunk(stream, &format!("data: {usage}\n\ndata: [DONE]\n\n"))?;
    chunk(stream, "")
}

/// A byte every 20 ms, until the client has had enough.
fn drip(mut stream: &TcpStream) -> std::io::Result<bool> {
    loop {
        stream.write_all(b"x")?;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait_for_hang_up(mut stream: &TcpStream) -> std::io::Result<bool> {
    let mut nothing = [0; 64];
    while stream.read(&mut nothing)? > 0 {}
    Ok(false)
}
