//! A server of OpenAI's API that stumbles as a test tells it to, and otherwise answers as a model would.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// What happens at an attempt instead of the right answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// This status; with `Retry-After: 0`.
    Status(u16),
    /// The connection drops before a byte was sent.
    DropAtOnce,
    /// The connection drops within the body.
    DropInBody,
    /// A body that is no answer.
    Garbage,
    /// An answer of blanks.
    Blank,
}

/// An attempt that the server saw.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The numbers in the prompt's last labelled line tell it apart.
    pub(crate) line: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

/// The running server. It ends with the process.
pub(crate) struct ScriptedServer {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// By the labelled line, what happens at its attempts, the first one last.
    scripts: Mutex<HashMap<String, Vec<Act>>>,
    seen: Mutex<Vec<Seen>>,
    delay: Duration,
}

impl ScriptedServer {
    /// `scripts` say by a labelled line what happens at its first attempts; each answer takes `delay`.
    pub(crate) fn start(scripts: &[(&str, &[Act])], delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let scripts = scripts.iter().map(|(line, acts)| ((*line).to_owned(), acts.iter().rev().copied().collect()));
        let shared = Arc::new(Shared { scripts: Mutex::new(scripts.collect()), seen: Mutex::default(), delay });
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

    pub(crate) fn model(&self) -> String {
        format!("openai:scripted@{}", self.url)
    }

    /// All attempts, in the order of their coming.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How often a labelled line was asked about.
    pub(crate) fn attempts(&self, line: &str) -> usize {
        self.seen().iter().filter(|seen| seen.line == line).count()
    }
}

/// The prompt's last labelled line.
pub(crate) fn labelled_line(prompt: &str) -> String {
    prompt.lines().rfind(|line| line.ends_with("]***")).unwrap_or_default().to_owned()
}

/// What the right answer about a labelled line says.
pub(crate) fn right_answer(line: &str) -> String {
    let label = line.rsplit_once("***[").map_or("", |(_, label)| label.trim_end_matches("]***"));
    let number = line.split_once(')').map_or("", |(number, _)| number.trim_start_matches('('));
    format!("Line {number} follows [{}] to help.", label.to_lowercase())
}

fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(seen) = read_request(&mut reader)? {
        let act = shared.scripts.lock().unwrap().get_mut(&seen.line).and_then(Vec::pop);
        shared.seen.lock().unwrap().push(seen.clone());
        std::thread::sleep(shared.delay);
        if !perform(stream, &seen, act)? {
            return Ok(());
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Seen>> {
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let line = labelled_line(body["messages"][0]["content"].as_str().unwrap_or_default());
    Ok(Some(Seen { line, authorization: headers.get("authorization").cloned(), body }))
}

/// Does what the script says; tells whether the connection stays open. In headers and refusals the key is repeated, as some servers do.
fn perform(mut stream: &TcpStream, seen: &Seen, act: Option<Act>) -> std::io::Result<bool> {
    let (line, key) = (&seen.line, seen.authorization.as_deref().unwrap_or_default());
    let answer = |text: &str| {
        json!({
            "model": "scripted-1",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10},
        })
        .to_string()
    };
    let (status, body) = match act {
        None => (200, answer(&right_answer(line))),
        Some(Act::Blank) => (200, answer(" \n")),
        Some(Act::Garbage) => (200, "<html>busy</html>".into()),
        Some(Act::Status(status)) => {
            (status, json!({"error": {"message": format!("the script says no to {key}")}}).to_string())
        }
        Some(Act::DropAtOnce) => return Ok(false),
        Some(Act::DropInBody) => {
            let body = answer(&right_answer(line));
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..body.len() / 2])?;
            return Ok(false);
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nX-Seen: {key}\r\nRetry-After: 0");
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    Ok(true)
}
