//! The built-in model and dialogues: what a newcomer sees holds.

use crate::program::{json, root, sra, text};

#[test]
fn the_demo_follows_the_strategy_it_is_told() {
    let told = json(&["demo", "--quiet", "--format", "json"]);
    let records = told["records"].as_array().unwrap();
    assert_eq!(records.len(), 3 * 15 * 2, "three dialogues, fifteen strategies, two layouts");
    let agreement = &told["agreement"];
    assert!(agreement["layouts"]["c1_hf"]["percent"].as_f64().unwrap() >= 90.0, "{agreement}");
    assert!((agreement["chance"].as_f64().unwrap() - 100.0 / 15.0).abs() < 1e-9);
    let words = records.iter().map(|record| record["text"].as_str().unwrap().split_whitespace().count());
    assert!(words.clone().min() >= Some(4) && words.max() <= Some(45), "answers are sentences");
}

/// Without a strategy in the prompt the answer can't be the one that was drawn.
#[test]
fn without_being_told_it_is_near_chance() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").to_string_lossy().into_owned();
    let mut words =
        vec!["continue", "--quiet", "--model", "demo", "--data", "demo:60", "--turns", "2..2", "--out", &out];
    words.extend(["--instruction", "train-unconditional", "--temperature", "0", "--max-new-tokens", "48"]);
    assert!(sra(&words).output().unwrap().status.success());
    let judged = json(&["agreement", "--input", &out, "--data", "demo:60", "--format", "json"]);
    let share = &judged["layouts"]["c1_hf"];
    assert_eq!(share["responses"], 60);
    assert!(share["percent"].as_f64().unwrap() <= 25.0, "{share}");
    // Which dialogues they are must be said.
    let output = sra(&["agreement", "--input", &out]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--data"), "{}", text(&output.stderr));
}

#[test]
fn the_shipped_file_is_small_and_has_its_card() {
    let folder = root().join("fixtures/demo/model");
    assert!(std::fs::metadata(folder.join("demo-q8_0.gguf")).unwrap().len() < 6 << 20);
    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.contains("train-demo-model") && card.contains("curve.svg") && folder.join("curve.svg").is_file());
}
