//! Surroundings that fail: full disks, places that can't be written, pipes that nobody reads, files that are none, servers that repeat the key.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::generator::{prepared, train_words};
use crate::program::{Place, dialogue, good, magic, text};
use crate::scripted_server::{Act, ScriptedServer, labelled_line};
use crate::surroundings::{
    behind_a_closed_pipe, complaint, complaint_at_once, ended_quietly, files_below, filled, on_small_disk, size,
    where_nothing_can_be_written, with_largest_file,
};

#[test]
fn a_collection_on_a_disk_without_room_goes_on_to_the_same_files() {
    let place = Place::new();
    let train = place.write("train.txt", &(0..40).map(|number| dialogue(number % 2 == 0, 9)).collect::<String>());
    let words = |out: &str| -> Vec<String> {
        ["collect-motivations", "--train-file-path", &train, "--out-dir", out, "--backend", "echo"]
            .map(str::to_owned)
            .to_vec()
    };
    let command = |words: &[String]| magic(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let [whole, full] = ["whole", "full"].map(|name| words(&place.name(name)));
    assert!(command(&whole).output().unwrap().status.success());
    std::fs::create_dir(place.path("full")).unwrap();
    let room = size(&place.path("whole/motivations.jsonl")) / 2;
    let Some(output) = on_small_disk(&command(&full), &place.path("full"), room) else { return };
    let told = complaint(&output);
    // Of two files that are both out of room, the first that was told stands.
    assert!(told.contains("motivations.jsonl: ") && told.contains("free the disk and resume"), "{told}");
    let rows = std::fs::read_to_string(place.path("full/motivations.jsonl")).unwrap();
    assert!(!rows.is_empty() && rows.lines().all(|row| serde_json::from_str::<serde_json::Value>(row).is_ok()));
    let output = command(&[full, vec!["--resume".to_owned()]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for file in ["motivations.jsonl", "motivations_4_LLaMA.json"] {
        let [whole, full] = ["whole", "full"].map(|folder| std::fs::read(place.path(folder).join(file)).unwrap());
        assert!(whole == full, "{file} differs");
    }
}

#[test]
fn a_training_without_room_for_its_checkpoint_resumes_to_the_same_generator() {
    let place = prepared();
    let [train, valid, whole, full] = ["train.json", "valid.json", "whole", "full"].map(|name| place.name(name));
    let words = |out: &str| -> Vec<String> {
        train_words(&train, &valid, out).into_iter().chain(["--save-every", "4"]).map(str::to_owned).collect()
    };
    let command = |words: &[String]| magic(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(command(&words(&whole)).output().unwrap().status.success());
    let largest = files_below(&place.path("whole/checkpoints")).iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    let told = complaint(&with_largest_file(&command(&words(&full)), largest as u64 - 1).output().unwrap());
    assert!(told.contains("checkpoints") && told.contains("--resume"), "{told}");
    let output = command(&[words(&full), vec!["--resume".to_owned()]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for file in ["dialogue_model.safetensors", "memory_bank.json"] {
        let [whole, full] =
            ["whole", "full"].map(|run| std::fs::read(place.path(run).join("model").join(file)).unwrap());
        assert!(whole == full, "{file} differs");
    }
}

/// What works for long, with files that are not there: the place is what each complains of.
const COMMANDS: [&[&str]; 7] = [
    &["collect-motivations", "--train-file-path", "train.txt", "--backend", "echo", "--out-dir", "OUT"],
    &["infer-strategy", "--model", "./none", "--prompt-path-test", "prompts.json", "--out-dir", "OUT"],
    &["finetune", "--model", "./none", "--data", "none.json", "--out", "OUT"],
    &["train", "--size", "tiny", "--train-data", "none.json", "--val-data", "none.json", "--output-dir", "OUT"],
    &["eval", "--model-path", "none", "--test-data", "none.json", "--out", "OUT"],
    &["convert-checkpoint", "none", "--out", "OUT"],
    &["export", "--model", "./none", "--out", "OUT"],
];

#[test]
fn places_that_can_not_be_written_are_told_first() {
    let place = Place::with_data();
    place.write("prompts.json", r#"["a"]"#);
    place.write("in-the-way", "");
    std::fs::create_dir(place.path("read-only")).unwrap();
    let mut can_mount = true;
    for command in COMMANDS {
        for out in ["in-the-way/out", "read-only/out"] {
            let out = place.name(out);
            let words = filled(command, "OUT", &out);
            let mut command = magic(&words);
            command.current_dir(place.folder());
            let output = match out.contains("read-only") {
                false => Some(command.output().unwrap()),
                true if can_mount => where_nothing_can_be_written(&command, &place.path("read-only")),
                true => None,
            };
            can_mount &= output.is_some();
            let Some(told) = output.as_ref().map(complaint) else { continue };
            assert!(told.contains(&out) && !told.contains("none"), "{words:?}: {told}");
        }
    }
}

#[test]
fn commands_that_print_end_quietly_behind_a_closed_pipe() {
    let place = Place::with_data();
    let (folder, out, train) = (place.folder(), place.name("out"), place.name("train.txt"));
    let table: [&[&str]; 5] = [
        &["preprocess", "--data-dir", &folder, "--out-dir", &out],
        &[
            "collect-motivations",
            "--train-file-path",
            &train,
            "--out-dir",
            &out,
            "--backend",
            "echo",
            "--format",
            "json",
        ],
        &["completions", "bash"],
        &["completions", "zsh"],
        &["man"],
    ];
    for words in table {
        let output = behind_a_closed_pipe(&mut magic(words));
        assert!(ended_quietly(&output), "{words:?}: {:?} {}", output.status, text(&output.stderr));
    }
    // What was written is what is written when somebody listens.
    let heard = place.name("heard");
    good(&["preprocess", "--data-dir", &folder, "--out-dir", &heard]);
    for (path, bytes) in files_below(&place.path("heard")) {
        assert!(std::fs::read(place.path("out").join(path.file_name().unwrap())).unwrap() == bytes);
    }
}

#[test]
fn what_is_no_file_or_no_text_is_told_at_once() {
    let place = Place::new();
    let [out, pipe, odd, good] = ["out", "pipe.json", "odd.json", "good.json"].map(|name| place.name(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::write(&odd, b"\n[\"caf\xE9\"]").unwrap();
    place.write("good.json", "[]");
    let readers: [&[&str]; 6] = [
        &["collect-motivations", "--train-file-path", "FILE", "--out-dir", &out, "--backend", "echo"],
        &["infer-strategy", "--model", "demo", "--prompt-path-test", "FILE", "--out-dir", &out],
        &["parse-answers", "--answers", "FILE", "--out", &out],
        &["train", "--size", "tiny", "--train-data", "FILE", "--val-data", &good, "--output-dir", &out],
        &["finetune", "--model", "demo", "--data", "FILE", "--out", &out],
        &["parse-answers", "--config", "FILE", "--answers", &good, "--out", &out],
    ];
    for words in readers {
        for file in [&pipe, &odd, &"/dev/zero".to_owned(), &place.folder()] {
            let words = filled(words, "FILE", file);
            let told = complaint_at_once(&mut magic(&words));
            assert!(told.contains(file.as_str()), "{words:?}: {told}");
            assert!(*file != odd || told.contains("line 2"), "{words:?}: {told}");
            assert!(!place.path("out").exists(), "{words:?}");
        }
    }
    // Templates come in folders.
    std::fs::create_dir(place.path("texts")).unwrap();
    let texts = place.name("texts");
    assert!(magic(&["templates", &texts]).output().unwrap().status.success());
    std::fs::write(place.path("texts/collection_tail.txt"), b"Why?\ncaf\xE9").unwrap();
    let train = place.write("train.txt", &dialogue(true, 5));
    let told = complaint_at_once(&mut magic(&[
        "collect-motivations",
        "--train-file-path",
        &train,
        "--out-dir",
        &out,
        "--backend",
        "echo",
        "--templates",
        &texts,
    ]));
    assert!(told.contains("collection_tail.txt: line 2"), "{told}");
}

#[test]
fn a_key_is_told_to_its_server_only() {
    const KEY: &str = "sk-test-of-secrets-77c0ffee5d1c7e90ab";
    let place = Place::new();
    let prompts: Vec<String> = (0..6)
        .map(|number| format!("(1) Seeker: hm\n({number}) Supporter: yes ***[Question]***\n\nMotivation:\n"))
        .collect();
    let lines: Vec<String> = prompts.iter().map(|prompt| labelled_line(prompt)).collect();
    let acts = [Act::Status(400), Act::Status(503), Act::Status(429), Act::Garbage, Act::DropInBody];
    let scripts: Vec<(&str, Vec<Act>)> =
        lines.iter().zip(acts).map(|(line, act)| (line.as_str(), vec![act; 2])).collect();
    let scripts: Vec<(&str, &[Act])> = scripts.iter().map(|(line, acts)| (*line, acts.as_slice())).collect();
    let prompts = place.write("prompts.json", &json!(prompts).to_string());
    let train = place.write("train.txt", &dialogue(true, 9));
    let (out, journal) = (place.name("out"), place.name("requests.jsonl"));
    let (stumbling, refusing) = (
        ScriptedServer::start(&scripts, Duration::ZERO),
        ScriptedServer::start(&[("", &[Act::Status(401); 9])], Duration::ZERO),
    );
    let commands: [&[&str]; 2] = [
        &["infer-strategy", "--prompt-path-test", &prompts, "--plain", "chat"],
        &["collect-motivations", "--train-file-path", &train, "--min-delay", "0"],
    ];
    let mut said = String::new();
    for (server, words) in [&stumbling, &refusing].into_iter().flat_map(|server| commands.map(|words| (server, words)))
    {
        let (model, usual) = (server.model(), ["--out-dir", &out, "--journal", &journal, "--retries", "1", "-vvv"]);
        let words = [words, &["--model", &model], &usual, &["--resume", "--format", "json"]].concat();
        let output = magic(&words).env("OPENAI_API_KEY", KEY).env("RUST_LOG", "trace").output().unwrap();
        said += &(text(&output.stdout) + &text(&output.stderr));
    }
    assert!(stumbling.seen().iter().all(|seen| seen.authorization.as_deref() == Some(&format!("Bearer {KEY}"))));
    // It was repeated, and somebody has taken it out.
    assert!(said.contains("says no to Bearer [key]") && !said.contains("panicked"), "{said}");
    assert!(!said.contains("77c0ffee5d"), "{said}");
    let files = files_below(Path::new(&place.folder()));
    assert!(files.len() >= 5);
    for (path, bytes) in files {
        assert!(!String::from_utf8_lossy(&bytes).contains("77c0ffee5d"), "the key is in {}", path.display());
    }
}
