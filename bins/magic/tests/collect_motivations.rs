//! `magic collect-motivations`: offline, with a server that stumbles, killed, interrupted and gone on with.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use magic::{Dialogue, MotivationItem, Task, Template, motivation_items};
use serde_json::{Value, json};

use crate::program::{Place, dialogue, good, json_of, magic, text};
use crate::scripted_server::{Act, ScriptedServer, labelled_line, right_answer};

/// Motivations are collected here, of `train.txt` beside it.
struct Work {
    place: Place,
    items: Vec<MotivationItem>,
}

impl Work {
    /// With dialogues of so many turns, all of them different.
    fn new(turns: &[usize]) -> Self {
        let place = Place::new();
        let lines = turns.iter().enumerate().map(|(number, turns)| {
            dialogue(number % 2 == 0, *turns).replace(" with you", &format!(" with you in {number}"))
        });
        let train = place.write("train.txt", &lines.collect::<String>());
        let dialogues = Dialogue::read_all(train.as_ref()).unwrap();
        Self { place, items: motivation_items(&dialogues, &Template::built_in(Task::Collection)) }
    }

    fn command(&self, more: &[&str]) -> Command {
        let (train, out) = (self.place.name("train.txt"), self.place.name("out"));
        magic(
            &[&["collect-motivations", "--train-file-path", &train, "--out-dir", &out, "--min-delay", "0"], more]
                .concat(),
        )
    }

    fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    fn list(&self) -> Value {
        json_of(&self.place.path("out/motivations_4_LLaMA.json"))
    }

    fn journal(&self) -> PathBuf {
        self.place.path("out/motivations.jsonl")
    }

