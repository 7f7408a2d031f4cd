//! `persuasion train` and `persuasion search` as a user runs them: what a run leaves, resume after kills, bad input.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use golden_files::root;
use hyper_search::Snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Pairs of made-up debates; the better reply is the one that gives a reason.
pub(crate) struct Place(TempDir);

const REASONS: [&str; 4] = ["it saves time", "people said so", "it costs less", "we tried it twice"];

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.path("pairs")).unwrap();
        place.write_part("train", 0, 24);
        place.write_part("validation", 24, 10);
        place.write_part("test", 34, 10);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write_part(&self, name: &str, first: usize, count: usize) {
        let row = |number: usize| {
            let reason = REASONS[number % REASONS.len()];
            json!({
                "id": format!("p{number}"), "group": format!("g{}", number / 2), "prompt": format!("Should plan {} be kept?", number / 2),
                "chosen": format!("Keep plan {number}, because {reason}."), "rejected": format!("Whatever, plan {number} is boring."),
            })
        };
        let text: String = (first..first + count).map(|number| format!("{}\n", row(number))).collect();
        std::fs::write(self.path("pairs").join(format!("{name}.jsonl")), text).unwrap();
    }

    /// `persuasion COMMAND` on the small model and the pairs.
    pub(crate) fn command(&self, command: &str, more: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_persuasion"));
        let model = root().join("fixtures/models/tiny-llama");
        program.args(["-q", "--threads", "2", command, "--model"]).arg(model).arg("--data").arg(self.path("pairs"));
        program.args(["--device", "cpu", "--generate", "1", "--max-new-tokens", "4", "--learning-rate", "2e-3"]);
        program.args(more).current_dir(self.0.path());
        program
    }

    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Output {
        self.command(command, more).output().unwrap()
    }
}

