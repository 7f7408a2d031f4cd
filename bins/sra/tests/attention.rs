//! From captured attention to tables, on the built-in model: who attends to the strategy follows it, and masking it undoes that.

use std::path::Path;

use serde_json::Value;

use crate::program::{json, records, root, said, sra, text};

/// Runs words that must fail with a code and say something.
pub(crate) fn refused(words: &[&str], code: i32, says: &str) {
    let output = sra(words).output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{message}");
    assert!(message.contains(says), "{words:?}\n{message}");
}

/// A captured run of the demonstration model: a few dialogues, all strategies, two layouts.
fn captured(out: &str, level: &[&str]) {
    let mut words = vec!["continue", "--quiet", "--model", "demo", "--data", "demo:24", "--turns", "4..4"];
    words.extend(["--layout", "c1_hf,standard", "--conversations", "5", "--temperature", "0"]);
    words.extend(["--max-new-tokens", "48", "--out", out]);
    words.extend(level);
    said(&words);
}

pub(crate) fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_string_lossy().into_owned()
}

#[test]
fn attention_to_the_strategy_is_measured_and_audited() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, run) = (path(&folder, "plain"), path(&folder, "run"));
    captured(&plain, &[]);
    captured(&run, &["--attention", "layers"]);
    assert_eq!(records(Path::new(&plain)), records(Path::new(&run)), "capturing changes nothing");

    let tables = path(&folder, "tables");
    let told = json(&["attention", &run, "--format", "json", "--quiet", "--out", &tables]);
    let layouts = told["groups"]["layout"].as_array().unwrap();
    let mean = |layout: &str| {
        let group = layouts.iter().find(|group| group["key"][1] == layout).unwrap();
        assert!(group["value"]["low"].as_f64() <= group["value"]["mean"].as_f64());
        group["value"]["mean"].as_f64().unwrap()
    };
    assert!(mean("c1_hf") > 0.0 && mean("standard") > 0.0);
    let lines = std::fs::read_to_string(Path::new(&tables).join("sra.csv")).unwrap();
    assert_eq!(lines.lines().count(), 1 + records(Path::new(&run)).len());

    // Each preset of the audit is the same measure as `sra attention --preset`.
    let audit = json(&["audit", &run, "--format", "json", "--quiet"]);
    for preset in ["ours", "paper", "reference-prompting", "reference-eval"] {
        let told = json(&["attention", &run, "--preset", preset, "--format", "json", "--quiet"]);
        for group in told["groups"]["layout"].as_array().unwrap() {
            let last = audit
                .as_array()
                .unwrap()
                .iter()
                .rfind(|line| line["preset"] == preset && line["layout"] == group["key"][1]);
            assert_eq!(last.unwrap()["value"]["mean"], group["value"]["mean"], "{preset}");
        }
    }

    refused(&["attention", &run, "--layers", "99"], 1, "counted from 0");
    refused(&["attention", &run, "--heads", "0"], 1, "--attention full");
    refused(&["attention", &run, "--span", "nothing"], 1, "strategy_name");
    refused(&["attention", &plain], 1, "--attention spans");
    refused(&["audit", &path(&folder, "absent")], 1, "absent");
    refused(&["attention", &run, "--rows", "some"], 2, "first:N");
}

#[test]
fn a_captured_run_resumes_and_keeps_its_level() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    captured(&run, &["--attention", "spans"]);
    let expected = records(Path::new(&run));
    let file = Path::new(&run).join("continuations.jsonl");
    let lines = std::fs::read_to_string(&file).unwrap();
    let half: String = lines.split_inclusive('\n').take(expected.len() / 2).collect();
    std::fs::write(&file, half).unwrap();
    captured(&run, &["--attention", "spans", "--resume"]);
    assert_eq!(records(Path::new(&run)), expected);
    let mut words = vec!["continue", "--quiet", "--model", "demo", "--data", "demo:24", "--turns", "4..4"];
    words.extend(["--layout", "c1_hf,standard", "--conversations", "5", "--temperature", "0"]);
    words.extend(["--max-new-tokens", "48", "--out", &run, "--resume", "--attention", "full"]);
    refused(&words, 1, "attention");
    let beams = ["--beam-width", "2", "--temperature", "0", "--attention", "spans"];
    let out = path(&folder, "beams");
    let mut words = vec!["continue", "--model", "demo", "--data", "demo:4", "--out", &out];
    words.extend(beams);
    refused(&words, 1, "one beam");
}

