//! Fine-tuning as a user does it: continuations, chats, an adapter, answers, a merged model; interruption and bad input.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Place, good, lines, root, run, short_run, sra, text};

fn model() -> String {
    root().join("fixtures/models/tiny-llama").to_string_lossy().into_owned()
}

/// Runs the shipped dialogues and makes chats of the result.
fn chats(place: &Place) -> PathBuf {
    let run_folder = place.path("run");
    let mut words = short_run(&run_folder);
    let at = words.iter().position(|word| word == "--conversations").unwrap();
    words[at + 1] = "3".into();
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (input, out) = (place.name("run"), place.name("data"));
    good(&["dataset", "--input", &input, "--out", &out, "--dev", "1", "--test", "1"]);
    place.path("data")
}

pub(crate) fn train_words<'a>(model: &'a str, data: &'a str, dev: &'a str, out: &'a str) -> Vec<&'a str> {
    let mut words = vec!["train", "--quiet", "--model", model, "--data", data, "--dev", dev, "--out", out];
    words.extend(["--rank", "4", "--micro-batch", "2", "--accumulate", "1", "--learning-rate", "1e-3"]);
    words.extend(["--max-steps", "12", "--evaluate-every", "4", "--save-every", "3", "--cutoff", "800"]);
    words
}

#[test]
fn from_continuations_to_a_merged_model() {
    let place = Place::new();
    let data = chats(&place);
    let train = lines(&data.join("train.jsonl"));
    let dev = lines(&data.join("dev.jsonl"));
    assert!(!train.is_empty() && !dev.is_empty());
    let conversation = |chat: &Value| chat["conversation"].as_str().unwrap().to_owned();
    assert!(dev.iter().all(|chat| !train.iter().any(|other| conversation(other) == conversation(chat))));
    let roles: Vec<&str> =
        train[0]["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!((roles[0], roles[roles.len() - 1]), ("system", "assistant"));
    let system = train[0]["messages"][0]["content"].as_str().unwrap();
    assert!(system.contains(train[0]["strategy"].as_str().unwrap()), "{system}");

    let (model, out) = (model(), place.name("tuned"));
    let (train_file, dev_folder) = (place.name("data/train.jsonl"), place.name("data"));
    let mut words = train_words(&model, &train_file, &dev_folder, &out);
    words.extend(["--track", "wandb", "--format", "json"]);
    let output = good(&words);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["steps"], 12);
    for file in
        ["config.toml", "events.jsonl", "curve.svg", "adapter/adapter_config.json", "adapter/adapter_model.safetensors"]
    {
        assert!(place.path("tuned").join(file).is_file(), "{file}");
    }
    let events = lines(&place.path("tuned/events.jsonl"));
    let losses: Vec<f64> = events.iter().filter_map(|event| event["data"]["eval_dev_loss"].as_f64()).collect();
    assert_eq!(losses.len(), 4, "before the first step and three times later");
    assert!(losses[3] < losses[0], "{losses:?}");

    answers_of_adapter_and_merged_model_agree(&place, &model, &out);
}

