//! The real corpus and the real small Llama, where they are at hand.

use serde_json::Value;

use crate::program::{real, records, sra, text};

#[test]
fn prepare_cuts_the_real_corpus_into_the_published_counts() {
    let Some(corpus) = real("esconv/ESConv.json") else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("conversations.jsonl");
    let words = ["prepare", "--input", &corpus.to_string_lossy(), "--out", &out.to_string_lossy(), "--format", "json"];
    let output = sra(&words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((summary["conversations"].as_u64(), summary["examples"].as_u64()), (Some(1300), Some(12_725)));
    let turns: Vec<u64> = std::fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["turn"].as_u64().unwrap())
        .collect();
    let between = |low, high| turns.iter().filter(|turn| (low..=high).contains(*turn)).count();
    assert_eq!((between(3, 12), between(3, 10)), (9354, 8715));
    assert_eq!(turns.iter().max(), Some(&42));
}

/// The greedy texts of a run over two real dialogues, and its statistics.
fn continued(model: &str, layout: &str, more: &[&str]) -> Option<(Vec<(String, String)>, Value)> {
    let (corpus, model) = (real("esconv/ESConv.json")?, real(model)?);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let (corpus, model, out_text) = (corpus.to_string_lossy(), model.to_string_lossy(), out.to_string_lossy());
    let mut words = vec!["continue", "--model", &model, "--data", &corpus, "--out", &out_text, "--layout", layout];
    words.extend(["--conversations", "2", "--context", "8192", "--max-new-tokens", "16", "--temperature", "0"]);
    words.extend(["--chat-template", "llama2", "--format", "json"]);
    words.extend(more);
    let output = sra(&words).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let texts = records(&out)
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|record| (format!("{} {}", record["example"], record["strategy"]), record["text"].to_string()))
        .collect();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    Some((texts, summary["statistics"].clone()))
}

fn sorted(mut texts: Vec<(String, String)>) -> Vec<(String, String)> {
    texts.sort();
    texts
}

#[test]
fn the_real_small_llama_gives_the_same_text_from_both_of_its_forms() {
    let Some((folder, _)) = continued("models/stories260K", "c1_hf", &["--turns", "3..4"]) else { return };
    let Some((file, _)) = continued("models/stories260K/stories260K-f32.gguf", "c1_hf", &["--turns", "3..4"]) else {
        return;
    };
    assert!(folder.len() >= 60);
    assert_eq!(sorted(folder), sorted(file));
}

fn computed_share(statistics: &Value) -> f64 {
    statistics["prompt_tokens_computed"].as_f64().unwrap() / statistics["prompt_tokens"].as_f64().unwrap()
}

#[test]
fn layouts_share_what_they_can() {
    let Some((_, one_cut)) = continued("models/stories260K", "c1_hf", &["--turns", "6..6"]) else { return };
    let share = computed_share(&one_cut);
    println!("c1_hf at one cut point computes {:.1} % of the prompt tokens", 100.0 * share);
    assert!(share <= 0.40, "c1_hf at one cut point computes {share}");
    let Some((_, dialogue)) = continued("models/stories260K", "standard", &["--turns", "1..100"]) else { return };
    let share = computed_share(&dialogue);
    println!("standard over whole dialogues computes {:.1} % of the prompt tokens", 100.0 * share);
    assert!(share <= 0.25, "standard over whole dialogues computes {share}");
}
