//! `thtra run` on the made-up corpus: all stages, once, in order, and on after an interruption.

use serde_json::Value;

use crate::program::{Place, complaint, json_of, said, text, thtra};

/// All stages, as small as they may be.
const PRESET: &str = r#"
description = "a test"
size = "tiny"
vocabulary = 120
encoder-size = "tiny"
[prepare]
max-input-length = 60
max-decoder-input-length = 20
[helpfulness]
kind = "ordinal"
epochs = 1
batch-size = 4
[baselines.joint]
kind = "joint"
epochs = 1
batch-size = 4
[train-lookahead]
epochs = 1
batch-size = 4
[train-situation]
epochs = 1
batch-size = 4
[alignments.aligned.candidates]
limit = 4
candidates = 3
[alignments.aligned.align]
epochs = 1
accumulate = 2
answers = 2
perplexity-limit = 100
loss-limit = 20
[eval]
limit = 4
no-gold = true
resamples = 20
"#;

const STAGES: [&str; 12] = [
    "process",
    "prepare",
    "joint",
    "look-ahead",
    "situation",
    "helpfulness",
    "candidates-aligned",
    "aligned",
    "eval-joint",
    "eval-look-ahead",
    "eval-situation",
    "eval-aligned",
];

fn words(place: &Place) -> Vec<String> {
    let preset = place.write("mine.toml", PRESET);
    let own = ["run", "--input", &place.name("ESConv.json"), "--preset", &preset, "--out", &place.name("run")];
    own.map(str::to_owned).to_vec()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn with(words: &[String], more: &[&str]) -> Vec<String> {
    words.iter().cloned().chain(more.iter().map(|word| (*word).to_owned())).collect()
}

#[test]
fn all_stages_are_done_once_and_compared() {
    let place = Place::with_corpus();
    let words = words(&place);
    let found: Value = serde_json::from_str(&said(&strs(&with(&words, &["--format", "json"])))).unwrap();
    let names: Vec<&str> =
        found["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["joint", "look-ahead", "situation", "aligned"]);
    assert_eq!(found, json_of(&place.path("run/comparison.json")));
    for model in found["models"].as_array().unwrap() {
        let values: Vec<&str> =
            model["values"].as_array().unwrap().iter().map(|value| value[0].as_str().unwrap()).collect();
        for name in ["perplexity", "strategy-top-1", "helpfulness", "bleu-4"] {
            assert!(values.contains(&name), "{name}: {values:?}");
        }
    }
    let stages: Vec<&str> =
        found["stages"].as_array().unwrap().iter().map(|stage| stage[0].as_str().unwrap()).collect();
    assert_eq!(stages, STAGES);
    // What stages print is kept, and the third stage is compared with the second.
    assert!(place.read("run/logs/situation.txt").contains("best perplexity"));
    assert!(!json_of(&place.path("run/eval/aligned/metrics.json"))["comparison"].is_null());
    // Once more: nothing is left to do.
    let again = thtra(&strs(&words)).output().unwrap();
    assert!(again.status.success());
    let told = text(&again.stderr);
    assert!(told.contains("1 of 12: process is done") && told.contains("12 of 12: eval-aligned is done"), "{told}");
    let table = text(&again.stdout);
    assert!(table.contains("perplexity") && table.contains("aligned"), "{table}");
    // Other options are another run.
    place.write("mine.toml", &PRESET.replace("limit = 4\nno-gold", "limit = 3\nno-gold"));
    let told = complaint(&strs(&words), 2);
    assert!(told.contains("eval-joint was done with other options (now: --limit=3)"), "{told}");
}

#[test]
fn a_run_that_was_cut_goes_on() {
    let place = Place::with_corpus();
    let words = words(&place);
    let mut child = thtra(&strs(&with(&words, &["--quiet"]))).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !place.path("run/look-ahead").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // A person's Ctrl-C reaches the stage as well; here it is the run alone that hears of it, and passes it on.
    let status = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let done = |place: &Place| json_of(&place.path("run/stages.json")).as_object().unwrap().len();
    assert!(done(&place) < STAGES.len());
    said(&strs(&words));
    assert_eq!(done(&place), STAGES.len());
}

#[test]
fn presets_are_shown_and_command_lines_too() {
    for name in ["paper", "small", "joint", "vanilla"] {
        assert!(said(&["run", "--preset", name, "--show-preset"]).contains("description = "));
        let told = said(&["run", "--input", "ESConv.json", "--preset", name, "--out", "run", "--dry-run"]);
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].starts_with("thtra process --input ESConv.json --out run/data"), "{told}");
        // Every line is one that the program takes.
        for line in lines {
            let words: Vec<&str> = line.split(' ').skip(1).chain(["--help"]).collect();
            assert!(thtra(&words).output().unwrap().status.success(), "{line}");
        }
    }
}

#[test]
fn a_run_that_cannot_be_is_refused() {
    let place = Place::with_corpus();
    let words = words(&place);
    let told = complaint(&["run", "--preset", "small"], 2);
    assert!(told.contains("--input") && told.contains("--out"), "{told}");
    place.write(
        "mine.toml",
        &PRESET.replace("epochs = 1\nbatch-size = 4\n[train-situation]", "epocs = 1\n[train-situation]"),
    );
    let told = complaint(&strs(&words), 1);
    assert!(told.contains("--epocs") && told.contains("look-ahead failed"), "{told}");
    // What was done before stays done.
    assert!(json_of(&place.path("run/stages.json"))["joint"].is_object());
    place.write("mine.toml", &PRESET.replace("vocabulary = 120", ""));
    assert!(complaint(&strs(&words), 2).contains("`size` with `vocabulary`"));
}
