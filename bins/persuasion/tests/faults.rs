//! Surroundings that fail: full disks, places that can't be written, pipes that nobody reads, files that are none, servers that repeat the key.

use std::process::Command;
use std::time::Duration;

use hyper_search::{Snapshot, TrialState};

use crate::corpora::{Place, lines, pair_records, text};
use crate::scripted_judge::ScriptedJudge;
use crate::surroundings::{
    behind_a_closed_pipe, complaint, complaint_at_once, ended_quietly, files_below, filled, on_small_disk, size,
    where_nothing_can_be_written, with_largest_file,
};
use crate::train;
use crate::trained::{persuasion, rows, told, trained};

const KEY: &str = "sk-test-of-secrets-77c0ffee5d1c7e90ab";
/// Part of it, which is as secret.
const PART: &str = "77c0ffee5d";

#[test]
fn replies_on_a_disk_without_room_go_on_to_the_same_files() {
    let server = ScriptedJudge::start(|prompt| Ok("reason ".repeat(prompt.len() * 3)), Duration::ZERO);
    let place = Place::new();
    let (name, data) = (server.name(), trained().name("pairs/train.jsonl"));
    let [whole, full] = ["whole/replies.jsonl", "full/replies.jsonl"].map(|name| place.name(name));
    let words = |out| {
        let words = ["generate", "--model", &name, "--data", &data, "--out", out, "--concurrency", "1", "--quiet"];
        words.map(str::to_owned).to_vec()
    };
    let command = |words: &[String]| persuasion(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(command(&words(&whole)).output().unwrap().status.success());
    std::fs::create_dir(place.path("full")).unwrap();
    let room = size(&place.path("whole/replies.jsonl")) / 2 + size(&place.path("whole/replies.metadata.json"));
    let Some(output) = on_small_disk(&command(&words(&full)), &place.path("full"), room) else { return };
    let said = complaint(&output);
    assert!(said.contains("replies.jsonl: ") && said.contains("free the disk and resume"), "{said}");
    let kept = rows(&place.path("full/replies.jsonl")).len();
    assert!((1..6).contains(&kept), "{kept} rows");
    let output = command(&[words(&full), vec!["--resume".to_owned()]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for ending in ["jsonl", "csv", "metadata.json"] {
        assert!(
            place.read(&format!("full/replies.{ending}")) == place.read(&format!("whole/replies.{ending}")),
            "{ending}"
        );
    }
}

/// A disk without room says nothing about a trial's parameters: the trial is not counted as failed, and the search finds what it would have found.
#[test]
fn a_search_without_room_for_a_checkpoint_goes_on_to_the_same_trials() {
    let place = train::Place::new();
    std::fs::write(place.path("space.toml"), "learning_rate = { low = 1e-4, high = 1e-2, log = true }\n").unwrap();
    let words = |study: &'static str| {
        [
            "--study",
            study,
            "--space",
            "space.toml",
            "--epochs",
            "1",
            "--trials",
            "2",
            "--startup-trials",
            "1",
            "--limit",
            "8",
        ]
    };
    let trials = |study: &str| {
        let snapshot = Snapshot::read(place.path(study)).unwrap();
        let trials = snapshot.history().trials.to_vec();
        trials
            .into_iter()
            .map(|trial| (trial.number, trial.state, trial.external_parameters(), trial.value))
            .collect::<Vec<_>>()
    };
    train::said(&place.run("search", &words("whole")));
    let largest =
        files_below(&place.path("whole/trials/0000/checkpoints")).iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    let output = with_largest_file(&place.command("search", &words("full")), largest as u64 - 1).output().unwrap();
    let said = complaint(&output);
    assert!(said.contains("trials/0000/checkpoints") && said.contains("raise the limit"), "{said}");
    assert_eq!(trials("full").iter().map(|trial| trial.1).collect::<Vec<_>>(), [TrialState::Waiting]);
    train::said(&place.run("search", &words("full")));
    assert_eq!(trials("full"), trials("whole"));
}

/// What works for long, with files that are not there: the place is what each complains of.
const COMMANDS: [&[&str]; 6] = [
    &["prepare", "--posts", "none.jsonl", "--comments", "none.jsonl", "--out", "OUT"],
    &["train", "--model", "./none", "--data", "none", "--out", "OUT"],
    &["search", "--model", "./none", "--data", "none", "--study", "OUT"],
    &["generate", "--model", "./none", "--data", "none.jsonl", "--out", "OUT"],
    &["eval", "--generations", "none.jsonl", "--out", "OUT"],
    &["threads", "--posts", "none.jsonl", "--comments", "none.jsonl", "--out", "OUT"],
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
                false => Some(persuasion(&words).output().unwrap()),
                true if can_mount => where_nothing_can_be_written(&persuasion(&words), &place.path("read-only")),
                true => None,
            };
            can_mount &= output.is_some();
            let Some(told) = output.as_ref().map(complaint) else { continue };
            assert!(told.contains(out.trim_end_matches("/out")) && !told.contains("none"), "{words:?}: {told}");
        }
    }
}

