//! Places that can't be written are told before anything is read, loaded or computed: no file that these words name is there, and the place is
//! what each complains of.

use crate::program::{Place, sra, text};
use crate::surroundings::{self, where_nothing_can_be_written};

/// Every command that works for long, with all it needs but a place: `OUT` stands for that.
const COMMANDS: [&[&str]; 18] = [
    &["continue", "--model", "./none", "--data", "none.jsonl", "--out", "OUT"],
    &["demo", "--model", "./none", "--out", "OUT"],
    &["train", "--model", "./none", "--data", "none.jsonl", "--out", "OUT"],
    &["generate", "--model", "./none", "--data", "none.jsonl", "--out", "OUT"],
    &["merge", "--model", "./none", "--out", "OUT"],
    &["merge", "--model", "./none", "--out", "OUT.gguf"],
    &["chat", "--model", "./none", "--save", "OUT"],
    &["classifier", "train", "--size", "tiny", "--data", "none.jsonl", "--out", "OUT"],
    &["classifier", "predict", "--model", "./none", "--input", "none.jsonl", "--out", "OUT"],
    &["attention", "none", "--out", "OUT"],
    &["audit", "none", "--out", "OUT"],
    &["adherence", "none", "--model", "./none", "--out", "OUT"],
    &["intervene", "none", "--model", "./none", "--out", "OUT"],
    &["judge", "none", "none", "--model", "./none", "--out", "OUT"],
    &["head2head", "--model", "./none", "--against", "./none", "--out", "OUT"],
    // These are done in no time, so that nothing is lost: what they read is there.
    &["prepare", "--input", "demo:1", "--out", "OUT"],
    &["dataset", "--input", "RUN", "--out", "OUT"],
    &["export", "--input", "RUN", "--form", "chat", "--out", "OUT"],
];

fn words(command: &[&str], out: &str) -> Vec<String> {
    let run = crate::program::root().join("fixtures/runs/attention").display().to_string();
    command.iter().map(|word| word.replace("OUT", out).replace("RUN", &run)).collect()
}

/// What the program complains of, run with these words.
fn complaint(words: &[String]) -> String {
    surroundings::complaint(&sra(&words.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap())
}

#[test]
fn a_place_below_a_file_is_told_first() {
    let place = Place::new();
    place.write("in-the-way", "");
    for command in COMMANDS {
        let told = complaint(&words(command, &place.name("in-the-way/out")));
        assert!(told.contains("in-the-way") && !told.contains("none"), "{command:?}: {told}");
    }
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told_first() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder")).unwrap();
    let wants_a_file = ["generate", "adherence", "intervene", "audit", "judge", "head2head", "chat", "prepare"];
    for command in COMMANDS.iter().filter(|command| wants_a_file.contains(&command[0])) {
        let told = complaint(&words(command, &place.name("folder")));
        assert!(told.contains("folder") && !told.contains("none"), "{command:?}: {told}");
    }
}

#[test]
fn a_place_without_a_folder_around_it_is_told_first() {
    let place = Place::new();
    for command in
        COMMANDS.iter().filter(|command| ["generate", "adherence", "intervene", "chat"].contains(&command[0]))
    {
        let told = complaint(&words(command, &place.name("nowhere/out")));
        assert!(told.contains("there is no folder") && told.contains("make it first"), "{command:?}: {told}");
    }
}

#[test]
fn a_disk_that_is_read_only_is_told_first() {
    let place = Place::new();
    std::fs::create_dir(place.path("read-only")).unwrap();
    for command in COMMANDS {
        let words = words(command, &place.name("read-only/out"));
        let command = sra(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let Some(output) = where_nothing_can_be_written(&command, &place.path("read-only")) else { return };
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {told}");
        assert!(told.contains("read-only") && told.contains("Read-only file system"), "{words:?}: {told}");
        assert!(told.contains("Name another place") && !told.contains("none"), "{words:?}: {told}");
    }
}

#[test]
fn looking_leaves_nothing_behind() {
    let place = Place::new();
    for command in &COMMANDS[..15] {
        let output =
            sra(&words(command, &place.name("out")).iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
        assert!(!output.status.success(), "{command:?}");
    }
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 0);
}
