//! Surroundings that fail: full disks, places that can't be written, pipes that nobody reads, files that are none.

use std::process::Command;

use crate::program::{Place, said, solace};
use crate::surroundings::{
    behind_a_closed_pipe, complaint, complaint_at_once, ended_quietly, filled, on_small_disk, size,
    where_nothing_can_be_written,
};

const PLAN: [&str; 7] = ["plan", "--planner", "fixed:Question", "--data", "demo:20", "--turns", "1..6"];

#[test]
fn a_plan_on_a_disk_without_room_goes_on_to_the_same_bytes() {
    let place = Place::new();
    let [whole, full] = ["whole.jsonl", "full/plan.jsonl"].map(|name| place.name(name));
    said(&[&PLAN[..], &["--out", &whole]].concat());
    std::fs::create_dir(place.path("full")).unwrap();
    // A page is the least that such a disk gives.
    let room = (size(&place.path("whole.jsonl")) / 2).max(4096);
    let words = [&PLAN[..], &["--out", &full]].concat();
    let Some(output) = on_small_disk(&solace(&words), &place.path("full"), room) else { return };
    let told = complaint(&output);
    assert!(told.contains("plan.jsonl: ") && told.contains("free the disk and resume"), "{told}");
    said(&[&words[..], &["--resume"]].concat());
    assert_eq!(place.read("full/plan.jsonl"), place.read("whole.jsonl"));
}

/// What works for long, with files that are not there: the place is what each complains of.
const COMMANDS: [&[&str]; 5] = [
    &["plan", "--data", "none.jsonl", "--planner", "thtra:none", "--out", "OUT"],
    &["realise", "--data", "none.jsonl", "--plan", "none.jsonl", "--model", "./none", "--out", "OUT"],
    &["rank", "--data", "none.jsonl", "--candidates", "none.jsonl", "--adherence", "./none", "--out", "OUT"],
    &["pairs", "--data", "none.jsonl", "--ranked", "none.jsonl", "--out", "OUT"],
    &["scoreboard", "--data", "none.jsonl", "--systems", "none.toml", "--classifier", "demo", "--out", "OUT"],
];

#[test]
fn places_that_can_not_be_written_are_told_first() {
    let place = Place::new();
    std::fs::write(place.path("in-the-way"), "").unwrap();
    std::fs::create_dir(place.path("read-only")).unwrap();
    for command in COMMANDS {
        let out = place.name("in-the-way/out");
        let told = complaint(&solace(&filled(command, "OUT", &out)).output().unwrap());
        assert!(told.contains(&out) && !told.contains("none"), "{command:?}: {told}");
    }
    for command in COMMANDS {
        let out = place.name("read-only/out");
        let command = solace(&filled(command, "OUT", &out));
        let Some(output) = where_nothing_can_be_written(&command, &place.path("read-only")) else { return };
        let told = complaint(&output);
        assert!(told.contains(&out) && !told.contains("none"), "{command:?}: {told}");
    }
}

#[test]
fn commands_that_print_end_quietly_behind_a_closed_pipe() {
    let place = Place::new();
    let [heard, unheard] = ["heard.jsonl", "unheard.jsonl"].map(|name| place.name(name));
    let plan = [&PLAN[..], &["--out", &unheard]].concat();
    for words in [&plan[..], &["completions", "bash"], &["man"]] {
        let output = behind_a_closed_pipe(&mut solace(words));
        assert!(ended_quietly(&output), "{words:?}: {output:?}");
    }
    // What was written is what is written when somebody listens.
    said(&[&PLAN[..], &["--out", &heard]].concat());
    assert_eq!(place.read("unheard.jsonl"), place.read("heard.jsonl"));
}

#[test]
fn what_is_no_file_or_no_text_is_told_at_once() {
    let place = Place::new();
    let [out, pipe, odd, folder] = ["out", "pipe.jsonl", "odd.jsonl", "folder"].map(|name| place.name(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&odd, b"\n[\"caf\xE9\"]\n").unwrap();
    let readers: [&[&str]; 6] = [
        &["plan", "--data", "FILE", "--planner", "gold", "--out", &out],
        &["realise", "--data", "demo:4", "--plan", "FILE", "--model", "demo", "--out", &out],
        &["rank", "--data", "demo:4", "--candidates", "FILE", "--classifier", "demo", "--out", &out],
        &["pairs", "--data", "demo:4", "--ranked", "FILE", "--out", &out],
        &["scoreboard", "--data", "demo:4", "--systems", "FILE", "--classifier", "demo", "--out", &out],
        &["plan", "--config", "FILE", "--data", "demo:4", "--planner", "gold", "--out", &out],
    ];
    for words in readers {
        for file in [&pipe, &odd, &"/dev/zero".to_owned(), &folder] {
            let words = filled(words, "FILE", file);
            let told = complaint_at_once(&mut solace(&words));
            assert!(told.contains(file.as_str()), "{words:?}: {told}");
            assert!(*file != odd || told.contains("line 2"), "{words:?}: {told}");
            assert!(!place.path("out").exists(), "{words:?}");
        }
    }
}
