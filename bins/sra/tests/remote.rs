//! `sra serve`, and every command that takes its answers: the same texts as with the model at hand.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::program::{gguf, model, records, root, run, short_run, sra, text};

const KEY: &str = "sk-test-of-sra-5d1c7e90ab";

/// `sra serve` of the tiny model. Dropped, it is killed.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) url: String,
}

impl Serving {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::of(&model().to_string_lossy(), more)
    }

    fn of(model: &str, more: &[&str]) -> Self {
        let mut words =
            vec!["serve", "--model", model, "--name", "served", "--address", "127.0.0.1:0", "--kv-memory", "64M"];
        words.extend(more);
        let mut child = sra(&words).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().next().unwrap_or_default().to_owned();
        assert!(url.starts_with("http://127.0.0.1:"), "{line:?}");
        Self { child, url }
    }

    fn name(&self) -> String {
        format!("openai:served@{}", self.url)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The words of a run with another model, and without options that are about local ones.
fn with_model(mut words: Vec<String>, name: &str) -> Vec<String> {
    let at = words.iter().position(|word| word == "--model").unwrap();
    words[at + 1] = name.to_owned();
    words
}

/// A run's command, without a key that may be in the environment.
fn command(words: &[String]) -> Command {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut command = sra(&words);
    command.env_remove("OPENAI_API_KEY");
    command
}

fn output(words: &[String]) -> Output {
    command(words).output().unwrap()
}

fn succeed(words: &[String]) -> Output {
    let output = output(words);
    assert!(output.status.success(), "{words:?}\n{}", text(&output.stderr));
    output
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn parsed(out: &Path) -> Vec<Value> {
    records(out).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_with_a_server_gives_the_texts_of_a_local_run() {
    let serving = Serving::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    succeed(&short_run(&here));
    let mut remote = with_model(short_run(&there), &serving.name());
    remote.extend(words(&["--concurrency", "6", "--price-in", "2", "--price-out", "8"]));
    let output = succeed(&remote);
    let told = text(&output.stdout);
    assert!(told.contains("the server was asked") && told.contains("cost"), "{told}");
    let (here, there) = (parsed(&here), parsed(&there));
    assert!(here.len() > 20 && here.len() == there.len());
    for (local, remote) in here.iter().zip(&there) {
        for same in ["id", "text", "tokens", "new_tokens", "prompt_tokens", "finish_reason", "generation"] {
            assert_eq!(local[same], remote[same], "{same}");
        }
        assert_eq!(remote["model"]["name"], serving.name());
        assert_eq!(remote["served_by"]["model"], "served");
        assert!(remote["served_by"]["fingerprint"].as_str().unwrap().starts_with("fp_"));
        assert_eq!((&remote["prompt"], remote["spans"].as_array().map(Vec::len)), (&Value::from(""), Some(0)));
        let messages = remote["prompt_messages"].as_array().unwrap();
        assert!(
            messages
                .iter()
                .all(|message| local["prompt"].as_str().unwrap().contains(message["content"].as_str().unwrap().trim()))
        );
        assert!(local.get("prompt_messages").is_none() && local.get("served_by").is_none());
    }
}

#[test]
fn killed_and_resumed_a_run_with_a_server_is_the_same() {
    let serving = Serving::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let name = serving.name();
    let longer = |out: &Path| {
        let mut longer = with_model(short_run(out), &name);
        for (name, value) in [("--conversations", "3"), ("--turns", "2..5")] {
            let at = longer.iter().position(|word| word == name).unwrap();
            longer[at + 1] = value.into();
        }
        longer.extend(words(&["--seed", "5", "--quiet"]));
        longer
    };
    let whole = folder.path().join("whole");
    let start = Instant::now();
    succeed(&longer(&whole));
    let duration = start.elapsed();
    let expected = records(&whole);
    assert!(expected.len() > 100);

    let killed = folder.path().join("killed");
    let journal = folder.path().join("journal.jsonl").to_string_lossy().into_owned();
    let again = [longer(&killed), words(&["--resume", "--journal", &journal])].concat();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut killed_midway = 0;
    for _ in 0..6 {
        let mut child = command(&again).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(duration.mul_f64(rng.random_range(0.1..0.4)));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = records(&killed).len();
        killed_midway += usize::from(found > 0 && found < expected.len());
    }
    println!("{killed_midway} of 6 kills hit a run with some but not all records");
    succeed(&again);
    assert!(records(&killed) == expected, "the union of the records differs");
    // Everything is in the journal now: another run of the same costs nothing, and needs no server.
    drop(serving);
    let repeated = [
        longer_to(&longer(&whole), &folder.path().join("repeated")),
        words(&["--journal", &journal, "--format", "json"]),
    ]
    .concat();
    let summary: Value = serde_json::from_slice(&succeed(&repeated).stdout).unwrap();
    assert_eq!(summary["statistics"]["from_journal"].as_u64().unwrap() as usize, expected.len());
    assert!(records(&folder.path().join("repeated")) == expected);
}

fn longer_to(words: &[String], out: &Path) -> Vec<String> {
    let mut words = words.to_vec();
    let at = words.iter().position(|word| word == "--out").unwrap();
    words[at + 1] = out.to_string_lossy().into_owned();
    words
}

#[test]
fn a_dry_run_asks_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut dry = with_model(short_run(&out), "openai:some/model@https://localhost:1/v1");
    dry.extend(words(&["--dry-run", "--price-in", "1", "--price-out", "1"]));
    let told = text(&succeed(&dry).stdout);
    for expected in ["openai:some/model@https://localhost:1/v1", "guessed", "cost"] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
    assert!(!out.exists());
    dry.extend(words(&["--format", "json"]));
    let told: Value = serde_json::from_slice(&succeed(&dry).stdout).unwrap();
    assert!(told["estimate"]["prompt_tokens"].as_u64() > Some(1000) && told["context_length"].is_null());
}

#[test]
fn what_needs_a_models_insides_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").to_string_lossy().into_owned();
    let server = "openai:m@http://127.0.0.1:1/v1";
    let short = |more: &[&str]| [with_model(short_run(Path::new(&out)), server), words(more)].concat();
    let table: Vec<(Vec<String>, &str)> = vec![
        (words(&["train", "--model", server, "--data", "x", "--out", &out]), "gradients"),
        (words(&["merge", "--model", server, "--out", &out]), "weights"),
        (words(&["intervene", "x", "--model", server]), "attention inside the model"),
        (words(&["token-probe", "x", "--model", server]), "hidden states"),
        (words(&["predictability", "x", "--reading", "semantic", "--model", server]), "hidden states"),
        (words(&["adherence", "x", "--model", server, "--out", &out, "--attention"]), "--attention"),
        (words(&["serve", "--model", server]), "weights"),
        (short(&["--attention", "spans"]), "--attention"),
        (short(&["--adapter", "x"]), "--adapter is about local models"),
        (short(&["--quantize", "q8_0"]), "--quantize is about local models"),
        (short(&["--beam-width", "4"]), "beam_width"),
        (short(&["--no-repeat-ngram-size", "3"]), "no_repeat_ngram_size"),
        (short(&["--api", "openai"]), "--top-k 0"),
        (short(&["--concurrency", "0"]), "concurrent"),
        (short(&["--api-key-env", "SRA_TEST_NOT_SET"]), "SRA_TEST_NOT_SET"),
        ([short_run(Path::new(&out)), words(&["--retries", "3"])].concat(), "--retries is about models behind servers"),
        (with_model(short_run(Path::new(&out)), "openai:m"), "openai:NAME@URL"),
        (with_model(short_run(Path::new(&out)), "openai:m@https://user:hunter2@h/v1"), "password"),
    ];
    for (words, says) in table {
        let output = output(&words);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        assert!(told.contains(says) && !told.contains("hunter2"), "{words:?}: {told}");
    }
}

#[test]
fn the_other_commands_take_a_server_too() {
    let serving = Serving::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let local = model().to_string_lossy().into_owned();

    // Scores of a server are those of the model at hand, for responses that neither made itself.
    let run_folder = folder.path().join("run");
    succeed(&with_model(short_run(&run_folder), &gguf().to_string_lossy()));
    let mut rows = Vec::new();
    for (name, file) in [(&local, path("local.jsonl")), (&serving.name(), path("remote.jsonl"))] {
        let run = run_folder.to_string_lossy().into_owned();
        succeed(&words(&["adherence", &run, "--model", name, "--out", &file, "--limit", "3"]));
        let text = std::fs::read_to_string(&file).unwrap();
        rows.push(
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["log_likelihood"].clone())
                .collect::<Vec<_>>(),
        );
    }
    assert!(rows[0].len() == 3 && rows[0] == rows[1], "{rows:?}");

    let chats = path("chats.jsonl");
    std::fs::write(
        &chats,
        r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}"#,
    )
    .unwrap();
    let mut answers = Vec::new();
    for (name, file) in [(&local, path("a.jsonl")), (&serving.name(), path("b.jsonl"))] {
        succeed(&words(&["generate", "--model", name, "--data", &chats, "--out", &file, "--max-new-tokens", "8"]));
        let row: Value = serde_json::from_str(std::fs::read_to_string(&file).unwrap().trim()).unwrap();
        answers.push(row["model_response"].clone());
    }
    assert_eq!(answers[0], answers[1]);

    let mut turns = Vec::new();
    for name in [&local, &serving.name()] {
        let chat = words(&["chat", "--model", name, "--max-new-tokens", "8", "--format", "json"]);
        let mut child = command(&chat).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"Hello\nI failed.\n/quit\n").unwrap();
        let told = text(&child.wait_with_output().unwrap().stdout);
        turns.push(told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>());
    }
    assert_eq!(turns[0].len(), 2);
    for (here, there) in turns[0].iter().zip(&turns[1]) {
        for same in ["text", "prompt_tokens", "new_tokens", "seed", "finish_reason"] {
            assert_eq!(here[same], there[same], "{same}");
        }
    }
    let demo = words(&["demo", "--model", &serving.name(), "--dialogues", "1", "--format", "json"]);
    let told: Value = serde_json::from_slice(&succeed(&demo).stdout).unwrap();
    assert_eq!(told["records"].as_array().unwrap().len(), 30);
}

