//! `sra head2head`: at the terminal through pipes, and as a server through raw sockets and a browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::program::{gguf, model, sra, text};

/// A folder for preferences, and the words that all comparisons share.
struct Arena {
    folder: tempfile::TempDir,
}

impl Arena {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn out(&self) -> String {
        self.folder.path().join("preferences.jsonl").to_string_lossy().into_owned()
    }

    fn command(&self, more: &[&str]) -> Command {
        let (model, gguf, out) = (model(), gguf(), self.out());
        let (model, gguf) = (model.to_string_lossy(), gguf.to_string_lossy());
        let mut words = vec!["head2head", "--model", &model, "--against", &gguf, "--out", &out];
        for usual in [["--kv-memory", "64M"], ["--max-new-tokens", "12"]] {
            if !more.contains(&usual[0]) {
                words.extend(usual);
            }
        }
        let mut command = sra(&[&words[..], more].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What is said of these lines.
    fn chat(&self, more: &[&str], lines: &[&str]) -> Output {
        let mut child = self.command(more).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        output
    }

    fn rows(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The answers 1 and 2 of every turn, as they were shown.
fn shown(output: &Output) -> Vec<[String; 2]> {
    let printed = text(&output.stdout);
    let answers = |mark: &str| -> Vec<String> {
        printed.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
    };
    answers("1> ").into_iter().zip(answers("2> ")).map(|(left, right)| [left, right]).collect()
}

#[test]
fn both_models_hear_the_same_and_preferences_name_the_model_behind_the_side() {
    let arena = Arena::new();
    let lines = ["/strategy 7", "I failed my test.", "1", "What now?", "2", "Really?", "=", "Well.", "", "/quit"];
    let output = arena.chat(&["--seed", "3"], &lines);
    let (rows, shown) = (arena.rows(), shown(&output));
    assert_eq!((rows.len(), shown.len()), (3, 4));
    for (row, [left, right]) in rows.iter().zip(&shown) {
        let sides = if row["left"] == "first" { ["first", "second"] } else { ["second", "first"] };
        // White space in an answer may break its line.
        for (side, shown) in sides.iter().zip([left, right]) {
            assert!(row[side]["text"].as_str().unwrap().starts_with(shown.as_str()), "{row}: {shown}");
        }
        assert!(row["first"]["model"].as_str().unwrap().ends_with("tiny-llama"));
        assert!(row["second"]["model"].as_str().unwrap().ends_with(".gguf"));
        assert_eq!((&row["strategy"], &row["layout"]), (&json!("Offer Hope"), &json!("standard")));
    }
    let side = |liked: usize| if (rows[0]["left"] == "first") == (liked == 1) { "first" } else { "second" };
    let preferred: Vec<&str> = rows.iter().map(|row| row["preferred"].as_str().unwrap()).collect();
    assert_eq!(preferred, [side(1), side(2), "tie"]);
    assert_eq!(rows.iter().map(|row| row["turn"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(rows[1]["text"], "What now?");
    // Sides stay for the chat, and nothing on the screen tells which model is which before the end.
    assert!(rows.iter().all(|row| row["left"] == rows[0]["left"]));
    let printed = text(&output.stdout);
    let (chat, tally) = printed.split_once("\nA  ").unwrap();
    assert!(!chat.contains("tiny-llama") && tally.contains("sign test"), "{printed}");
    assert!(tally.contains("Offer Hope"), "{printed}");
    // Each model answers to its own history: the second answers are those of two chats, each with one model.
    let alone = |model: &Path, seed: &str| {
        let model = model.to_string_lossy().into_owned();
        let words = ["chat", "--model", &model, "--seed", seed, "--max-new-tokens", "12", "--kv-memory", "64M"];
        let mut child = sra(&[&words[..], &["--format", "json"]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"/strategy 7\nI failed my test.\nWhat now?\n").unwrap();
        let told = text(&child.wait_with_output().unwrap().stdout);
        let turn: Value = serde_json::from_str(told.lines().nth(1).unwrap()).unwrap();
        turn["text"].clone()
    };
    // The seed of the first turn is that of the chat.
    let seed = rows[0]["first"]["seed"].to_string();
    assert_eq!(rows[1]["first"]["text"], alone(&model(), &seed));
    assert_eq!(rows[1]["second"]["text"], alone(&gguf(), &seed));
}

#[test]
fn preferences_are_added_to_those_that_are_there_and_sides_change_between_chats() {
    let arena = Arena::new();
    let lines: Vec<&str> = std::iter::repeat_n(["Hello!", "1", "/reset"], 8).flatten().collect();
    arena.chat(&[], &lines);
    let output = arena.chat(&["--format", "json"], &["Hello!", "2"]);
    let rows = arena.rows();
    assert_eq!(rows.len(), 9);
    let chats: Vec<u64> = rows.iter().map(|row| row["chat"].as_u64().unwrap()).collect();
    assert_eq!(chats, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let on_the_left = rows.iter().filter(|row| row["left"] == "first").count();
    assert!((1..9).contains(&on_the_left), "sides are drawn for each chat");
    let tally: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |what: &str| tally["all"][what].as_u64().unwrap();
    assert_eq!(count("wins") + count("ties") + count("losses"), 9);
    assert!((tally["left"].as_f64().unwrap() - 8.0 / 9.0).abs() < 1e-12);
    // Another pair of models has a file of its own.
    let gguf = gguf().to_string_lossy().into_owned();
    let words = ["head2head", "--model", &gguf, "--against", &gguf, "--out", &arena.out(), "--kv-memory", "64M"];
    let output = sra(&words).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("holds rows made by"), "{}", text(&output.stderr));
}

#[test]
fn commands_work_between_and_instead_of_opinions() {
    let arena = Arena::new();
    let lines = [
        "Hello!",
        "what",
        "/strategy 3",
        "/retry",
        "1",
        "/undo",
        "/undo",
        "/history",
        "/layout c1_hf",
        "/save x",
        "/monitor",
        "/stratgey",
        "Again.",
        "=",
        "/history",
        "/reveal",
        "/history",
        "//quit",
        "",
    ];
    let output = arena.chat(&[], &lines);
    let (rows, told, problems) = (arena.rows(), text(&output.stdout), text(&output.stderr));
    assert_eq!(rows.len(), 2);
    // After /retry the same text is the first turn again, and after /undo another one is.
    assert_eq!(
        (&rows[0]["text"], &rows[0]["turn"], &rows[0]["strategy"]),
        (&json!("Hello!"), &json!(1), &json!("Clarification"))
    );
    assert_eq!(
        (&rows[1]["text"], &rows[1]["turn"], &rows[1]["layout"]),
        (&json!("Again."), &json!(1), &json!("c1_hf"))
    );
    assert_ne!(rows[0]["id"], rows[1]["id"]);
    for expected in ["nothing was said yet", "you> Again.\n1 (Clarification)> ", "a new chat"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let revealed = told.lines().find(|line| line.starts_with("1 was ")).unwrap();
    assert!(revealed.contains("tiny-llama") && revealed.contains(".gguf"), "{revealed}");
    let first_is_left = revealed.find(".gguf") > revealed.find("2 was");
    assert_eq!(rows[1]["left"], if first_is_left { "first" } else { "second" });
    for expected in [
        "1 or 2 for the better answer",
        "no exchange to take back",
        "chats are kept by `sra chat`",
        "answers are measured by `sra chat --monitor`",
        "Did you mean /strategy?",
    ] {
        assert!(problems.contains(expected), "{expected}: {problems}");
    }
}

#[test]
fn the_end_of_input_ends_it_and_says_nothing_of_the_last_turn() {
    let arena = Arena::new();
    let output = arena.chat(&[], &["Hello!"]);
    assert!(arena.rows().is_empty() && !text(&output.stdout).contains("you>"));
    assert_eq!(shown(&output).len(), 1);
}

#[test]
fn a_full_context_leaves_both_chats_as_they_were() {
    let arena = Arena::new();
    let long = "word ".repeat(150);
    let output = arena.chat(&["--context", "200"], &["Hello!", "", long.trim(), "Well.", "1", "/history"]);
    assert!(text(&output.stderr).contains("answer 1: the chat has become too long"), "{}", text(&output.stderr));
    assert_eq!(arena.rows()[0]["turn"], 2);
}

#[test]
fn an_interrupt_ends_an_answer_and_then_the_chat() {
    let arena = Arena::new();
    let long = ["--max-new-tokens", "6000", "--min-new-tokens", "6000", "--context", "8192", "--kv-memory", "512M"];
    let (model, out) = (gguf(), arena.out());
    let model = model.to_string_lossy();
    let words = [&["head2head", "--model", &model, "--against", &model, "--out", &out][..], &long].concat();
    let mut child = sra(&words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    writeln!(stdin, "Hello!").unwrap();
    for _ in 0..2 {
        let mut begun = [0; 40];
        stdout.read_exact(&mut begun).unwrap();
        interrupt(&child);
        let mut rest = Vec::new();
        while !String::from_utf8_lossy(&rest).contains("[interrupted]") {
            rest.clear();
            assert!(stdout.read_until(b'\n', &mut rest).unwrap() > 0);
        }
    }
    writeln!(stdin, "2").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while arena.rows().is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(arena.rows()[0]["first"]["finish_reason"], "cancelled");
    std::thread::sleep(Duration::from_millis(200));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

fn interrupt(child: &Child) {
    // SAFETY: signals the child just started.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
}

#[test]
fn options_of_either_kind_are_about_one_of_the_models() {
    let arena = Arena::new();
    let model = model().to_string_lossy().into_owned();
    let server = "openai:m@http://127.0.0.1:1/v1";
    for (words, says) in [
        (
            vec!["--model", &model[..], "--against", &model, "--retries", "2"],
            "--retries is about models behind servers",
        ),
        (vec!["--model", server, "--against", server, "--quantize", "q8_0"], "--quantize is about local models"),
        (vec!["--model", server, "--against", &model, "--adapter", "x"], "--adapter is about local models"),
        (
            vec!["--model", &model, "--against", server, "--against-adapter", "x"],
            "--against-adapter is about local models",
        ),
        (vec!["--model", &model, "--against", &model, "--strategy", "offer hop"], "Did you mean `Offer Hope`?"),
        (vec!["--model", &model, "--against", &model, "--visitors", "3"], "--web"),
        (vec!["--model", &model, "--against", &model, "--temperature", "-1"], "temperature"),
    ] {
        let output =
            sra(&[&["head2head", "--out", &arena.out()], &words[..]].concat()).stdin(Stdio::null()).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert!(told.contains(says), "{words:?}: {told}");
    }
    // With one of each, both kinds of options have a meaning.
    let words = ["--model", &model, "--against", server, "--top-k", "0", "--retries", "0", "--quantize", "q8_0"];
    let mut child = sra(&[&["head2head", "--out", &arena.out()], &words[..]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"Hello!\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("error: answer "), "{}", text(&output.stderr));
}

/// `sra head2head --web`. Dropped, it is killed.
struct Site {
    child: Child,
    address: String,
}

impl Site {
    fn start(arena: &Arena, more: &[&str]) -> Self {
        let mut command = arena.command(&[&["--web", "127.0.0.1:0"], more].concat());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.split_whitespace().next().unwrap_or_default();
        let address = address.strip_prefix("http://").unwrap_or_default().trim_end_matches('/').to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line:?}");
        Self { child, address }
    }

    /// Sends a request as it is and reads status, head and body.
    fn raw(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = text(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.raw(&format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address))
    }

    fn post(&self, deed: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let head = format!("POST /api/{deed} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json", self.address);
        let (status, _, told) = self.raw(&format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        (status, serde_json::from_str(&told).unwrap())
    }

    /// A deed that is done.
    fn done(&self, deed: &str, body: &Value) -> Value {
        let (status, state) = self.post(deed, body);
        assert_eq!(status, 200, "{deed}: {state}");
        state
    }

    /// Says something and waits for the answers.
    fn say(&self, visitor: &Value, words: &str) -> Value {
        let mut state = self.done("say", &json!({"visitor": visitor, "text": words}));
        let deadline = Instant::now() + Duration::from_secs(120);
        while !state["waiting"].is_null() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            state = self.done("look", &json!({"visitor": visitor}));
        }
        assert_eq!(state["problem"], Value::Null);
        state
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn visitors_have_chats_and_strategies_of_their_own() {
    let arena = Arena::new();
    let site = Site::start(&arena, &[]);
    let (one, two) = (site.done("visit", &json!({})), site.done("visit", &json!({})));
    assert_eq!(one["strategies"].as_array().unwrap().len(), 15);
    let (one, two) = (&one["visitor"], &two["visitor"]);
    assert_ne!(one, two);
    site.done("choose", &json!({"visitor": one, "strategy": "Offer Hope"}));
    let first = site.say(one, "I failed <b>again</b>.");
    let second = site.say(two, "Hello!");
    assert_eq!((&first["strategy"], &second["strategy"]), (&json!("Offer Hope"), &Value::Null));
    assert_eq!(first["exchanges"].as_array().unwrap().len(), 1);
    assert_eq!(first["exchanges"][0]["text"], "I failed <b>again</b>.");
    assert!(
        second["exchanges"][0]["answers"].as_array().unwrap().iter().all(|answer| answer.as_str().unwrap().len() > 1)
    );
    // Nothing tells which model is which.
    let everything = first.to_string() + &second.to_string();
    assert!(!everything.contains("tiny-llama") && !everything.contains("gguf"), "{everything}");

    let state = site.done("prefer", &json!({"visitor": one, "preferred": "right"}));
    assert_eq!(state["exchanges"][0]["preferred"], "right");
    assert_eq!(site.post("prefer", &json!({"visitor": one, "preferred": "left"})).0, 409);
    let state = site.done("reveal", &json!({"visitor": one}));
    let revealed: Vec<&str> = state["revealed"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let rows = arena.rows();
    let left = rows[0]["left"].as_str().unwrap();
    assert_eq!(revealed[0], rows[0][left]["model"].as_str().unwrap());
    assert_ne!(rows[0]["preferred"], rows[0]["left"]);
    for (deed, body) in [("say", json!({"visitor": one, "text": "more"})), ("reveal", json!({"visitor": one}))] {
        let (status, told) = site.post(deed, &body);
        assert!(status == 409 && told["problem"].as_str().unwrap().contains("over"), "{told}");
    }
    let cleared = site.done("clear", &json!({"visitor": one}));
    assert_eq!((&cleared["strategy"], cleared["exchanges"].as_array().unwrap().len()), (&Value::Null, 0));
    // The other chat is as it was; a visitor who comes back finds theirs.
    assert_eq!(site.done("visit", &json!({"visitor": two}))["exchanges"], second["exchanges"]);
}

#[test]
fn two_visitors_at_a_time_get_the_answers_they_would_get_alone() {
    let (alone, together) = (Arena::new(), Arena::new());
    let said = ["Hello!", "I am tired.", "Why?"];
    let texts = |state: &Value| -> Vec<Value> {
        state["exchanges"].as_array().unwrap().iter().map(|exchange| exchange["answers"].clone()).collect()
    };
    let site = Site::start(&alone, &["--seed", "9"]);
    let expected: Vec<Vec<Value>> = (0..2)
        .map(|_| {
            let visitor = site.done("visit", &json!({}))["visitor"].clone();
            said.map(|words| site.say(&visitor, words)).last().map(texts).unwrap()
        })
        .collect();
    drop(site);
    let site = Site::start(&together, &["--seed", "9"]);
    let visitors =
        [site.done("visit", &json!({}))["visitor"].clone(), site.done("visit", &json!({}))["visitor"].clone()];
    let talk = |visitor: &Value| said.map(|words| site.say(visitor, words)).last().map(texts).unwrap();
    let found: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let talks: Vec<_> = visitors.iter().map(|visitor| scope.spawn(|| talk(visitor))).collect();
        talks.into_iter().map(|talk| talk.join().unwrap()).collect()
    });
    assert_eq!(found, expected);
}

#[test]
fn only_its_own_page_reaches_the_server_and_nothing_too_large() {
    let arena = Arena::new();
    let site = Site::start(&arena, &["--allow-host", "Arena.test", "--visitors", "2"]);
    for (path, kind) in [("/", "text/html"), ("/style.css", "text/css"), ("/app.js", "text/javascript")] {
        let (status, head, body) = site.get(path);
        assert!(status == 200 && head.contains(kind) && body.len() > 500, "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff") && head.contains("cache-control: no-store"), "{head}");
        assert!(!body.contains("innerHTML") && !body.contains("http://") && !body.contains("https://"), "{path}");
    }
    assert_eq!((site.get("/nothing").0, site.get("/../Cargo.toml").0, site.get("/api/visit").0), (404, 404, 405));
    let post = |host: &str, kind: &str, body: &str| {
        let head = format!("POST /api/visit HTTP/1.0\r\nHost: {host}\r\nContent-Type: {kind}");
        site.raw(&format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())).0
    };
    let (address, json_type) = (site.address.as_str(), "application/json");
    assert_eq!(post("arena.TEST", json_type, "{}"), 200);
    assert_eq!(post(address, "application/json; charset=utf-8", "{}"), 200);
    assert_eq!(post("page.example", json_type, "{}"), 403);
    assert_eq!(site.raw("GET / HTTP/1.0\r\n\r\n").0, 403);
    assert_eq!(post(address, "text/plain", "{}"), 415);
    assert_eq!(post(address, "application/x-www-form-urlencoded", "a=b"), 415);
    for body in ["", "[]", "{\"visitor\": 3}", "{\"unknown\": 1}", "{\"preferred\": \"both\"}"] {
        assert_eq!(post(address, json_type, body), 400, "{body}");
    }
    assert_eq!(post(address, json_type, &format!("{{\"text\": \"{}\"}}", "a".repeat(70_000))), 413);
    let state = site.done("visit", &json!({}));
    let visitor = &state["visitor"];
    for (deed, body, status) in [
        ("say", json!({"visitor": visitor}), 400),
        ("say", json!({"visitor": visitor, "text": " \n"}), 409),
        ("say", json!({"visitor": visitor, "text": "a".repeat(4001)}), 409),
        ("say", json!({"visitor": "guessed", "text": "a"}), 410),
        ("say", json!({"text": "a"}), 410),
        ("choose", json!({"visitor": visitor, "strategy": "Offer Hop"}), 409),
        ("prefer", json!({"visitor": visitor, "preferred": "left"}), 409),
        ("dance", json!({"visitor": visitor}), 404),
    ] {
        let (found, told) = site.post(deed, &body);
        assert_eq!(found, status, "{deed}: {told}");
        assert!(told["problem"].as_str().unwrap().len() > 5);
    }
    // Two chats are kept; with a third visitor the first of them goes.
    site.done("visit", &json!({}));
    site.done("visit", &json!({}));
    assert_eq!(site.post("look", &json!({"visitor": visitor})).0, 410);
    assert!(arena.rows().is_empty());
}

#[test]
fn a_chat_that_is_cleared_is_not_waited_for_and_an_interrupt_ends_with_a_tally() {
    let arena = Arena::new();
    let long = ["--max-new-tokens", "6000", "--min-new-tokens", "6000", "--context", "8192", "--kv-memory", "256M"];
    let mut site = Site::start(&arena, &long);
    let visitor = site.done("visit", &json!({}))["visitor"].clone();
    let state = site.done("say", &json!({"visitor": visitor, "text": "Hello!"}));
    assert_eq!(state["waiting"], "Hello!");
    assert_eq!(site.post("say", &json!({"visitor": visitor, "text": "More."})).0, 409);
    let cleared = site.done("clear", &json!({"visitor": visitor}));
    assert!(cleared["waiting"].is_null() && cleared["exchanges"].as_array().unwrap().is_empty());
    // A new question is waited for, although the models may still be at the old one.
    let state = site.done("say", &json!({"visitor": visitor, "text": "Again."}));
    assert_eq!(state["waiting"], "Again.");
    interrupt(&site.child);
    assert_eq!(site.child.wait().unwrap().code(), Some(0));
}

/// The page in headless Chromium, through `browser-tests/run.mjs`; skipped aloud where there is no Node.js or no Chromium.
#[test]
fn the_page_works_in_a_browser() {
    let arena = Arena::new();
    let site = Site::start(&arena, &["--seed", "5"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/browser-tests/run.mjs");
    let output = match Command::new("node").arg(script).arg(format!("http://{}/", site.address)).output() {
        Ok(output) => output,
        Err(error) => return println!("skipped: Node.js is not here ({error})"),
    };
    let said = text(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    if !said.contains("skipped: ") {
        let rows = arena.rows();
        assert!(rows.iter().any(|row| row["preferred"] == "tie") && rows.len() >= 3, "{rows:?}");
    }
}