    fn rows(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.journal()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn line(&self, index: usize) -> String {
        labelled_line(&self.items[index].prompt)
    }

    /// The whole list, as the server's right answers make it.
    fn expected(&self) -> Value {
        json!((0..self.items.len()).map(|index| right_answer(&self.line(index))).collect::<Vec<_>>())
    }
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn an_echo_needs_no_server() {
    let work = Work::new(&[5, 4]);
    let output = work.run(&["--backend", "echo"]);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    let list = work.list();
    assert_eq!(list.as_array().unwrap().len(), 4);
    assert_eq!(list[1], "(5) Supporter: I ' m with you in 0 , turn 4 . ***[Greeting]***");
    let rows = work.rows();
    assert_eq!(rows.len(), 4);
    let first = &rows[0];
    assert_eq!(
        (&first["dialogue"], &first["turn"], &first["strategy"]),
        (&json!(0), &json!(2), &json!("Reflection of feelings"))
    );
    assert_eq!(first["prompt_sha256"], work.items[0].prompt_sha256);
    assert_eq!(
        first["checks"],
        json!({"names_strategy": true, "is_short": true, "is_one_line": true, "is_whole": true})
    );
    // Without --resume nothing is written over.
    let output = work.run(&["--backend", "echo"]);
    assert_eq!(code(&output), Some(1));
    assert!(text(&output.stderr).contains("exists already"));
    assert_eq!(work.rows().len(), 4);
}

#[test]
fn a_file_of_answers_is_checked_and_holes_are_kept() {
    let work = Work::new(&[5, 4]);
    let long = format!("[question]{}", " word".repeat(40));
    let answers = work
        .place
        .write("answers.json", &json!(["[reflection of feelings] yes", null, long, "two\nlines"]).to_string());
    let output = work.run(&["--backend", "file", "--answers", &answers]);
    let (told, complaint) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(code(&output), Some(1), "{complaint}");
    assert!(complaint.contains("1 motivations are missing (turn 1: the list holds no answer 1)"), "{complaint}");
    for says in
        ["3 motivations of 4", "1 do not name their strategy", "1 have more than 40 words", "1 have several lines"]
    {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert_eq!(work.list()[1], Value::Null);
    // The rest from elsewhere: the rows have another maker, so the file does not take them.
    let output = work.run(&["--backend", "echo", "--resume"]);
    assert_eq!(code(&output), Some(1));
    assert!(text(&output.stderr).contains("holds rows made by file"), "{}", text(&output.stderr));
    let answers = work.place.write("answers.json", r#"["x", "[greeting] at last", "x", "x"]"#);
    let output = work.run(&["--backend", "file", "--answers", &answers, "--resume"]);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    let list = work.list();
    assert_eq!((&list[0], &list[1]), (&json!("[reflection of feelings] yes"), &json!("[greeting] at last")));
}

#[test]
fn a_server_that_stumbles_gives_a_whole_list_in_order() {
    let work = Work::new(&[7, 6, 5]);
    let lines: Vec<String> = (0..work.items.len()).map(|index| work.line(index)).collect();
    let scripts: Vec<(&str, &[Act])> = vec![
        (&lines[0], &[Act::Status(429), Act::Status(429)]),
        (&lines[1], &[Act::DropAtOnce]),
        (&lines[2], &[Act::DropInBody]),
        (&lines[3], &[Act::Garbage, Act::Status(503)]),
        (&lines[4], &[Act::Status(408)]),
    ];
    let server = ScriptedServer::start(&scripts, Duration::ZERO);
    let output = work.run(&["--model", &server.model(), "--format", "json"]);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert_eq!(work.list(), work.expected());
    let attempts = |index: usize| {
        work.rows().iter().find(|row| row["index"] == index).unwrap()["attempts"].as_u64().unwrap() as usize
    };
    for (index, expected) in [3, 2, 2, 3, 2, 1, 1, 1].into_iter().enumerate() {
        assert_eq!((server.attempts(&lines[index]), attempts(index)), (expected, expected), "{index}");
    }
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["collected"], &summary["missing"]), (&json!(8), &json!(0)));
    assert_eq!(summary["statistics"]["attempts"], 15);
    // One user message, and the published temperature.
    let body = &server.seen()[0].body;
    assert_eq!((body["messages"].as_array().unwrap().len(), &body["messages"][0]["role"]), (1, &json!("user")));
    assert_eq!(body["temperature"], 1.0);
}

#[test]
fn what_fails_for_good_is_a_hole_and_asked_again() {
    let work = Work::new(&[7, 6]);
    let (refused, blank) = (work.line(1), work.line(3));
    let server = ScriptedServer::start(&[(&refused, &[Act::Status(400)]), (&blank, &[Act::Blank])], Duration::ZERO);
    let model = server.model();
    let output = work.run(&["--model", &model]);
    let complaint = text(&output.stderr);
    assert_eq!(code(&output), Some(1), "{complaint}");
    assert!(complaint.contains("2 motivations are missing"), "{complaint}");
    let mut expected = work.expected();
    (expected[1], expected[3]) = (Value::Null, Value::Null);
    assert_eq!(work.list(), expected);
    let asked = server.seen().len();
    let output = work.run(&["--model", &model, "--resume"]);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert_eq!((work.list(), server.seen().len()), (work.expected(), asked + 2));
}

#[test]
fn a_wrong_key_ends_the_collection_at_once() {
    let work = Work::new(&[7]);
    let lines: Vec<String> = (0..work.items.len()).map(|index| work.line(index)).collect();
    let scripts: Vec<(&str, &[Act])> = lines.iter().map(|line| (line.as_str(), &[Act::Status(401)][..])).collect();
    let server = ScriptedServer::start(&scripts, Duration::ZERO);
    let output = work
        .command(&["--model", &server.model(), "--api-key-env", "MY_KEY"])
        .env("MY_KEY", "sk-5d1c7e90ab")
        .output()
        .unwrap();
    let complaint = text(&output.stderr);
    assert_eq!(code(&output), Some(1), "{complaint}");
    assert!(complaint.contains("401") && !complaint.contains("5d1c7e90ab"), "{complaint}");
    assert_eq!(server.seen()[0].authorization.as_deref(), Some("Bearer sk-5d1c7e90ab"));
    assert!(work.rows().is_empty());
    let written = std::fs::read_to_string(work.journal()).unwrap() + &work.list().to_string();
    assert!(!written.contains("5d1c7e90ab"));
}

/// Waits until so many rows are there.
fn wait_for_rows(work: &Work, count: usize) {
    let start = Instant::now();
    while std::fs::read_to_string(work.journal()).unwrap_or_default().lines().count() < count {
        assert!(start.elapsed() < Duration::from_secs(60), "no {count} rows within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_was() {
    let work = Work::new(&[20, 20, 20]);
    let server = ScriptedServer::start(&[], Duration::from_millis(40));
    let model = server.model();
    let words = ["--model", &model, "--resume", "--concurrency", "2", "--quiet"];
    let mut killed_midway = 0;
    for rows in [3, 9] {
        let mut child = work.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for_rows(&work, rows);
        child.kill().unwrap();
        child.wait().unwrap();
        killed_midway += usize::from(work.rows().len() < work.items.len());
    }
    assert_eq!(killed_midway, 2);
    // A kill may tear the last line.
    let mut journal = std::fs::read(work.journal()).unwrap();
    journal.extend_from_slice(br#"{"index":99,"dial"#);
    std::fs::write(work.journal(), journal).unwrap();
    let output = work.run(&words);
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert_eq!((work.list(), work.rows().len()), (work.expected(), work.items.len()));
    // Only what was under way at a kill was asked twice.
    assert!(server.seen().len() <= work.items.len() + 2 * 2, "{}", server.seen().len());
}

#[test]
fn an_interrupt_keeps_what_is_there_and_exits_with_130() {
    let work = Work::new(&[20, 20, 20]);
    let server = ScriptedServer::start(&[], Duration::from_millis(60));
    let model = server.model();
    let words = ["--model", &model, "--concurrency", "2"];
    let child = work.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_rows(&work, 4);
    // SAFETY: signals a child just started.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(130), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("--resume asks for them"));
    let rows = work.rows().len();
    let list = work.list();
    let holes = list.as_array().unwrap().iter().filter(|motivation| motivation.is_null()).count();
    assert!(rows >= 4 && holes > 0 && rows + holes == work.items.len(), "{rows} rows, {holes} holes");
    let output = work.run(&[&words[..], &["--resume"]].concat());
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert_eq!(work.list(), work.expected());
}

#[test]
fn changed_texts_are_asked_about_anew() {
    let work = Work::new(&[5]);
    let texts = work.place.name("texts");
    good(&["templates", &texts]);
    assert_eq!(code(&work.run(&["--backend", "echo"])), Some(0));
    let output = work.run(&["--backend", "echo", "--resume", "--templates", &texts]);
    assert_eq!((code(&output), work.rows().len()), (Some(0), 2));
    std::fs::write(work.place.path("texts/collection_head.txt"), "Explain the last line.\n").unwrap();
    let output = work.run(&["--backend", "echo", "--resume", "--templates", &texts]);
    assert_eq!((code(&output), work.rows().len()), (Some(0), 4));
    assert_eq!(work.list().as_array().unwrap().len(), 2);
}

#[test]
fn a_model_of_this_machine_answers_and_goes_on() {
    let place = Place::with_data();
    let (train, out) = (place.name("train.txt"), place.name("out"));
    let words = [
        "collect-motivations",
        "--train-file-path",
        &train,
        "--out-dir",
        &out,
        "--model",
        "demo",
        "--max-new-tokens",
        "8",
    ];
    good(&words);
    let file = place.path("out/motivations_4_LLaMA.json");
    let first = json_of(&file);
    assert!(first.as_array().unwrap().iter().all(Value::is_string));
    // Half of the journal is kept; the same answers come again.
    let journal = place.path("out/motivations.jsonl");
    let rows = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, &rows[..rows.len() / 2]).unwrap();
    good(&[&words[..], &["--resume"]].concat());
    assert_eq!(json_of(&file), first);
    let refused = magic(&[&words[..], &["--resume", "--min-delay", "1"]].concat()).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--min-delay is about models behind servers"));
}