#[test]
fn a_key_opens_the_server_and_is_written_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, format!("{KEY}\n")).unwrap();
    let key_file = key_file.to_string_lossy().into_owned();
    let serving = Serving::start(&["--api-key-file", &key_file]);
    let out = folder.path().join("run");
    let journal = out.join("requests.jsonl").to_string_lossy().into_owned();
    std::fs::create_dir(&out).unwrap();
    let with_key = [with_model(short_run(&out), &serving.name()), words(&["--journal", &journal, "-vvv"])].concat();
    let output = command(&with_key).env("MY_KEY", KEY).args(["--api-key-env", "MY_KEY"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut written = text(&output.stdout) + &text(&output.stderr);
    let mut files = 0;
    for entry in std::fs::read_dir(&out).unwrap() {
        written += &String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files >= 3 && written.len() > 10_000);
    assert!(!written.contains("5d1c7e90ab"));
    for (variable, value) in [("OPENAI_API_KEY", "sk-another-5d1c7e90ab"), ("NO_KEY", "")] {
        let again = with_model(short_run(&folder.path().join(variable)), &serving.name());
        let output = command(&again).env(variable, value).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("401") && !told.contains("5d1c7e90ab"), "{told}");
    }
}

#[test]
fn the_usual_key_is_not_sent_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let warns = |url: &str| {
        let dry =
            [with_model(short_run(&folder.path().join("run")), &format!("openai:m@{url}")), words(&["--dry-run"])]
                .concat();
        let output = command(&dry).env("OPENAI_API_KEY", KEY).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr).contains("OPENAI_API_KEY is not sent")
    };
    assert!(warns("http://gpu.example:8000/v1"));
    assert!(!warns("https://gpu.example/v1") && !warns("http://127.0.0.1:8000/v1"));
}

