//! A key that opens a server is found nowhere but in the requests for it: not in what is printed, logged or written, also where the server fails
//! and repeats the key in what it says.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::program::{Place, model, root, run, short_run, sra, text};
use crate::scripted_judge::ScriptedJudge;
use crate::surroundings::files_below;

const KEY: &str = "sk-test-of-secrets-77c0ffee5d1c7e90ab";
/// Part of it, which is as secret.
const PART: &str = "77c0ffee5d";

/// Fails for every third prompt or so, for good, and answers the others with the key in the text.
fn spiteful(prompt: &str) -> Result<String, u16> {
    match prompt.len() % 3 {
        0 => Err(400),
        _ => Ok(format!("Your key is {KEY}. [[A]] Rating: [[3]]")),
    }
}

/// Fails in a way that ends a run.
fn unauthorised(_: &str) -> Result<String, u16> {
    Err(401)
}

/// Fails in a way that may pass.
fn overloaded(_: &str) -> Result<String, u16> {
    Err(503)
}

/// How a key is handed over.
#[derive(Clone, Copy)]
enum Door {
    Usual,
    Variable,
    File,
}

/// The command with a key, told and logged as loudly as it can be.
fn with_key(words: &[&str], door: Door, key_file: &str) -> Command {
    let mut command = sra(words);
    command.arg("-vvv").env("RUST_LOG", "trace").env_remove("OPENAI_API_KEY");
    match door {
        Door::Usual => command.env("OPENAI_API_KEY", KEY),
        Door::Variable => command.env("MY_KEY", KEY).args(["--api-key-env", "MY_KEY"]),
        Door::File => command.args(["--api-key-file", key_file]),
    };
    command
}

fn assert_secret_is_kept(what: &str, said: &str) {
    assert!(
        !said.contains(PART),
        "the key is in {what}: {}",
        said.split('\n').find(|line| line.contains(PART)).unwrap()
    );
}

/// Runs the command and looks at all that it says and writes below the place. Gives what it says.
fn loud(command: &mut Command, place: &Place) -> String {
    let output = command.output().unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert_secret_is_kept("what the program says", &said);
    for (path, bytes) in files_below(&place.path("")) {
        assert_secret_is_kept(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
    }
    said
}

/// All commands that ask a server, their words before model and place.
fn commands(place: &Place, server: &str) -> Vec<Vec<String>> {
    let made = place.name("made");
    assert!(run(&short_run(Path::new(&made))).status.success());
    let chats = r#"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}"#;
    let chats = place.write("chats.jsonl", &format!("{chats}\n{}\n", chats.replace("Hi", "Hi!!")));
    let usual = ["--model", server, "--retries", "1", "--journal", &place.name("requests.jsonl")].map(str::to_owned);
    let table: [&[&str]; 8] = [
        &["continue", "--data", "demo:2", "--turns", "3..3", "--limit", "1", "--out", &place.name("run")],
        &["continue", "--data", "demo:2", "--turns", "3..3", "--limit", "1", "--out", &place.name("dry"), "--dry-run"],
        &[
            "continue",
            "--data",
            "demo:2",
            "--turns",
            "3..3",
            "--limit",
            "1",
            "--out",
            &place.name("json"),
            "--format",
            "json",
        ],
        &["generate", "--data", &chats, "--out", &place.name("answers.jsonl")],
        &["judge", &made, "--limit", "4", "--out", &place.name("judged.jsonl")],
        &["adherence", &made, "--limit", "2", "--out", &place.name("adherence.jsonl")],
        &["demo", "--dialogues", "1"],
        &["chat", "--save", &place.name("chat.jsonl")],
    ];
    table.iter().map(|words| words.iter().map(|word| (*word).to_owned()).chain(usual.clone()).collect()).collect()
}

#[test]
fn a_key_is_told_to_its_server_only() {
    let place = Place::new();
    // Outside of the place that is searched.
    let secret = tempfile::tempdir().unwrap();
    let key_file = secret.path().join("key").display().to_string();
    std::fs::write(&key_file, KEY).unwrap();
    let mut said = String::new();
    for (rule, door) in
        [(spiteful as fn(&str) -> _, Door::Usual), (unauthorised, Door::Variable), (overloaded, Door::File)]
    {
        let server = ScriptedJudge::start(rule, Duration::ZERO);
        for words in commands(&place, &server.name()) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut command = with_key(&words, door, &key_file);
            let lines = place.write("lines.txt", "Hello!\nAnd now?\n/quit\n");
            command.stdin(std::fs::File::open(lines).unwrap());
            said += &loud(&mut command, &place);
        }
        assert!(server.authorizations().iter().all(|sent| sent == &format!("Bearer {KEY}")), "the server is told");
        assert!(!server.authorizations().is_empty());
        for entry in std::fs::read_dir(place.path("")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
        }
    }
    // The server did repeat it, and somebody has taken it out.
    assert!(said.contains("Bearer [key]") && said.contains("401") && said.contains("503"), "{said}");
}

/// A server of our own knows its clients' key and tells it as little.
#[test]
fn a_key_that_clients_must_know_is_not_told_either() {
    let place = Place::new();
    let secret = tempfile::tempdir().unwrap();
    let key_file = secret.path().join("key").display().to_string();
    std::fs::write(&key_file, KEY).unwrap();
    let model = model().display().to_string();
    let words = ["serve", "--model", &model, "--address", "192.0.2.1:1", "--kv-memory", "64M"];
    for door in [Door::Variable, Door::File] {
        let said = loud(&mut with_key(&words, door, &key_file), &place);
        assert!(said.contains("192.0.2.1"), "{said}");
    }
    // Something in the file's place that is no key.
    for wrong in [format!("{KEY} and more"), format!("{KEY}\n{KEY}"), format!("{KEY}\u{e9}")] {
        std::fs::write(&key_file, &wrong).unwrap();
        let said = loud(&mut with_key(&words, Door::File, &key_file), &place);
        assert!(said.contains("API key"), "{said}");
        let said = loud(with_key(&words, Door::Variable, &key_file).env("MY_KEY", &wrong), &place);
        assert!(said.contains("MY_KEY") && said.contains("API key"), "{said}");
    }
    assert!(root().is_dir());
}
