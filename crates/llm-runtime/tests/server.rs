//! The engine behind the API: what a client gets is what the engine gives, alone or among many, and wrong requests are told what is
//! wrong.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use golden_files::root;
use llm_runtime::server::{ServerOptions, serve};
use llm_runtime::{
    ApiKey, CancelToken, Completion, Continuation, Engine, EngineOptions, Error, Event, FinishReason,
    GenerationOptions, KeySource, LoadOptions, Message, Prompt, RemoteAddress, RemoteModel, RemoteOptions, Request,
    RunStatistics, ScoreRequest, TextModel,
};
use serde_json::{Value, json};

use crate::llama::generate;

const NAME: &str = "tiny/llama@1";

fn engine() -> Engine {
    let mut options = LoadOptions::new(root().join("fixtures/models/tiny-llama").to_string_lossy());
    options.engine = EngineOptions { kv_memory: 64 << 20, ..EngineOptions::default() };
    Engine::load(&options, &|_| ()).unwrap()
}

/// A server of the tiny model on a thread of its own; dropped, it ends.
struct Served {
    address: SocketAddr,
    stop: CancelToken,
    thread: Option<JoinHandle<Result<RunStatistics, Error>>>,
}

impl Served {
    fn start() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut ServerOptions)) -> Self {
        let mut options = ServerOptions { address: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServerOptions::new(NAME) };
        change(&mut options);
        let (stop, (sender, addresses)) = (CancelToken::new(), channel());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            serve(&mut engine(), &options, &stopped, |address| sender.send(address).unwrap())
        });
        let address = addresses.recv_timeout(Duration::from_secs(60)).unwrap();
        Self { address, stop, thread: Some(thread) }
    }

    fn end(mut self) -> RunStatistics {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap().unwrap()
    }

    fn options(&self) -> RemoteOptions {
        let address = RemoteAddress::new(NAME, &format!("http://{}/v1", self.address)).unwrap();
        RemoteOptions { key: KeySource::Nowhere, ..RemoteOptions::new(address) }
    }

    fn remote(&self) -> RemoteModel {
        RemoteModel::new(self.options()).unwrap()
    }

    /// Sends a request over a socket and reads to the end: status, head and body.
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = self.open(method, path, headers, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
    }

    /// HTTP/1.0, so that bodies come without chunks and end with the connection.
    fn open(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        let kind = if headers.contains("Content-Type") { "" } else { "Content-Type: application/json\r\n" };
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.0\r\n{host}{kind}{headers}Content-Length: {length}\r\n\r\n{body}")
            .unwrap();
        stream
    }

    fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, _, text) = self.ask("POST", path, "", &body.to_string());
        (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    fn chat(&self, more: Value) -> (u16, Value) {
        self.post("/v1/chat/completions", chat_body(more))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn chat_body(more: Value) -> Value {
    let mut body = json!({"model": NAME, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// Requests of every kind: chats, text and token ids; greedy and sampled; with stops, penalties and log-probabilities.
fn requests(count: u64) -> Vec<Request> {
    (0..count)
        .map(|key| {
            let text = format!("Number {key}: I moved to a new town and know nobody.");
            let prompt = match key % 4 {
                0 => Prompt::Text(text),
                1 => Prompt::Tokens((3..20 + key as u32).collect()),
                _ => Prompt::Chat(vec![Message::system("Be kind."), Message::user(text)]),
            };
            let options = GenerationOptions {
                max_new_tokens: 12 + key as usize % 5,
                temperature: if key % 3 == 0 { 0.0 } else { 0.9 },
                top_k: if key % 5 == 0 { 20 } else { 0 },
                top_p: if key % 2 == 0 { 0.95 } else { 1.0 },
                min_p: if key % 7 == 0 { 0.01 } else { 0.0 },
                repetition_penalty: if key % 6 == 0 { 1.2 } else { 1.0 },
                min_new_tokens: if key % 8 == 0 { 3 } else { 0 },
                ignore_eos: key % 9 == 0,
                stop: if key % 4 == 2 { vec!["e".into(), "\n".into()] } else { Vec::new() },
                seed: key,
                logprobs: [None, Some(0), Some(3)][key as usize % 3],
                ..GenerationOptions::default()
            };
            Request::new(key, prompt, options)
        })
        .collect()
}

fn collect(model: &mut dyn TextModel, requests: Vec<Request>) -> (BTreeMap<u64, Completion>, BTreeMap<u64, String>) {
    let (mut completions, mut told) = (BTreeMap::new(), BTreeMap::<u64, String>::new());
    model
        .generate(&mut requests.into_iter(), &mut |event| {
            match event {
                Event::Text { key, delta } => told.entry(key).or_default().push_str(&delta),
                Event::Finished(completion) => assert!(completions.insert(completion.key, completion).is_none()),
                Event::Failed { key, error } => panic!("{key}: {error}"),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    (completions, told)
}

fn assert_same(local: &Completion, remote: &Completion) {
    let bits = |completion: &Completion| {
        let entry = |token: u32, logprob: f32| (token, logprob.to_bits());
        let tops =
            completion.logprobs.iter().map(|one| one.top.iter().map(|(token, value)| entry(*token, *value)).collect());
        let tops: Vec<Vec<(u32, u32)>> = tops.collect();
        (completion.logprobs.iter().map(|one| entry(one.token, one.logprob)).collect::<Vec<_>>(), tops)
    };
    assert_eq!((&local.text, &local.tokens), (&remote.text, &remote.tokens), "{}", local.key);
    assert_eq!((local.finish_reason, local.new_tokens), (remote.finish_reason, remote.new_tokens), "{}", local.key);
    assert_eq!(local.prompt_tokens, remote.prompt_tokens, "{}", local.key);
    assert_eq!(bits(local), bits(remote), "{}", local.key);
}

#[test]
fn a_remote_model_gets_what_the_engine_gives_whole_or_streamed() {
    let served = Served::start();
    let mut local = engine();
    let expected = generate(&mut local, requests(24));
    assert!(expected.iter().any(|completion| completion.finish_reason == FinishReason::Stop));
    for streaming in [false, true] {
        let mut remote = RemoteModel::new(RemoteOptions { streaming, ..served.options() }).unwrap();
        let (completions, told) = collect(&mut remote, requests(24));
        for completion in &expected {
            assert_same(completion, &completions[&completion.key]);
            assert_eq!(told.get(&completion.key).map_or("", String::as_str), completion.text, "{}", completion.key);
        }
    }
}

#[test]
fn sixty_four_clients_at_a_time_get_what_each_would_get_alone() {
    let served = Served::start();
    let mut local = engine();
    let alone: Vec<Completion> = requests(64)
        .into_iter()
        .map(|request| {
            local.clear_cache();
            generate(&mut local, vec![request]).remove(0)
        })
        .collect();
    let start = Barrier::new(64);
    let together: Vec<Completion> = std::thread::scope(|scope| {
        let clients: Vec<_> = requests(64)
            .into_iter()
            .map(|request| {
                let (mut remote, start) = (served.remote(), &start);
                scope.spawn(move || {
                    start.wait();
                    let key = request.key;
                    collect(&mut remote, vec![request]).0.remove(&key).unwrap()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for (alone, together) in alone.iter().zip(&together) {
        assert_same(alone, together);
    }
    assert_eq!(served.end().requests, 64);
}

#[test]
fn scores_of_a_server_are_those_of_the_engine() {
    let served = Served::start();
    let chat = Prompt::Chat(vec![Message::system("Be kind."), Message::user("I failed.")]);
    let text = Prompt::Text("I failed, and".into());
    let mut requests: Vec<ScoreRequest> = ["I hear you.", " I hear you.", "ed", ""]
        .into_iter()
        .flat_map(|continuation| [chat.clone(), text.clone()].map(|prompt| (prompt, continuation)))
        .map(|(prompt, continuation)| ScoreRequest::new(prompt, Continuation::Text(continuation.into())))
        .collect();
    requests.push(ScoreRequest::new(Prompt::Tokens(vec![1, 5, 9]), Continuation::Tokens(vec![7, 8])));
    requests.push(ScoreRequest::new(chat, Continuation::Tokens(vec![7, 8, 2])));
    let local = engine().score(&requests).unwrap();
    let remote = served.remote().score(&requests).unwrap();
    for (number, (local, remote)) in local.iter().zip(&remote).enumerate() {
        assert_eq!(local.as_ref().unwrap(), remote.as_ref().unwrap(), "{number}");
    }
}

#[test]
fn a_chat_is_answered_in_the_apis_form() {
    let served = Served::start();
    let (status, answer) = served.chat(json!({"temperature": 0, "logprobs": true, "top_logprobs": 2}));
    assert_eq!((status, &answer["object"], &answer["model"]), (200, &json!("chat.completion"), &json!(NAME)));
    let choice = &answer["choices"][0];
    assert_eq!((&choice["index"], &choice["message"]["role"]), (&json!(0), &json!("assistant")));
    let tokens = choice["logprobs"]["content"].as_array().unwrap();
    let usage = &answer["usage"];
    assert_eq!(usage["completion_tokens"], tokens.len());
    let count = |name: &str| usage[name].as_u64().unwrap();
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));
    let mut bytes = Vec::new();
    for token in tokens {
        assert_eq!(token["top_logprobs"].as_array().unwrap().len(), 2);
        assert_eq!(
            token["top_logprobs"][0],
            json!({"token": token["token"], "logprob": token["logprob"], "bytes": token["bytes"]})
        );
        bytes.extend(token["bytes"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8));
    }
    let text = choice["message"]["content"].as_str().unwrap();
    assert!(String::from_utf8_lossy(&bytes).trim_start().starts_with(text.trim()), "{text:?}");
    assert!(answer["system_fingerprint"].as_str().unwrap().starts_with("fp_"));
}

#[test]
fn several_choices_are_those_of_their_seeds() {
    let served = Served::start();
    let more = |seed: u64, n: usize| json!({"temperature": 1, "seed": seed, "n": n});
    let (_, three) = served.chat(more(5, 3));
    for choice in 0..3 {
        let (_, one) = served.chat(more(5 + choice as u64, 1));
        assert_eq!(three["choices"][choice]["index"], choice);
        assert_eq!(three["choices"][choice]["message"], one["choices"][0]["message"], "{choice}");
    }
    assert_ne!(three["choices"][0]["message"], three["choices"][1]["message"]);
    let body = json!({"model": NAME, "prompt": ["One", "Two"], "n": 2, "seed": 3, "max_tokens": 5});
    let (_, four) = served.post("/v1/completions", body);
    let indices: Vec<&Value> = four["choices"].as_array().unwrap().iter().map(|choice| &choice["index"]).collect();
    assert_eq!(indices, [0, 1, 2, 3]);
}

#[test]
fn a_stream_is_the_whole_in_pieces() {
    let served = Served::start();
    let more = json!({"temperature": 0.8, "seed": 4, "n": 2, "max_tokens": 30, "logprobs": true});
    let (_, whole) = served.chat(more.clone());
    let mut body = chat_body(more);
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let (status, head, text) = served.ask("POST", "/v1/chat/completions", "", &body.to_string());
    assert!(status == 200 && head.contains("content-type: text/event-stream"), "{head}");
    let events: Vec<&str> = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    let (last, pieces) = events.split_last().unwrap();
    assert_eq!(*last, "[DONE]");
    let pieces: Vec<Value> = pieces.iter().map(|piece| serde_json::from_str(piece).unwrap()).collect();
    assert!(pieces.len() > 10, "{}", pieces.len());
    for index in 0..2 {
        let (mut text, mut logprobs, mut ends) = (String::new(), Vec::new(), Vec::new());
        for choice in pieces.iter().flat_map(|piece| piece["choices"].as_array().unwrap()) {
            if choice["index"] == index {
                text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
                logprobs.extend(choice["logprobs"]["content"].as_array().into_iter().flatten().cloned());
                ends.extend(choice["finish_reason"].as_str());
            }
        }
        let expected = &whole["choices"][index];
        assert_eq!(text, expected["message"]["content"].as_str().unwrap());
        assert_eq!(Value::from(logprobs), expected["logprobs"]["content"]);
        assert_eq!(ends, [expected["finish_reason"].as_str().unwrap()]);
    }
    let usage = &pieces.last().unwrap()["usage"];
    assert_eq!(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
    assert!(pieces.iter().rev().skip(1).all(|piece| piece["usage"].is_null() && piece["id"] == pieces[0]["id"]));
}

#[test]
fn an_echo_tells_the_prompts_own_scores() {
    let served = Served::start();
    let body = json!({"model": NAME, "prompt": "I failed, and", "echo": true, "logprobs": 1, "max_tokens": 3, "temperature": 0});
    let (status, answer) = served.post("/v1/completions", body);
    let choice = &answer["choices"][0];
    assert!(status == 200 && choice["text"].as_str().unwrap().starts_with("I failed, and"), "{answer}");
    let logprobs = &choice["logprobs"];
    let (tokens, values) = (logprobs["tokens"].as_array().unwrap(), logprobs["token_logprobs"].as_array().unwrap());
    assert_eq!(tokens.len(), values.len());
    assert_eq!(tokens.len() as u64, answer["usage"]["total_tokens"].as_u64().unwrap());
    assert!(values[0].is_null() && values[1..].iter().all(|value| value.as_f64().unwrap() < 0.0));
    let (status, only) = served.post(
        "/v1/completions",
        json!({"model": NAME, "prompt": "I failed, and", "echo": true, "logprobs": 0, "max_tokens": 0}),
    );
    assert_eq!((status, &only["choices"][0]["text"]), (200, &json!("I failed, and")));
    let count = only["choices"][0]["logprobs"]["tokens"].as_array().unwrap().len();
    assert_eq!(values[..count], only["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap()[..]);
}

#[test]
fn wrong_requests_are_told_what_is_wrong() {
    let served = Served::with(|options| options.largest_body = 100_000);
    let long = "word ".repeat(9000);
    let chat = |more: Value| ("/v1/chat/completions", chat_body(more).to_string());
    let table = [
        (400, json!("temperature"), chat(json!({"temperature": 9}))),
        (400, json!("temprature"), chat(json!({"temprature": 1}))),
        (400, json!("messages"), chat(json!({"messages": []}))),
        (400, json!("messages[0].role"), chat(json!({"messages": [{"role": "robot", "content": ""}]}))),
        (400, json!("messages"), chat(json!({"messages": [{"role": "user", "content": long}]}))),
        (400, json!("messages"), chat(json!({"max_tokens": 100_000}))),
        (400, json!("messages"), chat(json!({"max_tokens": u64::MAX}))),
        (400, json!("typical_p"), chat(json!({"typical_p": 0}))),
        (400, json!("n"), chat(json!({"n": 0}))),
        (400, json!("model"), chat(json!({"model": null}))),
        (400, json!("model"), chat(json!({"model": 7}))),
        (404, json!("model"), chat(json!({"model": "gpt-4o"}))),
        (400, Value::Null, ("/v1/chat/completions", "{".into())),
        (400, Value::Null, ("/v1/chat/completions", "[]".into())),
        (400, json!("prompt"), ("/v1/completions", json!({"model": NAME}).to_string())),
        (400, json!("prompt"), ("/v1/completions", json!({"model": NAME, "prompt": [99_999_999]}).to_string())),
        (400, json!("prompt"), ("/v1/completions", json!({"model": NAME, "prompt": [[]]}).to_string())),
        (
            400,
            json!("prompt"),
            ("/v1/completions", json!({"model": NAME, "prompt": vec!["a"; 100], "n": 2}).to_string()),
        ),
        (
            400,
            json!("echo"),
            (
                "/v1/completions",
                json!({"model": NAME, "prompt": "a", "echo": true, "logprobs": 1, "stream": true}).to_string(),
            ),
        ),
        (
            400,
            json!("add_generation_prompt"),
            ("/tokenize", chat_body(json!({"add_generation_prompt": false, "max_tokens": null})).to_string()),
        ),
        (413, Value::Null, ("/v1/chat/completions", "x".repeat(200_000))),
        (404, Value::Null, ("/v2/chat", "{}".into())),
        (405, Value::Null, ("/v1/models", "{}".into())),
    ];
    for (status, parameter, (path, body)) in table {
        let (found, _, text) = served.ask("POST", path, "", &body);
        let shown = &body[..body.len().min(200)];
        let error: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} for {shown}"));
        assert_eq!((found, &error["error"]["param"]), (status, &parameter), "{shown}: {text}");
        assert!(!error["error"]["message"].as_str().unwrap().is_empty());
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(served.ask("POST", "/v1/completions", form, "{}").0, 415);
    let (_, error) = served.chat(json!({"max_tokens": 100_000}));
    assert_eq!(error["error"]["code"], "context_length_exceeded");
    assert_eq!(error["error"]["param"], "messages");
    let body = json!({"model": NAME, "prompt": "a", "max_tokens": 100_000}).to_string();
    let error = served.ask("POST", "/v1/completions", "", &body).2;
    assert!(error.contains("context_length_exceeded") && error.contains(r#""param":"prompt""#), "{error}");
    // Nothing of that harmed anybody.
    assert_eq!(served.chat(json!({})).0, 200);
}

#[test]
fn without_a_length_the_answer_may_fill_the_context() {
    let served = Served::start();
    let (status, answer) = served.chat(json!({"max_tokens": null, "ignore_eos": true}));
    assert_eq!((status, answer["choices"][0]["finish_reason"].as_str()), (200, Some("length")), "{answer}");
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() > 100, "{}", answer["usage"]);
}

#[test]
fn models_and_health_are_told() {
    let served = Served::start();
    let get = |path: &str| {
        let (status, _, body) = served.ask("GET", path, "", "");
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    assert_eq!(get("/v1/models").1["data"][0]["id"], NAME);
    assert_eq!(get(&format!("/v1/models/{NAME}")).1["id"], NAME);
    assert_eq!(get("/v1/models/other").0, 404);
    assert_eq!(get("/health"), (200, json!({"status": "ok"})));
}

#[test]
fn only_known_hosts_and_keys_are_served() {
    let key = "sk-of-this-server-1";
    let served = Served::with(|options| {
        options.key = Some(ApiKey::new(key).unwrap());
        options.hosts = vec!["Solace.test".into()];
    });
    let status = |headers: &str| served.ask("GET", "/v1/models", headers, "").0;
    let bearer = format!("Authorization: Bearer {key}\r\n");
    assert_eq!(status(&bearer), 200);
    assert_eq!(status(""), 401);
    assert_eq!(status("Authorization: Bearer sk-of-this-server-2\r\n"), 401);
    assert_eq!(status(&format!("Authorization: {key}\r\n")), 401);
    assert_eq!(status(&format!("{bearer}Host: evil.example\r\n")), 403);
    assert_eq!(status(&format!("{bearer}Host: solace.TEST\r\n")), 200);
    assert_eq!(served.ask("GET", "/health", "", "").0, 200);
    let open = Served::with(|options| options.address = SocketAddr::from(([0, 0, 0, 0], 0)));
    assert_eq!(
        open.ask("GET", "/v1/models", "Host: gpu.example\r\n", "").0,
        200,
        "who binds elsewhere is known by any name"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), key).unwrap();
    let with_key = RemoteOptions { key: KeySource::File(folder.path().join("key")), ..served.options() };
    assert_eq!(collect(&mut RemoteModel::new(with_key).unwrap(), requests(1)).0.len(), 1);
    let error = served.remote().generate(&mut requests(1).into_iter(), &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
}

/// A request that runs for long; the place it takes is the only one.
fn long_request(stream: bool) -> String {
    chat_body(json!({"max_tokens": 8000, "ignore_eos": true, "stream": stream})).to_string()
}

/// A client whose long request has the only place of a queue of one, and what another client is told meanwhile.
fn with_the_only_place(served: &Served, streams: bool) -> (TcpStream, (u16, String, String)) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let client = served.open("POST", "/v1/chat/completions", "", &long_request(streams));
        let answer = served.ask("POST", "/v1/chat/completions", "", &chat_body(json!({})).to_string());
        // Else the short request was quicker.
        if answer.0 != 200 {
            return (client, answer);
        }
        assert!(Instant::now() < deadline, "the queue is never full");
    }
}

#[test]
fn a_full_queue_is_told_and_a_client_that_leaves_makes_room() {
    let served = Served::with(|options| options.queue = 1);
    for streams in [true, false] {
        let deadline = Instant::now() + Duration::from_secs(60);
        let ask = || served.ask("POST", "/v1/chat/completions", "", &chat_body(json!({})).to_string());
        let (client, (status, head, body)) = with_the_only_place(&served, streams);
        assert!(status == 503 && head.contains("retry-after: 1") && body.contains("queue_full"), "{head}\n{body}");
        drop(client);
        while ask().0 != 200 {
            assert!(Instant::now() < deadline, "the client has gone, but its request goes on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let statistics = served.end();
    assert!(statistics.generated_tokens < 8000, "a request was served to its end: {statistics:?}");
}

#[test]
fn slow_senders_are_not_waited_for() {
    let served = Served::with(|options| {
        options.head_timeout = Duration::from_millis(300);
        options.body_timeout = Duration::from_millis(300);
    });
    let start = Instant::now();
    let mut head = TcpStream::connect(served.address).unwrap();
    write!(head, "POST /v1/completions HTTP/1.1\r\nHost: ").unwrap();
    let mut body = TcpStream::connect(served.address).unwrap();
    let kind = "Content-Type: application/json\r\n";
    write!(body, "POST /v1/completions HTTP/1.1\r\nHost: {}\r\n{kind}Content-Length: 100\r\n\r\n{{", served.address)
        .unwrap();
    let mut answer = String::new();
    body.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let mut rest = String::new();
    head.read_to_string(&mut rest).unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(served.chat(json!({})).0, 200);
}

#[test]
fn a_server_that_is_told_to_end_leaves_nobody_waiting() {
    let served = Served::with(|options| options.queue = 1);
    let (mut client, _) = with_the_only_place(&served, false);
    let start = Instant::now();
    served.end();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 503") && answer.contains("shutting_down"), "{answer}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
