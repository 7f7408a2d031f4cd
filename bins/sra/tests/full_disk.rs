//! Disks that fill up while something is written: the error names the file and says what to do, what was finished stays readable, and going on
//! ends where an undisturbed run ends.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::program::{Place, good, lines, model, records, root, run, short_run, sra, text};
use crate::surroundings::{self, on_small_disk, size, with_largest_file};
use crate::training::train_words;

fn command(words: &[String]) -> Command {
    sra(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What an ended program complains of, which must be a failure that says what to do.
fn complaint(output: &Output, file: &str) -> String {
    let told = surroundings::complaint(output);
    assert!(told.contains(file) && told.contains("resume"), "{file}: {told}");
    told
}

fn resumed(words: &[String]) {
    let words = [words, &["--resume".to_owned()]].concat();
    let output = run(&words);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_sweep_on_a_disk_without_room_resumes_to_the_same_records() {
    let place = Place::new();
    let [whole, full] = ["whole", "full"].map(|name| place.path(name));
    assert!(run(&short_run(&whole)).status.success());
    let expected = records(&whole);
    std::fs::create_dir(&full).unwrap();
    let room = size(&whole.join("continuations.jsonl")) / 2 + size(&whole.join("run.json"));
    let words = short_run(&full);
    let Some(output) = on_small_disk(&command(&words), &full, room) else { return };
    let told = complaint(&output, "continuations.jsonl");
    assert!(told.contains("No space left on device") && told.contains("records before it are safe"), "{told}");
    let kept = records(&full);
    assert!(!kept.is_empty() && kept.len() < expected.len(), "{} records", kept.len());
    assert!(kept.iter().all(|record| expected.contains(record)));
    resumed(&words);
    assert_eq!(records(&full), expected);
}

#[test]
fn attention_that_can_not_be_kept_leaves_no_record_without_it() {
    let place = Place::new();
    let words = |name: &str| {
        [short_run(&place.path(name)), ["--attention", "layers", "--limit", "1"].map(str::to_owned).to_vec()].concat()
    };
    let files = |name: &str| -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(place.path(name).join("attention")).into_iter().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    };
    assert!(run(&words("whole")).status.success());
    let whole = files("whole");
    let smallest = whole.iter().map(|(_, bytes)| bytes.len() as u64).min().unwrap();
    let output = with_largest_file(&command(&words("full")), smallest - 1).output().unwrap();
    complaint(&output, ".attn");
    assert!(records(&place.path("full")).is_empty() && files("full").is_empty());
    resumed(&words("full"));
    assert_eq!(records(&place.path("full")), records(&place.path("whole")));
    assert!(files("full") == whole, "the attention differs");
}

#[test]
fn answers_to_chats_go_on_where_the_disk_was_full() {
    let place = Place::new();
    let chat = |number: usize| {
        json!({"id": number, "messages": [
            {"role": "user", "content": format!("{number} {}", "word ".repeat(200))}, {"role": "assistant", "content": "Yes."},
        ]})
    };
    let chats = place.write("chats.jsonl", &(0..4).map(|number| format!("{}\n", chat(number))).collect::<String>());
    let model = model().to_string_lossy().into_owned();
    let words = |out: &str| -> Vec<String> {
        [
            "generate",
            "--quiet",
            "--model",
            &model,
            "--data",
            &chats,
            "--out",
            out,
            "--max-new-tokens",
            "4",
            "--batch",
            "1",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let rows = |name: &str| {
        let mut rows = lines(&place.path(name));
        rows.sort_by_key(|row| row["row"].as_u64());
        rows
    };
    let [whole, full] = ["whole.jsonl", "full.jsonl"].map(|name| words(&place.name(name)));
    assert!(run(&whole).status.success());
    let output = with_largest_file(&command(&full), size(&place.path("whole.jsonl")) / 2).output().unwrap();
    let told = text(&output.stderr);
    assert!(
        output.status.code() == Some(1) && told.contains("full.jsonl") && told.contains("raise the limit"),
        "{told}"
    );
    let output = run(&full);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(rows("full.jsonl"), rows("whole.jsonl"));
}

#[test]
fn a_chat_goes_on_and_keeps_its_file_as_it_was() {
    let place = Place::new();
    let model = model().to_string_lossy().into_owned();
    let talk = |name: &str, texts: &[&str], room: Option<u64>| -> Output {
        let file = place.name(name);
        let chat = sra(&["chat", "--model", &model, "--max-new-tokens", "4", "--kv-memory", "64M", "--save", &file]);
        let mut chat = match room {
            Some(room) => with_largest_file(&chat, room),
            None => chat,
        };
        let mut child = chat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(texts.join("\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let long = "word ".repeat(400);
    let texts = ["Hello!", long.trim()];
    assert_eq!(talk("short.jsonl", &texts[..1], None).status.code(), Some(0));
    let output = talk("chat.jsonl", &texts, Some(size(&place.path("short.jsonl")) + 512));
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("not saved: ") && told.contains("chat.jsonl"), "{told}");
    assert_eq!(text(&output.stdout).matches("supporter").count(), 2, "the chat goes on");
    let kept = &lines(&place.path("chat.jsonl"))[0];
    assert_eq!((&kept["turn"], &kept["messages"][0]["content"]), (&json!(1), &json!("Hello!")));
}

#[test]
fn a_training_without_room_for_its_checkpoint_resumes_to_the_same_adapter() {
    let place = Place::new();
    let model = model().to_string_lossy().into_owned();
    let data = root().join("fixtures/lora/two-chats.jsonl").to_string_lossy().into_owned();
    let [whole, full] = ["whole", "full"].map(|name| place.name(name));
    good(&train_words(&model, &data, &data, &whole));
    let largest = size(&place.path("whole/checkpoints/step-00000012/optimizer.safetensors"));
    let words = train_words(&model, &data, &data, &full);
    let output = with_largest_file(&sra(&words), largest - 1).output().unwrap();
    let told = complaint(&output, "optimizer.safetensors");
    assert!(told.contains("File too large"), "{told}");
    let left = std::fs::read_dir(place.path("full/checkpoints")).unwrap().count();
    assert_eq!(left, 0, "no half checkpoint");
    good(&[&words[..], &["--resume"]].concat());
    let adapter = |run: &str| std::fs::read(place.path(run).join("adapter/adapter_model.safetensors")).unwrap();
    assert!(adapter("whole") == adapter("full"), "the adapters differ");
    let losses = |run: &str| -> Vec<(Value, Value)> {
        let events = lines(&place.path(run).join("events.jsonl")).into_iter();
        events.map(|event| (event["data"]["loss"].clone(), event["data"]["eval_dev_loss"].clone())).collect()
    };
    assert_eq!(losses("full"), losses("whole"));
}

/// A log is no reason to end hours of work.
#[test]
fn a_log_that_can_not_be_written_does_not_end_a_run() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return println!("skipped: there is no /dev/full");
    };
    let place = Place::new();
    let words = [short_run(&place.path("run")), vec!["-vv".to_owned()]].concat();
    let output = command(&words).stderr(full.try_clone().unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!records(&place.path("run")).is_empty() && text(&output.stdout).contains("continuations"));
    // And an error that nobody can be told is an error.
    let output = sra(&["stats", "--input", "nowhere.json"]).stderr(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
