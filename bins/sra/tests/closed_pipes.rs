//! Whoever reads what is printed may have seen enough (`… | head -1`): the program ends quietly, and files are whole.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::program::{Place, dialogues, records, root, run, short_run, sra, text};
use crate::remote::Serving;
use crate::surroundings::{behind_a_closed_pipe, ended_quietly};

#[test]
fn commands_that_print_end_quietly_behind_a_closed_pipe() {
    let place = Place::new();
    let input = dialogues().to_string_lossy().into_owned();
    let captured = root().join("fixtures/runs/attention").to_string_lossy().into_owned();
    let texts = place.write("texts.txt", "We walk home.\nIt rains.\n");
    let table: [&[&str]; 10] = [
        &["stats", "--input", &input],
        &["stats", "--input", &input, "--format", "json"],
        &["score", "--list"],
        &["score", &texts, &texts, "--metric", "bleu-coco"],
        &["completions", "bash"],
        &["man"],
        &["attention", &captured],
        &["audit", &captured],
        &["agreement", "--input", &captured],
        &["continue", "--model", "demo", "--data", "demo:2", "--turns", "1..9", "--out", "nowhere", "--dry-run"],
    ];
    for words in table {
        let words = [&["--quiet"], words].concat();
        let output = behind_a_closed_pipe(&mut sra(&words));
        assert!(ended_quietly(&output), "{words:?}: {:?} {}", output.status, text(&output.stderr));
    }
    // Help is printed by the library of command lines, which asks nobody whether it arrived.
    let output = behind_a_closed_pipe(&mut sra(&["--help"]));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

#[test]
fn what_is_written_is_whole_when_nobody_hears_of_it() {
    let place = Place::new();
    let input = dialogues().to_string_lossy().into_owned();
    let [heard, unheard] = ["heard.jsonl", "unheard.jsonl"].map(|name| place.name(name));
    assert!(sra(&["prepare", "--input", &input, "--out", &heard]).output().unwrap().status.success());
    let output = behind_a_closed_pipe(&mut sra(&["prepare", "--input", &input, "--out", &unheard]));
    assert!(ended_quietly(&output), "{}", text(&output.stderr));
    let bytes = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert_eq!(bytes("heard.jsonl"), bytes("unheard.jsonl"));

    let [heard, unheard] = ["heard", "unheard"].map(|name| place.path(name));
    assert!(run(&short_run(&heard)).status.success());
    let words = [short_run(&unheard), vec!["--quiet".to_owned()]].concat();
    let output = behind_a_closed_pipe(&mut sra(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    assert!(ended_quietly(&output), "{}", text(&output.stderr));
    assert_eq!(records(&unheard), records(&heard));
}

#[test]
fn a_chat_ends_quietly_when_nobody_listens() {
    let place = Place::new();
    let lines = place.write("lines.txt", "Hello!\nAnd now?\n");
    let file = std::fs::File::open(lines).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let model = crate::program::model().to_string_lossy().into_owned();
    let mut chat = sra(&["chat", "--model", &model, "--max-new-tokens", "4", "--kv-memory", "64M"]);
    let output = chat.stdin(file).stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert!(ended_quietly(&output), "{:?} {}", output.status, text(&output.stderr));
}

/// A peer in the network is no reader of standard output: when one hangs up, the others are served as before.
#[test]
fn clients_that_hang_up_end_no_server() {
    let mut serving = Serving::start(&[]);
    let address = serving.url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let body = r#"{"model":"served","messages":[{"role":"user","content":"Hi"}],"max_tokens":2000,"stream":true}"#;
    let ask = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json");
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        stream
    };
    for lines in [0, 1, 12] {
        let mut reader = BufReader::new(ask());
        let mut line = String::new();
        for _ in 0..lines {
            reader.read_line(&mut line).unwrap();
        }
        // What was not read makes the system reset the connection.
        drop(reader);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(serving.child.try_wait().unwrap().is_none(), "the server has ended");
    let mut line = String::new();
    BufReader::new(ask()).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
}
