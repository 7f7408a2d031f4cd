//! A server of OpenAI's API whose answers are a function of the prompt.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// What the server says to a prompt (the last message): a text, or a status.
pub(crate) type Rule = fn(&str) -> Result<String, u16>;

/// A server that runs until the test ends.
pub(crate) struct ScriptedJudge {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Value>>>,
    authorizations: Arc<Mutex<Vec<String>>>,
}

impl ScriptedJudge {
    /// Answers by the rule, each time after so long.
    pub(crate) fn start(rule: Rule, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Self { address, asked: Arc::default(), authorizations: Arc::default() };
        let (asked, authorizations) = (server.asked.clone(), server.authorizations.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, authorizations) = (asked.clone(), authorizations.clone());
                std::thread::spawn(move || serve(stream, rule, delay, &asked, &authorizations));
            }
        });
        server
    }

    pub(crate) fn name(&self) -> String {
        format!("openai:scripted@http://{}/v1", self.address)
    }

    /// What all requests so far had in their header `Authorization`.
    pub(crate) fn authorizations(&self) -> Vec<String> {
        self.authorizations.lock().unwrap().clone()
    }

    /// The bodies of all requests so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers one request after the other until the client hangs up. In headers and refusals it repeats the key, as some servers do.
fn serve(
    mut stream: TcpStream,
    rule: Rule,
    delay: Duration,
    asked: &Mutex<Vec<Value>>,
    authorizations: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some((authorization, body)) = request(&mut reader) {
        asked.lock().unwrap().push(body.clone());
        authorizations.lock().unwrap().push(authorization.clone());
        std::thread::sleep(delay);
        let prompt = body["messages"].as_array().and_then(|messages| messages.last()?["content"].as_str());
        let (status, answer) = match rule(prompt.unwrap_or_default()) {
            Ok(text) => (200, completion(&text)),
            Err(status) => (status, json!({"error": {"message": format!("the script says no to {authorization}")}})),
        };
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nX-Seen: {authorization}\r\nRetry-After: 0"
        );
        if write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).is_err() {
            return;
        }
    }
}

/// What authorises a request, and its body.
fn request(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_ascii_lowercase(), value.to_owned())),
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let authorization = headers.remove("authorization").unwrap_or_default();
    Some((authorization, serde_json::from_slice(&body).ok()?))
}

fn completion(text: &str) -> Value {
    json!({
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    })
}

/// What stands between two marks of a prompt.
pub(crate) fn between<'a>(prompt: &'a str, from: &str, to: &str) -> &'a str {
    prompt.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map_or("", |(inner, _)| inner.trim())
}