pub(crate) fn said(output: &Output) -> String {
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{errors}");
    out.into_owned()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn rows(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_leaves_an_adapter_its_records_and_its_tables() {
    let place = Place::new();
    let told = said(&place.run("train", &["--out", "run", "--epochs", "2", "--format", "json"]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((told["steps"].as_u64(), told["planned_steps"].as_u64()), (Some(12), Some(12)));
    let run = place.path("run");
    for file in ["adapter/adapter_config.json", "adapter/adapter_model.safetensors", "config.toml", "curve.svg"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let pairs = rows(&run.join("outputs/pairs.jsonl"));
    assert_eq!((pairs.len(), pairs[0]["split"].as_str(), pairs[0]["group"].as_str()), (34, Some("train"), Some("g0")));
    // Before the first step and after each epoch.
    let samples = rows(&run.join("outputs/samples.jsonl"));
    assert_eq!(samples.len(), 3 * 10);
    assert_eq!((samples[0]["step"].as_u64(), samples[0]["chosen_reward"].as_f64()), (Some(0), Some(0.0)));
    let generations = rows(&run.join("outputs/generations.jsonl"));
    assert_eq!(generations.iter().map(|row| row["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 6, 12]);
    let events = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    for name in [
        "rewards/margins",
        "logps/chosen",
        "perplexity_reference/rejected",
        "eval_rewards/accuracies",
        "eval_loss",
        "eval_runtime",
        "eval_samples_per_second",
        "eval_steps_per_second",
    ] {
        assert!(events.contains(&format!("\"{name}\"")), "{name}");
    }
    assert!(!events.contains("nll_loss"));
    // The untrained adapter changes nothing: ln 2.
    assert!(events.contains("\"eval_loss\":0.693147"), "{events}");
    // Resumed when it is over, it tells the same.
    let again = said(&place.run("train", &["--out", "run", "--epochs", "2", "--format", "json", "--resume"]));
    let again: Value = serde_json::from_str(&again).unwrap();
    for known in ["metrics", "loss", "best", "tokens", "steps"] {
        assert_eq!(again[known], told[known], "{known}");
        assert!(!again[known].is_null(), "{known}");
    }
    assert_eq!((&again["tokens_per_second"], rows(&run.join("outputs/samples.jsonl")).len()), (&json!(0.0), 30));
}

/// The dashboard's two tables, in the W&B folder and in the events; the study's results name the run.
#[test]
fn a_tracked_run_records_its_tables_once() {
    let place = Place::new();
    let words = ["--out", "run", "--epochs", "1", "--rpo-alpha", "0.5", "--track", "wandb"];
    said(&place.run("train", &words));
    said(&place.run("train", &[&words[..], &["--resume"]].concat()));
    let events = rows(&place.path("run/events.jsonl"));
    let tables: Vec<&Value> =
        events.iter().filter(|event| event["kind"] == "table").map(|event| &event["data"]).collect();
    let [samples, generations] = tables[..] else { panic!("{} tables", tables.len()) };
    assert_eq!(
        (samples["name"].as_str(), generations["name"].as_str()),
        (Some("sample_level_metrics_table_data"), Some("eval_sample_gen_txt_table_data"))
    );
    let cell = |table: &Value, column: &str, row: usize| {
        let place = table["columns"].as_array().unwrap().iter().position(|name| name == column).unwrap();
        table["rows"][row][place].clone()
    };
    assert_eq!((samples["rows"].as_array().unwrap().len(), generations["rows"].as_array().unwrap().len()), (20, 2));
    assert_eq!(cell(samples, "prompt", 0), "Should plan 12 be kept?");
    assert_eq!(cell(samples, "chosen", 0), "Keep plan 24, because it saves time.");
    assert_eq!(cell(samples, "chosen_reward", 0), 0.0);
    assert_eq!(cell(generations, "prompt", 1), "Should plan 12 be kept?");
    let shown = events.iter().filter(|event| event["data"]["eval_nll_loss"].is_number()).count();
    assert_eq!(shown, 2);
    let runs =
        std::fs::read_dir(place.path("run/wandb")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let [run] = &runs[..] else { panic!("{runs:?}") };
    assert_eq!(std::fs::read_dir(run.join("files/media/table")).unwrap().count(), 2);

    std::fs::write(place.path("space.toml"), "learning_rate = { low = 1e-4, high = 1e-2, log = true }\n").unwrap();
    let search = [
        "--study",
        "study",
        "--space",
        "space.toml",
        "--epochs",
        "1",
        "--trials",
        "1",
        "--track",
        "wandb",
        "--format",
        "json",
    ];
    let told: Value = serde_json::from_str(&said(&place.run("search", &search))).unwrap();
    assert_eq!(told["best_trial"]["wandb_run_id"].as_str().map(str::len), Some(8), "{told}");
}

#[test]
fn a_validation_that_shares_prompts_with_the_training_is_told() {
    let place = Place::new();
    let warned = |out: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_persuasion"));
        let model = root().join("fixtures/models/tiny-llama");
        program.args(["train", "--dry-run", "--out", out, "--model"]).arg(model).arg("--data").arg(place.path("pairs"));
        let output = program.output().unwrap();
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr)
            .contains("10 of 10 validation pairs are of a prompt or a group that is learned from")
    };
    assert!(!warned("run"));
    place.write_part("validation", 4, 10);
    assert!(warned("run"));
}

#[test]
fn the_same_run_twice_gives_the_same_numbers() {
    let place = Place::new();
    for out in ["one", "two"] {
        said(&place.run("train", &["--out", out, "--epochs", "1", "--loss", "sigmoid=1,sft=0.1", "--dropout", "0.1"]));
    }
    for file in ["adapter/adapter_model.safetensors", "outputs/samples.jsonl", "outputs/generations.jsonl"] {
        let [one, two] = ["one", "two"].map(|run| std::fs::read(place.path(run).join(file)).unwrap());
        assert_eq!(one, two, "{file}");
    }
}

/// Two passes by pair or by sequence, a cached reference and checkpointed layers: the same adapter up to the order of sums.
#[test]
fn ways_to_save_memory_give_the_same_losses() {
    let place = Place::new();
    let loss = |out: &str, more: &[&str]| -> f64 {
        let words: Vec<&str> =
            ["--out", out, "--epochs", "1", "--format", "json"].iter().chain(more).copied().collect();
        let told: Value = serde_json::from_str(&said(&place.run("train", &words))).unwrap();
        told["best"]["loss"].as_f64().unwrap()
    };
    let plain = loss("plain", &[]);
    let ways: [(&str, &[&str]); 4] = [
        ("by-pair", &["--passes", "by-pair"]),
        ("by-sequence", &["--passes", "by-sequence", "--gradient-checkpointing"]),
        ("cached", &["--reference-cache", "cache"]),
        ("cached-again", &["--reference-cache", "cache"]),
    ];
    for (out, more) in ways {
        let found = loss(out, more);
        assert!((found - plain).abs() < 1e-5, "{out}: {found}, expected {plain}");
    }
    assert_eq!(std::fs::read_dir(place.path("cache")).unwrap().count(), 2);
}

#[test]
fn supervised_methods_then_preferences_from_there() {
    let place = Place::new();
    said(&place.run("train", &["--method", "pft", "--out", "pft", "--epochs", "1"]));
    said(&place.run("train", &["--method", "it", "--out", "it", "--epochs", "1"]));
    said(&place.run("train", &["--init-adapter", "pft", "--out", "dpo", "--epochs", "1"]));
    // Start and reference are one.
    let first = &rows(&place.path("dpo/outputs/samples.jsonl"))[0];
    assert_eq!(first["policy_logps_chosen"], first["reference_logps_chosen"]);
    let config = std::fs::read_to_string(place.path("dpo/config.toml")).unwrap();
    assert!(config.contains("init_adapter = \"pft\""), "{config}");
}

fn wait_for(what: &str, child: &mut Child, is_there: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_there() && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let place = Place::new();
    let settings = ["--epochs", "3", "--save-every", "2", "--evaluate-every", "4"];
    let words = |out: &'static str| ["--out", out].into_iter().chain(settings).collect::<Vec<_>>();
    said(&place.run("train", &words("whole")));
    // The first checkpoint is that of the evaluation before the first step, which is not made again.
    for (run, checkpoints) in [("early", 1), ("late", 2)] {
        let mut child = place.command("train", &words(run)).stderr(Stdio::null()).spawn().unwrap();
        wait_for("a checkpoint", &mut child, || {
            std::fs::read_dir(place.path(run).join("checkpoints")).is_ok_and(|folders| folders.count() >= checkpoints)
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed: Vec<&str> = words(run).into_iter().chain(["--resume"]).collect();
        said(&place.run("train", &resumed));
        for file in ["adapter/adapter_model.safetensors", "outputs/samples.jsonl", "outputs/generations.jsonl"] {
            let [whole, killed] = ["whole", run].map(|run| std::fs::read(place.path(run).join(file)).unwrap());
            assert!(whole == killed, "{run}: {file}");
        }
    }
}

/// A full disk or a kill can tear a row within a letter.
#[test]
fn rows_that_are_no_text_any_more_are_made_again() {
    let place = Place::new();
    let words = ["--out", "run", "--epochs", "1"];
    said(&place.run("train", &words));
    let [samples, checkpoints] = ["run/outputs/samples.jsonl", "run/checkpoints"].map(|name| place.path(name));
    let whole = std::fs::read(&samples).unwrap();
    // As if the first checkpoint had found no room.
    std::fs::remove_dir_all(checkpoints).unwrap();
    let torn = [&whole[..], b"{\"step\":0,\"policy_chosen_pred_text\":\"caf\xC3"].concat();
    std::fs::write(&samples, torn).unwrap();
    said(&place.run("train", &[&words[..], &["--resume"]].concat()));
    assert!(std::fs::read(&samples).unwrap() == whole, "rows are lost, or there twice");
}

#[test]
fn bad_input_is_told_before_anything_is_trained() {
    let place = Place::new();
    let cases: [(&[&str], &str); 8] = [
        (&["--beta", "0"], "beta is 0"),
        (&["--loss", "dpo2"], "dpo2"),
        (&["--template", "nowhere.txt"], "nowhere.txt"),
        (&["--max-length", "20", "--max-prompt-length", "30"], "completions need room"),
        (&["--max-length", "12", "--max-prompt-length", "8"], "no pair can be used"),
        (&["--init-adapter", "nowhere"], "nowhere"),
        (&["--select", "rewards/accuracy", "--epochs", "1"], "rewards/accuracies"),
        (&["--epochs", "0"], "epochs"),
    ];
    for (number, (more, expected)) in cases.into_iter().enumerate() {
        let out = format!("bad-{number}");
        let words: Vec<&str> = ["--out", &out].into_iter().chain(more.iter().copied()).collect();
        let told = complaint(&place.run("train", &words));
        assert!(told.contains(expected), "{more:?}: {told}");
    }
    // Nothing was trained, so the corrected words may use the same folder.
    said(&place.run("train", &["--out", "bad-6", "--epochs", "1"]));
    std::fs::write(place.path("pairs/train.jsonl"), "{\"prompt\": \"a\", \"chosen\": \"b\"}\n").unwrap();
    let told = complaint(&place.run("train", &["--out", "missing"]));
    assert!(told.contains("train.jsonl, line 1") && told.contains("rejected"), "{told}");
}

#[test]
fn a_dry_run_tells_steps_and_memory_and_writes_nothing() {
    let place = Place::new();
    let told = said(&place.run("train", &["--out", "run", "--dry-run"]));
    for line in ["optimiser steps     18", "trained parameters", "base model", "activations", "replies"] {
        assert!(told.contains(line), "{line} in\n{told}");
    }
    let more = ["--reference-model", root().join("fixtures/models/tiny-llama").to_str().unwrap()].map(str::to_owned);
    let more: Vec<&str> = more.iter().map(String::as_str).chain(["--reference-cache", "cache"]).collect();
    let told = said(&place.run("train", &[&["--out", "run", "--dry-run"], &more[..]].concat()));
    assert!(told.contains("reference model"), "{told}");
    assert!(!place.path("run").exists() && !place.path("cache").exists());
}

#[test]
fn a_search_goes_on_and_names_its_best_trial() {
    let place = Place::new();
    let space = "learning_rate = { low = 1e-4, high = 1e-2, log = true }\nbeta = { choices = [0.1, 0.2] }\n";
    std::fs::write(place.path("space.toml"), space).unwrap();
    let words =
        ["--study", "study", "--space", "space.toml", "--epochs", "1", "--startup-trials", "2", "--format", "json"];
    let trials = |count: &'static str| words.into_iter().chain(["--trials", count]).collect::<Vec<_>>();
    let two: Value = serde_json::from_str(&said(&place.run("search", &trials("2")))).unwrap();
    let four: Value = serde_json::from_str(&said(&place.run("search", &trials("4")))).unwrap();
    let all = four["all_trials"].as_array().unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(all[..2], two["all_trials"].as_array().unwrap()[..]);
    // The command line's own values come first.
    assert_eq!(all[0]["params"], json!({"learning_rate": 2e-3, "beta": 0.1}));
    let best = four["best_trial"]["value"].as_f64().unwrap();
    assert!(all.iter().all(|trial| trial["value"].as_f64().unwrap() <= best));
    assert!(place.path("study/trials/0003/adapter/adapter_model.safetensors").is_file());
    assert!(place.path("study/study_results.json").is_file());
    let other = complaint(&place.run("search", &["--study", "study2", "--space", "nowhere.toml"]));
    assert!(other.contains("nowhere.toml"), "{other}");
    std::fs::write(place.path("bad.toml"), "betta = { choices = [1] }\n").unwrap();
    let other = complaint(&place.run("search", &["--study", "study3", "--space", "bad.toml"]));
    assert!(other.contains("`betta`: is no parameter"), "{other}");
    let other = complaint(&place.run("search", &["--study", "study4", "--pruner", "halving", "--pruner-startup", "2"]));
    assert!(other.contains("--pruner median only"), "{other}");
}

/// A rate at which nothing is learned lags behind one at which something is, from the first evaluation on.
#[test]
fn a_trial_that_lags_behind_is_given_up() {
    let place = Place::new();
    std::fs::write(place.path("space.toml"), "learning_rate = { choices = [2e-3, 1e-9] }\n").unwrap();
    let words = ["--study", "study", "--space", "space.toml", "--sampler", "grid", "--metric", "loss", "--epochs", "3"];
    let more = ["--pruner-startup", "1", "--trials", "3", "--format", "json"];
    let told = said(&place.run("search", &[&words[..], &more].concat()));
    let results: Value = serde_json::from_str(&told).unwrap();
    let trials = results["all_trials"].as_array().unwrap();
    let pruned: Vec<&Value> = trials.iter().filter(|trial| trial["state"] == "pruned").collect();
    let [pruned] = pruned.as_slice() else { panic!("{told}") };
    assert_eq!(pruned["params"]["learning_rate"], 1e-9);
    let events = rows(&place.path(&format!("study/trials/{:04}/events.jsonl", pruned["number"].as_u64().unwrap())));
    let evaluated = events.iter().filter(|event| event["data"]["eval_loss"].is_number());
    assert_eq!(evaluated.map(|event| event["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 6]);
}

/// A search whose process is killed in a trial goes on with that trial's checkpoint, and ends with what an uninterrupted one finds.
#[test]
fn a_killed_search_goes_on_to_the_same_trials() {
    let place = Place::new();
    let words =
        ["--space", "space.toml", "--epochs", "3", "--startup-trials", "2", "--trials", "3", "--format", "json"];
    std::fs::write(place.path("space.toml"), "learning_rate = { low = 1e-4, high = 1e-2, log = true }\n").unwrap();
    let study = |name: &'static str| words.into_iter().chain(["--study", name]).collect::<Vec<_>>();
    let outcomes = |name: &'static str| {
        said(&place.run("search", &study(name)));
        let snapshot = Snapshot::read(place.path(name)).unwrap();
        let complete: Vec<_> = snapshot.history().complete().cloned().collect();
        let of = |trial: hyper_search::Trial| {
            // What the best evaluation gave, also where a process that was killed has made it.
            let margin = trial.attributes.get("rewards/margins").cloned();
            assert!(margin.is_some());
            (trial.external_parameters(), trial.value, trial.reports, margin)
        };
        complete.into_iter().map(of).collect::<Vec<_>>()
    };
    let whole = outcomes("whole");
    let mut child =
        place.command("search", &study("killed")).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("two evaluations of the second trial", &mut child, || {
        let journal = std::fs::read_to_string(place.path("killed/journal.jsonl")).unwrap_or_default();
        journal.lines().filter(|line| line.contains("\"report\",\"trial\":1,")).count() == 2
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = outcomes("killed");
    assert_eq!((resumed.len(), &resumed[..2]), (3, &whole[..2]));
}

/// Values of different objectives, metrics or data stand in no common order.
#[test]
fn a_study_keeps_to_what_it_was_begun_with() {
    let place = Place::new();
    std::fs::write(place.path("space.toml"), "learning_rate = { low = 1e-4, high = 1e-2, log = true }\n").unwrap();
    let words = ["--study", "study", "--space", "space.toml", "--epochs", "1", "--trials", "1"];
    said(&place.run("search", &words));
    for other in [["--loss", "ipo"], ["--metric", "rewards/margins"], ["--limit", "12"]] {
        let told = complaint(&place.run("search", &[&words[..], &other].concat()));
        assert!(told.contains("settings.toml: the run was begun with other settings"), "{told}");
    }
    std::fs::write(place.path("space.toml"), "learning_rate = { low = 1e-4, high = 1e-1, log = true }\n").unwrap();
    let told = complaint(&place.run("search", &words));
    assert!(told.contains("settings.toml: the run was begun with other settings (`learning_rate"), "{told}");
    std::fs::write(place.path("space.toml"), "rank = { choices = [4, 8] }\n").unwrap();
    let run = ["--init-adapter", "study/trials/0000", "--study", "other", "--space", "space.toml"];
    assert!(complaint(&place.run("search", &run)).contains("`rank` can't be searched"));
    let failing = ["--study", "failing", "--metric", "nonsense", "--epochs", "1", "--trials", "1"];
    let output = place.run("search", &failing);
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), complaint(&output));
    assert!(told.contains("has no `nonsense`") && told.contains("no trial is complete"), "{told}");
}
