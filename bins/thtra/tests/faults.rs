//! Surroundings that fail: full disks, places that can't be written, pipes that nobody reads, files that are none.

use std::process::Command;

use crate::candidates::{self, strs};
use crate::program::{Place, text, thtra};
use crate::stages;
use crate::surroundings::{
    behind_a_closed_pipe, complaint, complaint_at_once, ended_quietly, files_below, filled, on_small_disk, size,
    where_nothing_can_be_written, with_largest_file,
};

fn resumed(words: &[String]) {
    let output = thtra(&[&strs(words)[..], &["--resume"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn candidates_on_a_disk_without_room_go_on_to_the_same_bytes() {
    let place = candidates::place();
    let [whole, full] = ["whole", "full"].map(|out| candidates::words(&place, out, &[]));
    assert!(thtra(&strs(&whole)).output().unwrap().status.success());
    std::fs::create_dir(place.path("full")).unwrap();
    // A page is the least that such a disk gives.
    let room = (size(&place.path("whole/candidates.jsonl")) / 2).max(4096);
    let Some(output) = on_small_disk(&thtra(&strs(&full)), &place.path("full"), room) else { return };
    let told = complaint(&output);
    assert!(told.contains(".jsonl: ") && told.contains("free the disk and resume"), "{told}");
    resumed(&full);
    for file in ["candidates.jsonl", "scores.jsonl"] {
        let [whole, full] = ["whole", "full"].map(|folder| std::fs::read(place.path(folder).join(file)).unwrap());
        assert!(whole == full, "{file} differs");
    }
}

#[test]
fn a_training_without_room_for_its_checkpoint_resumes_to_the_same_model() {
    let place = Place::with_samples();
    let once =
        |out: &str| candidates::instead(stages::words(&place, &["train-lookahead"], None, out), &["--epochs", "1"]);
    assert!(thtra(&strs(&once("whole"))).output().unwrap().status.success());
    let largest = files_below(&place.path("whole/checkpoints")).iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    let told = complaint(&with_largest_file(&thtra(&strs(&once("full"))), largest as u64 - 1).output().unwrap());
    assert!(told.contains("checkpoints") && told.contains("--resume"), "{told}");
    assert!(files_below(&place.path("full/checkpoints")).is_empty(), "no half checkpoint");
    resumed(&once("full"));
    let model = |run: &str| std::fs::read(place.path(run).join("model/model.safetensors")).unwrap();
    assert!(model("whole") == model("full"), "the models differ");
}

/// What works for long, with files that are not there: the place is what each complains of.
const COMMANDS: [&[&str]; 9] = [
    &["prepare", "--data-dir", "none", "--tokenizer", "none", "--out", "OUT"],
    &["train-lookahead", "--size", "tiny", "--tokenizer", "none", "--prepared", "none", "--out", "OUT"],
    &["align", "--base", "./none", "--prepared", "none", "--candidates", "none", "--out", "OUT"],
    &["candidates", "--model", "./none", "--data-dir", "none", "--out", "OUT"],
    &["infer", "--model", "./none", "--data", "none.txt", "--out", "OUT"],
    &["eval", "--generations", "none.jsonl", "--out", "OUT"],
    &["helpfulness", "train", "--data-dir", "none", "--size", "tiny", "--out", "OUT"],
    &["helpfulness", "eval", "--model", "none", "--records", "none.json", "--out", "OUT"],
    &["helpfulness", "score", "--model", "none", "--input", "none.jsonl", "--out", "OUT"],
];

#[test]
fn places_that_can_not_be_written_are_told_first() {
    let place = Place::new();
    place.write("in-the-way", "");
    std::fs::create_dir(place.path("read-only")).unwrap();
    let mut can_mount = true;
    for command in COMMANDS {
        for out in ["in-the-way/out", "read-only/out"] {
            let out = place.name(out);
            let words = filled(command, "OUT", &out);
            let output = match out.contains("read-only") {
                false => Some(thtra(&words).output().unwrap()),
                true if can_mount => where_nothing_can_be_written(&thtra(&words), &place.path("read-only")),
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
    let place = Place::with_corpus();
    let [input, out, heard] = ["ESConv.json", "out", "heard"].map(|name| place.name(name));
    let table: [&[&str]; 5] = [
        &["process", "--input", &input, "--out", &out],
        &["run", "--preset", "small", "--show-preset"],
        &["run", "--preset", "small", "--input", &input, "--out", &heard, "--dry-run"],
        &["completions", "bash"],
        &["man"],
    ];
    for words in table {
        let output = behind_a_closed_pipe(&mut thtra(words));
        assert!(ended_quietly(&output), "{words:?}: {:?} {}", output.status, text(&output.stderr));
    }
    // What was written is what is written when somebody listens.
    assert!(thtra(&["process", "--input", &input, "--out", &heard]).output().unwrap().status.success());
    let files = files_below(&place.path("heard"));
    assert!(files.len() >= 3);
    for (path, bytes) in files {
        let other = place.path("out").join(path.strip_prefix(place.path("heard")).unwrap());
        assert!(std::fs::read(&other).unwrap() == bytes, "{}", other.display());
    }
}

#[test]
fn what_is_no_file_or_no_text_is_told_at_once() {
    let place = Place::with_samples();
    let [out, pipe, odd, corpus] = ["new", "pipe.json", "odd.json", "ESConv.json"].map(|name| place.name(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::write(&odd, b"\n[\"caf\xE9\"]\n").unwrap();
    let helpful = candidates::place();
    let (model, encoder) = (helpful.name("helpful"), helpful.name("bert"));
    let scorer = ["--model", &model, "--encoder", &encoder];
    let readers: [Vec<&str>; 5] = [
        vec!["process", "--input", "FILE", "--out", &out],
        vec!["run", "--preset", "FILE", "--input", &corpus, "--out", &out],
        vec!["eval", "--generations", "FILE", "--out", &out],
        [&["helpfulness", "score", "--input", "FILE", "--out", &out], &scorer[..]].concat(),
        vec!["process", "--config", "FILE", "--input", &corpus, "--out", &out],
    ];
    for words in readers {
        for file in [&pipe, &odd, &"/dev/zero".to_owned(), &place.name("data")] {
            let words = filled(&words, "FILE", file);
            let told = complaint_at_once(&mut thtra(&words));
            assert!(told.contains(file.as_str()), "{words:?}: {told}");
            assert!(*file != odd || told.contains("line 2"), "{words:?}: {told}");
            assert!(!place.path("new").exists(), "{words:?}");
        }
    }
}