#[test]
fn commands_that_print_end_quietly_behind_a_closed_pipe() {
    let place = Place::new();
    let input = place.write("pairs.jsonl", lines(&pair_records(6)));
    let (out, heard, run) = (place.name("out"), place.name("heard"), trained().name("run"));
    let table: [&[&str]; 5] = [
        &["prepare", "--input", &input, "--out", &out],
        &["compare", &run, &run],
        &["compare", &run, &run, "--format", "json"],
        &["completions", "bash"],
        &["man"],
    ];
    for words in table {
        let output = behind_a_closed_pipe(persuasion(words).args(["--quiet"]));
        assert!(ended_quietly(&output), "{words:?}: {:?} {}", output.status, text(&output.stderr));
    }
    // What was written is what is written when somebody listens.
    told(&["prepare", "--input", &input, "--out", &heard]);
    assert_eq!(place.files("heard"), place.files("out"));
}

#[test]
fn what_is_no_file_or_no_text_is_told_at_once() {
    let place = Place::new();
    let [out, replies, judged, pipe, folder] =
        ["out", "replies.jsonl", "judged.json", "pipe.jsonl", "folder.jsonl"].map(|name| place.name(name));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::create_dir(&folder).unwrap();
    let odd = place.write("odd.jsonl", b"\n{\"prompt\": \"caf\xE9\"}\n");
    let comments = place.write("comments.jsonl", "");
    let readers: [&[&str]; 5] = [
        &["prepare", "--input", "FILE", "--out", &out],
        &["prepare", "--posts", "FILE", "--comments", &comments, "--out", &out],
        &["generate", "--model", "demo", "--data", "FILE", "--out", &replies],
        &["eval", "--generations", "FILE", "--out", &judged],
        &["prepare", "--config", "FILE", "--input", &odd, "--out", &out],
    ];
    for words in readers {
        for file in [&pipe, &odd, &"/dev/zero".to_owned(), &folder] {
            let words = filled(words, "FILE", file);
            let told = complaint_at_once(&mut persuasion(&words));
            assert!(told.contains(file.as_str()), "{words:?}: {told}");
            assert!(*file != odd || told.contains("line 2"), "{words:?}: {told}");
            let left = std::fs::read_dir(place.path("out")).map_or(0, Iterator::count);
            let written = ["replies.jsonl", "judged.json"].into_iter().any(|name| place.path(name).exists());
            assert!(left == 0 && !written, "{words:?}");
        }
    }
}

/// What a server answers to a prompt, or its status.
type Rule = fn(&str) -> Result<String, u16>;

#[test]
fn a_key_is_told_to_its_server_only() {
    let place = Place::new();
    // Outside of the place that is searched.
    let data = trained().name("pairs/test.jsonl");
    let rules: [Rule; 2] =
        [|prompt| if prompt.len() % 3 == 0 { Err(400) } else { Ok(format!("Your key is {KEY}. [[A]]")) }, |_| Err(401)];
    let mut said = String::new();
    for (number, rule) in rules.into_iter().enumerate() {
        let server = ScriptedJudge::start(rule, Duration::ZERO);
        let name = server.name();
        let [replies, judged] = ["replies.jsonl", "judged.json"].map(|name| place.name(&format!("{number}-{name}")));
        let given = place.write("given.jsonl", given());
        let commands: [&[&str]; 2] = [
            &["generate", "--model", &name, "--data", &data, "--out", &replies, "--limit", "4"],
            &["eval", "--generations", &given, "--judge", &name, "--out", &judged, "--format", "json"],
        ];
        for words in commands {
            let mut command = persuasion(&[words, &["--retries", "1", "-vvv"]].concat());
            let output = command.env("OPENAI_API_KEY", KEY).env("RUST_LOG", "trace").output().unwrap();
            said += &(text(&output.stdout) + &text(&output.stderr));
        }
        assert!(!server.authorizations().is_empty());
        assert!(server.authorizations().iter().all(|sent| *sent == format!("Bearer {KEY}")));
    }
    // It was repeated, and somebody has taken it out.
    assert!(said.contains("says no to Bearer [key]") && !said.contains("panicked"), "{said}");
    assert!(!said.contains(PART), "{said}");
    for (path, bytes) in files_below(&place.path("")) {
        assert!(!String::from_utf8_lossy(&bytes).contains(PART), "the key is in {}", path.display());
    }
}

/// Replies to the test pairs, made by a server that knows no key.
fn given() -> Vec<u8> {
    let server = ScriptedJudge::start(|prompt| Ok(format!("Why {}", prompt.len())), Duration::ZERO);
    let place = Place::new();
    let (name, data, out) = (server.name(), trained().name("pairs/test.jsonl"), place.name("given.jsonl"));
    told(&["generate", "--model", &name, "--data", &data, "--out", &out, "--limit", "4"]);
    std::fs::read(out).unwrap()
}