#[test]
fn an_interrupt_ends_the_server_and_those_who_wait_for_it() {
    let mut serving = Serving::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut long = with_model(short_run(&out), &serving.name());
    let at = long.iter().position(|word| word == "--max-new-tokens").unwrap();
    long[at + 1] = "2000".into();
    let mut child = command(&long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // A run that has its manifest hears interrupts.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !out.join("run.json").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    // SAFETY: signals a child just started.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // SAFETY: as above.
    unsafe { libc::kill(serving.child.id() as libc::pid_t, libc::SIGINT) };
    assert_eq!(serving.child.wait().unwrap().code(), Some(0));
}

/// The real client of OpenAI, where there is one: `$SOLACE_PYTHON`, else `python3`, with the package `openai`.
#[test]
fn the_openai_package_is_content() {
    let python = std::env::var("SOLACE_PYTHON").unwrap_or_else(|_| "python3".into());
    let has_package = Command::new(&python).args(["-c", "import openai"]).stderr(Stdio::null()).status();
    if !has_package.is_ok_and(|status| status.success()) {
        return println!("skipped: {python} has no package `openai` (name another interpreter with SOLACE_PYTHON)");
    }
    let serving = Serving::of("demo", &[]);
    let script = root().join("fixtures/serve/openai_client.py");
    let output = Command::new(&python).arg(script).args([&serving.url, "served"]).output().unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    println!("{}", text(&output.stdout));
}

#[test]
fn local_runs_do_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let output = run(&short_run(&out));
    assert!(output.status.success());
    let told = text(&output.stdout);
    assert!(!told.contains("server") && !told.contains("cost"), "{told}");
}
