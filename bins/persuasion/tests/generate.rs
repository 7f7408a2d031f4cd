//! `persuasion generate`: with a small model and its adapter, killed and gone on with; with a scripted server.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::corpora::Place;
use crate::scripted_judge::ScriptedJudge;
use crate::trained::{MODEL, persuasion, rows, told, trained};

/// All replies of a file as texts, in its order.
fn texts(rows: &[Value], system: &str) -> Vec<String> {
    let own = rows.iter().filter(|row| row["system"] == system);
    own.map(|row| row["generated_text"].as_str().unwrap().to_owned()).collect()
}

/// Words of a call that writes `out` with 12 new tokens a reply.
fn words<'a>(run: &'a str, out: &'a str) -> Vec<&'a str> {
    vec!["generate", "--adapter", run, "--out", out, "--max-new-tokens", "12", "--quiet"]
}

#[test]
fn each_prompt_is_replied_to_once_with_the_adapter_and_without() {
    let (place, run) = (Place::new(), trained().name("run"));
    let out = place.name("replies.jsonl");
    told(&[words(&run, &out), vec!["--with-base"]].concat());
    let found = rows(&place.path("replies.jsonl"));
    let ids: Vec<&str> = found.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["e6.0#0/model", "e6.0#0/base", "e7.0#0/model", "e7.0#0/base", "e8.0#0/model", "e8.0#0/base"],
        "the pairs of a post share its prompt"
    );
    assert_ne!(texts(&found, "model"), texts(&found, "base"));

    // The base alone, in the run's wording, one sequence at a time.
    let (data, base) = (trained().name("pairs/validation.jsonl"), place.name("base.jsonl"));
    let alone = ["generate", "--model", MODEL, "--data", &data, "--template", "bare", "--out", &base, "--batch", "1"];
    told(&[alone.as_slice(), &["--max-new-tokens", "12"]].concat());
    assert_eq!(texts(&rows(&place.path("base.jsonl")), "model"), texts(&found, "base"));

    let mut table = csv::Reader::from_path(place.path("replies.csv")).unwrap();
    let head: Vec<String> = table.headers().unwrap().iter().take(10).map(str::to_owned).collect();
    assert_eq!(
        head.join(","),
        "wandb_run_name,wandb_run_id,checkpoint_model_path,checkpoint_epoch,dataset_to_gen_txt,sample_index,prompt,\
         generated_text,chosen,rejected"
    );
    let cells: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(cells.iter().map(|row| row[0].to_owned() + " " + &row[4]).collect::<Vec<_>>(), ["run validation"; 3]);
    assert_eq!(cells.iter().map(|row| row[10].to_owned()).collect::<Vec<_>>(), texts(&found, "base"));
    assert_eq!(place.json("replies.metadata.json")["writing"]["template"], "bare");
}

#[test]
fn killed_and_resumed_the_files_are_the_same() {
    let (place, run) = (Place::new(), trained().name("run"));
    let data = trained().name("pairs/train.jsonl");
    let more = ["--data", &data, "--samples", "3", "--temperature", "1", "--batch", "2", "--resume"];
    let call = |out: &str| -> Vec<String> {
        [words(&run, out), more.to_vec()].concat().into_iter().map(str::to_owned).collect()
    };
    let (whole, killed) = (place.name("whole.jsonl"), place.name("killed.jsonl"));
    let whole_call = call(&whole);
    told(&whole_call.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rows(&place.path("whole.jsonl")).len(), 18);

    let killed_call = call(&killed);
    let killed_call: Vec<&str> = killed_call.iter().map(String::as_str).collect();
    let count = || std::fs::read_to_string(place.path("killed.jsonl")).unwrap_or_default().lines().count();
    for wanted in [3, 8] {
        let mut child = persuasion(&killed_call).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while count() < wanted && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // A kill in the middle of a write.
    let torn = place.read("killed.jsonl");
    let last = torn.trim_end().rfind('\n').unwrap_or(0);
    std::fs::write(place.path("killed.jsonl"), &torn[..last + 20]).unwrap();
    told(&killed_call);
    for ending in ["jsonl", "csv", "metadata.json"] {
        assert!(place.read(&format!("killed.{ending}")) == place.read(&format!("whole.{ending}")), "{ending} differs");
    }
}

#[test]
fn samples_differ_and_more_can_be_asked_for_later() {
    let (place, run) = (Place::new(), trained().name("run"));
    let out = place.name("replies.jsonl");
    let more = ["--samples", "2", "--temperature", "1", "--resume"];
    told(&[words(&run, &out), more.to_vec(), vec!["--limit", "1"]].concat());
    let first = texts(&rows(&place.path("replies.jsonl")), "model");
    assert_eq!(first.len(), 2);
    assert_ne!(first[0], first[1]);
    told(&[words(&run, &out), more.to_vec(), vec!["--limit", "2"]].concat());
    let all = texts(&rows(&place.path("replies.jsonl")), "model");
    assert_eq!((&all[..2], all.len()), (&first[..], 4));
}

#[test]
fn a_server_gets_each_prompt_as_a_chat() {
    let server = ScriptedJudge::start(|prompt| Ok(format!("Why {}", prompt.len())), Duration::ZERO);
    let place = Place::new();
    let (data, out) = (trained().name("pairs/test.jsonl"), place.name("replies.jsonl"));
    told(&["generate", "--model", &server.name(), "--data", &data, "--out", &out, "--limit", "2"]);
    let found = rows(&place.path("replies.jsonl"));
    assert_eq!(found.len(), 2);
    for row in &found {
        assert_eq!(row["generated_text"], format!("Why {}", row["prompt"].as_str().unwrap().len()));
    }
    let messages = server.asked()[0]["messages"].clone();
    assert_eq!(messages.as_array().unwrap().len(), 2);
    assert_eq!(messages[0]["role"], "system");
    assert!(messages[0]["content"].as_str().unwrap().starts_with("Write a reply"), "{messages}");
}

#[test]
fn an_interrupt_keeps_what_is_finished_and_exits_with_130() {
    let server = ScriptedJudge::start(|prompt| Ok(format!("Why {}", prompt.len())), Duration::from_millis(300));
    let place = Place::new();
    let (name, data, out) = (server.name(), trained().name("pairs/train.jsonl"), place.name("replies.jsonl"));
    let words = ["generate", "--model", &name, "--data", &data, "--out", &out, "--concurrency", "1", "--resume"];
    let mut child = persuasion(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while rows(&place.path("replies.jsonl")).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let kept = rows(&place.path("replies.jsonl"));
    assert!((1..6).contains(&kept.len()), "{} rows", kept.len());
    told(&words);
    let all = rows(&place.path("replies.jsonl"));
    assert_eq!((all.len(), &all[..kept.len()]), (6, &kept[..]));
}