#[test]
fn responses_fit_their_own_strategy_and_masking_it_undoes_that() {
    let folder = tempfile::tempdir().unwrap();
    let (run, rows) = (path(&folder, "run"), path(&folder, "rows.jsonl"));
    captured(&run, &["--attention", "spans"]);
    let score = ["adherence", &run, "--model", "demo", "--limit", "24", "--format", "json", "--quiet", "--out", &rows];
    let summary = json(&score);
    for layout in ["c1_hf", "standard"] {
        let margin = &summary[layout]["margin"];
        assert!(margin["low"].as_f64().unwrap() > 0.0, "{layout}: {margin}");
        assert!(summary[layout]["accuracy"]["mean"].as_f64() > summary[layout]["chance"].as_f64());
    }

    // An interrupted run goes on and ends with the same rows.
    let whole = std::fs::read_to_string(&rows).unwrap();
    let cut = whole.len() * 2 / 3;
    std::fs::write(&rows, &whole.as_bytes()[..cut]).unwrap();
    refused(&score, 1, "resume");
    let mut again = score.to_vec();
    again.push("--resume");
    assert_eq!(json(&again), summary);
    assert_eq!(std::fs::read_to_string(&rows).unwrap(), whole);
    let other = root().join("fixtures/models/tiny-llama").to_string_lossy().into_owned();
    again[3] = &other;
    refused(&again, 1, "rows made by");

    let told = json(&["attention", &run, "--adherence", &rows, "--format", "json", "--quiet"]);
    assert_eq!(told["correlation"]["responses"], 24);
    assert_eq!(told["correlation"]["pairs"].as_array().unwrap().len(), 1);

    let effect = json(&["intervene", &run, "--model", "demo", "--limit", "24", "--format", "json", "--quiet"]);
    for layout in ["c1_hf", "standard"] {
        let effect = &effect[layout];
        assert_eq!(effect["before"], summary[layout], "the same responses, scored again");
        assert!(effect["margin_change"]["high"].as_f64().unwrap() < 0.0, "{layout}: {}", effect["margin_change"]);
        assert!(effect["after"]["margin"]["mean"].as_f64() < effect["before"]["margin"]["mean"].as_f64());
    }
    let same = ["intervene", &run, "--model", "demo", "--limit", "8", "--factor", "1", "--format", "json", "--quiet"];
    assert_eq!(json(&same)["c1_hf"]["margin_change"]["mean"], 0.0);
    refused(&["intervene", &run, "--model", "demo", "--layers", "9"], 2, "counted from 0");
    refused(&["intervene", &run, "--model", "demo", "--spans", "nothing"], 2, "strategy_name");
    refused(&["intervene", &run, "--model", "demo", "--factor=-1"], 2, "factor");
}

/// The run that ships with the repository is what its command makes.
#[test]
fn the_shipped_run_is_what_its_command_makes() {
    let folder = tempfile::tempdir().unwrap();
    let again = path(&folder, "again");
    let mut words = vec!["continue", "--quiet", "--model", "demo", "--data", "demo:30", "--turns", "3..5"];
    words.extend(["--conversations", "5", "--sample-prob", "0.09", "--layout", "c1_hf,standard", "--temperature", "0"]);
    words.extend(["--max-new-tokens", "48", "--attention", "layers", "--out", &again]);
    said(&words);
    let shipped = root().join("fixtures/runs/attention").to_string_lossy().into_owned();
    let tables = [
        json(&["audit", &shipped, "--format", "json", "--quiet"]),
        json(&["audit", &again, "--format", "json", "--quiet"]),
    ];
    let [shipped, again] = tables.each_ref().map(|table| table.as_array().unwrap());
    assert_eq!(shipped.len(), again.len());
    for (shipped, again) in shipped.iter().zip(again) {
        let mean = |line: &Value| line["value"]["mean"].as_f64().unwrap();
        // Another processor may round differently and choose another word somewhere.
        assert!((mean(shipped) / mean(again) - 1.0).abs() < 0.05, "{shipped}\n{again}");
    }
    // The presets differ, each in its own way.
    let last = |preset: &str| {
        let line = shipped.iter().rfind(|line| line["preset"] == preset && line["layout"] == "c1_hf");
        line.unwrap()["ratio"].as_f64().unwrap()
    };
    assert!(last("paper") < 1.0 && last("reference-prompting") > 1.05 && last("reference-eval") > 2.0);
}

#[test]
fn the_strategy_is_read_off_words_vectors_and_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    let mut words =
        vec!["continue", "--quiet", "--model", "demo", "--data", "demo:40", "--turns", "2..2", "--out", &run];
    words.extend(["--conversations", "16", "--temperature", "0", "--max-new-tokens", "40"]);
    said(&words);
    let lexical = json(&["predictability", &run, "--format", "json", "--quiet"]);
    let report = &lexical[0]["report"];
    assert!(report["accuracy"].as_f64().unwrap() > 0.4, "{report}");
    assert_eq!(lexical[0]["coefficients"]["Offer Hope"].as_array().unwrap().len(), 10);
    let semantic = ["predictability", &run, "--reading", "semantic", "--model", "demo", "--format", "json", "--quiet"];
    assert!(json(&semantic)[0]["report"]["accuracy"].as_f64().unwrap() > 0.4);
    let probe = json(&["token-probe", &run, "--model", "demo", "--responses", "120", "--format", "json", "--quiet"]);
    assert!(probe["by_conversation"]["accuracy"].as_f64() > probe["by_conversation"]["chance"].as_f64());

    refused(&["predictability", &run, "--model", "demo"], 2, "lexical");
    refused(&["predictability", &run, "--reading", "semantic"], 2, "--embeddings, --model or --encoder");
    let file = path(&folder, "vectors.safetensors");
    std::fs::write(&file, b"nothing").unwrap();
    refused(&["predictability", &run, "--reading", "semantic", "--embeddings", &file], 1, "vectors.safetensors");
    refused(&["token-probe", &run, "--model", "demo", "--layer", "77"], 2, "--layer 77");
    refused(&["predictability", &run, "--test-share", "1.5"], 1, "test share");
}
