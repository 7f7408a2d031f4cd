//! Every scenario of `throughput` that needs no other program, at small sizes.

use std::process::{Command, Output};

/// Runs it in a folder of its own, since models with random weights are written below the current one.
fn throughput(name: &str, words: &[&str]) -> Output {
    let folder = std::env::temp_dir().join(format!("solace-throughput-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_throughput")).args(words).current_dir(&folder).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    output
}

fn report(name: &str, words: &[&str]) -> serde_json::Value {
    let output = throughput(name, &[words, &["--json"]].concat());
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn scenarios_of_the_engine_tell_a_row_for_each_case_and_side() {
    let tiny = ["--shape", "tiny", "--repetitions", "1", "--peers", "candle"];
    let cases: [(&[&str], usize); 6] = [
        (&["prefill", "--prompt-tokens", "8,20"], 4),
        (&["decode", "--prompt-tokens", "8", "--new-tokens", "4"], 2),
        (&["batch", "--batch", "2,3", "--prompt-tokens", "8", "--new-tokens", "4"], 4),
        (&["sweep", "--prefix-tokens", "40", "--strategies", "3", "--own-tokens", "2", "--new-tokens", "3"], 2),
        (&["attention", "--prompt-tokens", "64", "--new-tokens", "4"], 5),
        (&["score", "--prefix-tokens", "20", "--continuations", "2", "--tokens", "3"], 2),
    ];
    for (words, rows) in cases {
        let report = report(words[0], &[words, &tiny].concat());
        let found = report["rows"].as_array().unwrap();
        assert_eq!(found.len(), rows, "{words:?}");
        for row in found {
            assert!(row["rate"]["median"].as_f64().unwrap().is_finite(), "{words:?}: {row}");
            assert_eq!(row["speed_ratio"].is_null(), row["side"] == "solace");
            assert!(row["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
        }
    }
}

#[test]
fn a_dialogue_is_laid_out_and_continued() {
    let words =
        ["dialogue", "--layouts", "c1_hf,standard", "--cut-points", "2", "--new-tokens", "2", "--repetitions", "1"];
    let report = report("dialogue", &[&words[..], &["--shape", "tiny"]].concat());
    let cases: Vec<&str> = report["rows"].as_array().unwrap().iter().map(|row| row["case"].as_str().unwrap()).collect();
    assert!(
        cases[0].starts_with("c1_hf: 30 prompts of up to ") && cases[1].starts_with("standard: 30 prompts"),
        "{cases:?}"
    );
}

#[test]
fn training_steps_are_measured() {
    let words = ["lora-step", "--shape", "tiny", "--batch", "2", "--tokens", "8", "--repetitions", "2"];
    assert_eq!(report("lora", &words)["rows"][0]["seconds"].as_array().unwrap().len(), 2);
    let words =
        ["dpo-step", "--shape", "tiny", "--pairs", "2", "--prompt-tokens", "6", "--reply-tokens", "4", "--steps", "2"];
    let output = throughput("dpo", &words);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a line of JSON");
    assert_eq!(told["losses"].as_array().unwrap().len(), 3, "{told}");
}

#[test]
fn scores_are_measured() {
    let output = throughput("metrics", &["metrics", "--pairs", "30", "--repetitions", "1", "--metrics", "f1,distinct"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("30 pairs") && text.contains("\nf1 ") && text.contains("\ndistinct "), "{text}");
}

#[test]
fn a_table_and_a_picture_are_written() {
    let folder = std::env::temp_dir().join(format!("solace-throughput-files-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (json, svg) = (folder.join("report.json"), folder.join("report.svg"));
    let files = ["--out", json.to_str().unwrap(), "--svg", svg.to_str().unwrap()];
    let words = ["decode", "--prompt-tokens", "8", "--new-tokens", "4", "--repetitions", "1"];
    let output = throughput("files", &[&words[..], &files].concat());
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("memory read") && table.contains("batch 1, 4 tokens behind 8"), "{table}");
    assert!(std::fs::read_to_string(&json).unwrap().contains("\"scenario\": \"decode\""));
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_can_not_be_measured_is_told() {
    let cases: [(&[&str], &str); 6] = [
        (&["decode", "--repetitions", "0"], "must be at least 1"),
        (&["decode", "--model", "nowhere.gguf"], "nowhere.gguf"),
        (&["decode", "--kv-memory", "300K"], "give more"),
        (&["score", "--peers", "llama.cpp"], "knows `candle`"),
        (&["dialogue", "--data", "nowhere.json"], "nowhere.json"),
        (&["decode", "--shape", "tiny", "--peers", "llama.cpp", "--python", "/nowhere/python"], "/nowhere/python"),
    ];
    for (number, (words, part)) in cases.into_iter().enumerate() {
        let output = throughput(&format!("wrong-{number}"), words);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(part), "{words:?}: {told}");
    }
}

#[test]
fn it_tells_what_it_is_built_from_and_prints_its_manual_page() {
    let told = |word: &str| String::from_utf8(throughput("itself", &[word]).stdout).unwrap();
    assert!(told("--version").contains("\ncommit: "));
    assert!(told("man").contains(".SH SYNOPSIS"));
}