fn answers_of_adapter_and_merged_model_agree(place: &Place, model: &str, adapter: &str) {
    let (gguf, folder) = (place.name("merged.gguf"), place.name("merged"));
    good(&["merge", "--model", model, "--adapter", adapter, "--out", &gguf, "--type", "f32"]);
    good(&[
        "merge",
        "--model",
        model,
        "--adapter",
        adapter,
        "--out",
        &folder,
        "--type",
        "f32",
        "--export-size",
        "200k",
    ]);
    let data = place.name("data/dev.jsonl");
    let answers = |name: &str, more: &[&str]| {
        let out = place.name(name);
        let mut words = vec!["generate", "--quiet", "--data", &data, "--out", &out, "--limit", "6"];
        words.extend(["--temperature", "0", "--max-new-tokens", "12"]);
        words.extend(more);
        good(&words);
        let rows: std::collections::BTreeMap<u64, String> = lines(&place.path(name))
            .iter()
            .map(|row| (row["row"].as_u64().unwrap(), row["model_response"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(rows.len(), 6);
        rows
    };
    let adapted = answers("adapted.jsonl", &["--model", model, "--adapter", adapter]);
    assert_eq!(answers("gguf.jsonl", &["--model", &gguf]), adapted);
    assert_eq!(answers("folder.jsonl", &["--model", &folder]), adapted);
    assert_ne!(answers("base.jsonl", &["--model", model]), adapted);
    // Called again, nothing is left to answer.
    assert_eq!(answers("adapted.jsonl", &["--model", model, "--adapter", adapter]), adapted);
}

/// Kill -9 while training; resumed, the adapter has the bytes of one that was trained in one go.
#[test]
fn a_killed_run_resumes_to_the_same_adapter() {
    let place = Place::new();
    let data = root().join("fixtures/lora/two-chats.jsonl").to_string_lossy().into_owned();
    let (model, whole, parts) = (model(), place.name("whole"), place.name("parts"));
    let words = |out| {
        let mut words = train_words(&model, &data, &data, out);
        let at = words.iter().position(|word| *word == "--max-steps").unwrap();
        words[at + 1] = "60";
        words.push("--resume");
        words
    };
    good(&words(&whole));
    let mut killed_midway = 0;
    for milliseconds in [250, 400, 600, 900, 1300] {
        let mut child = sra(&words(&parts)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        killed_midway += usize::from(place.path("parts/checkpoints").exists() && !place.path("parts/adapter").exists());
    }
    println!("{killed_midway} of 5 kills hit a run between its first and its last step");
    good(&words(&parts));
    let adapter = |run: &str| std::fs::read(place.path(run).join("adapter/adapter_model.safetensors")).unwrap();
    assert!(adapter("whole") == adapter("parts"), "the adapters differ");
    let steps: Vec<u64> = lines(&place.path("parts/events.jsonl"))
        .iter()
        .filter(|event| event["data"]["loss"].is_number())
        .map(|event| event["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (1..=12).map(|step| step * 5).collect::<Vec<_>>(), "every recorded step once");
}

#[test]
fn bad_input_gets_a_clear_answer() {
    let place = Place::new();
    let model = model();
    let good_data = root().join("fixtures/lora/two-chats.jsonl").to_string_lossy().into_owned();
    let write = |name: &str, contents: &str| {
        std::fs::write(place.path(name), contents).unwrap();
        place.name(name)
    };
    let not_json = write("not.jsonl", "{\"messages\": [}\n");
    let no_answer = write("no-answer.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n");
    let empty = write("empty.jsonl", "");
    std::fs::create_dir(place.path("folder")).unwrap();
    let (folder, out) = (place.name("folder"), place.name("out"));
    std::fs::create_dir(place.path("bad-adapter")).unwrap();
    let config = "{\"peft_type\": \"LORA\", \"r\": 4, \"lora_alpha\": 8, \"target_modules\": [\"q_proj\"], \"modules_to_save\": [\"lm_head\"]}";
    write("bad-adapter/adapter_config.json", config);
    let bad_adapter = place.name("bad-adapter");
    let golden = root().join("fixtures/goldens/lora/all_linear").to_string_lossy().into_owned();

    let train = |data: &str, more: &[&str]| -> Vec<String> {
        let mut words = vec!["train", "--quiet", "--model", &model, "--data", data, "--out", &out, "--max-steps", "1"];
        words.extend(more);
        words.into_iter().map(str::to_owned).collect()
    };
    let one_chat = std::fs::read_to_string(&good_data).unwrap().lines().next().unwrap().to_owned();
    let one_chat = write("one.jsonl", &one_chat);
    let generate = |more: &[&str]| -> Vec<String> {
        let mut words = vec!["generate", "--quiet", "--model", &model, "--data", &one_chat, "--out", &out];
        words.extend(more);
        words.into_iter().map(str::to_owned).collect()
    };
    let cases: Vec<(Vec<String>, i32, &str)> = vec![
        (train("/no/such.jsonl", &[]), 1, "/no/such.jsonl"),
        (train(&not_json, &[]), 1, "not.jsonl, line 1"),
        (train(&no_answer, &[]), 1, "no-answer.jsonl, line 1"),
        (train(&empty, &[]), 1, "empty.jsonl"),
        (train(&good_data, &["--dev", &folder]), 1, "*dev.json"),
        (train(&good_data, &["--rank", "0"]), 2, "rank"),
        (train(&good_data, &["--dropout", "1.5"]), 2, "dropout"),
        (train(&good_data, &["--targets", "query"]), 2, "no linear layer"),
        (train(&good_data, &["--learning-rate", "-1"]), 2, "learning"),
        (train(&good_data, &["--schedule", "sine"]), 2, "cosine"),
        (train(&good_data, &["--warmup", "1.5"]), 2, "fraction"),
        (train(&good_data, &["--micro-batch", "0"]), 2, "at least 1"),
        (train(&good_data, &["--cutoff", "4"]), 1, "no example"),
        (train(&good_data, &["--from-adapter", &folder]), 1, "adapter_config.json"),
        (train(&good_data, &["--from-adapter", &bad_adapter]), 1, "modules_to_save"),
        (train(&good_data, &["--plain", "/no/template.txt"]), 1, "/no/template.txt"),
        (train(&good_data, &["--columns", "output"]), 2, "columns"),
        (generate(&["--adapter", &folder]), 1, "adapter_config.json"),
        // Made for another model: a width does not fit.
        (generate(&["--adapter", &golden]), 1, "has the shape"),
        (generate(&["--layout", "c9_hf"]), 2, "c9_hf"),
        (words(&["generate", "--model", &model, "--data", &no_answer, "--out", &out]), 1, "line 1"),
        (words(&["dataset", "--out", &out]), 2, "--input"),
        (words(&["dataset", "--input", &folder, "--out", &out]), 1, "continuations.jsonl"),
        (words(&["merge", "--model", &model, "--out", &out, "--type", "q9"]), 2, "q9"),
        (words(&["merge", "--model", &model, "--out", &out, "--type", "q8_0"]), 2, ".gguf"),
        (words(&["agreement", "--input", &folder]), 1, "continuations.jsonl"),
        (words(&["demo", "--model", "no-model"]), 2, "no-model"),
    ];
    for (words, code, hint) in cases {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = sra(&words).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}\n{message}");
        assert!(message.contains(hint), "{words:?}: `{hint}` is not in\n{message}");
        assert!(!message.contains("panicked"), "{words:?}\n{message}");
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A folder with a run is not overwritten, and not resumed with other settings.
#[test]
fn a_run_is_not_overwritten() {
    let place = Place::new();
    let data = root().join("fixtures/lora/two-chats.jsonl").to_string_lossy().into_owned();
    let (model, out) = (model(), place.name("run"));
    let words = train_words(&model, &data, &data, &out);
    good(&words);
    let output = sra(&words).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--resume"), "{}", text(&output.stderr));
    let mut other = words.clone();
    other.extend(["--resume", "--weight-decay", "0.5"]);
    let output = sra(&other).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("settings"), "{}", text(&output.stderr));
}
