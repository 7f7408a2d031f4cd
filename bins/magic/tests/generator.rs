//! The response generator as a user runs it: trained, evaluated, asked, looked into.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::program::{Place, dialogue, good, json_of, magic, said, text};

/// A folder with samples: train, valid and test.
pub(crate) fn prepared() -> Place {
    let place = Place::new();
    let told = |number: usize, turns: usize| {
        let own = format!("They don ' t call back , case {number} .");
        dialogue(number.is_multiple_of(2), turns).replace("They don ' t call back .", &own)
    };
    place.write("train.txt", &(0..6).map(|number| told(number, 6 + number % 3)).collect::<String>());
    place.write("valid.txt", &(10..12).map(|number| told(number, 6)).collect::<String>());
    place.write("test.txt", &(20..23).map(|number| told(number, 7)).collect::<String>());
    let folder = place.folder();
    good(&["preprocess", "--data-dir", &folder, "--out-dir", &folder, "--test-samples", "all"]);
    place
}

pub(crate) fn train_words<'a>(train: &'a str, valid: &'a str, out: &'a str) -> Vec<&'a str> {
    vec![
        "train",
        "--size",
        "tiny",
        "--vocabulary",
        "300",
        "--train-data",
        train,
        "--val-data",
        valid,
        "--output-dir",
        out,
        "--batch-size",
        "4",
        "--num-epochs",
        "3",
        "--max-length",
        "64",
        "--max-length-situation",
        "32",
    ]
}

/// Trains a generator in `out` within the place, with further words.
fn trained(place: &Place, out: &str, further: &[&str]) -> String {
    let (train, valid, run) = (place.name("train.json"), place.name("valid.json"), place.name(out));
    let mut words = train_words(&train, &valid, &run);
    words.extend(further);
    good(&words);
    run
}

#[test]
fn a_trained_generator_answers_is_scored_and_shows_its_memory() {
    let place = prepared();
    let run = trained(&place, "run", &["--bank-refresh", "3"]);
    let (test, out) = (place.name("test.json"), place.name("eval"));

    let words = [
        "eval",
        "--model-path",
        &run,
        "--test-data",
        &test,
        "--out",
        &out,
        "--max-length-res",
        "12",
        "--resamples",
        "50",
    ];
    let report: Value = serde_json::from_str(&said(&[&words[..], &["--format", "json"]].concat())).unwrap();
    assert_eq!(report, json_of(&place.path("eval/metrics.json")));
    let samples = json_of(&place.path("test.json")).as_array().unwrap().len();
    assert_eq!(report["evaluations"][0]["responses"], samples);
    for file in ["response_labels.txt", "responses_given.txt"] {
        assert_eq!(std::fs::read_to_string(place.path("eval").join(file)).unwrap().lines().count(), samples, "{file}");
    }
    // The perplexity of all is that of the parts, weighted by tokens.
    let rows = rows(&place.path("eval/responses.jsonl"));
    let sum = |field: &str| rows.iter().map(|row| row[field].as_f64().unwrap()).sum::<f64>();
    let perplexity = report["evaluations"][0]["perplexity"]["value"].as_f64().unwrap();
    assert!((perplexity - (sum("nll") / sum("labels")).exp()).abs() < 1e-9 * perplexity);

    let asked = [
        "generate",
        "--model-path",
        &run,
        "--test-data",
        &test,
        "--sample",
        "2",
        "--format",
        "json",
        "--remembered",
        "100",
    ];
    let answer: Value = serde_json::from_str(&said(&asked)).unwrap();
    let shares: Vec<f64> =
        answer["remembered"].as_array().unwrap().iter().map(|row| row["share"].as_f64().unwrap()).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-4 && shares.is_sorted_by(|left, right| left >= right));
    assert_eq!(answer["seen"], shares.len());

    let bank: Value = serde_json::from_str(&said(&["bank", "inspect", &run, "--format", "json"])).unwrap();
    let lists = bank["strategies"].as_array().unwrap();
    let question = lists.iter().find(|list| list["strategy"] == "Question").unwrap();
    assert!(
        question["rows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["text"].as_str().unwrap().starts_with("I am with you"))
    );
    assert!(said(&["bank", "inspect", &run, "--strategy", "question"]).contains("newest first"));
}

fn rows(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Kill -9 at several moments; resumed, generator and memory have the bytes of a run in one go.
#[test]
fn a_killed_training_resumes_to_the_same_generator_and_memory() {
    let place = prepared();
    let further = ["--num-epochs", "8", "--save-every", "2", "--resume", "--grad-accum", "2"];
    let (train, valid) = (place.name("train.json"), place.name("valid.json"));
    let (whole, parts) = (place.name("whole"), place.name("parts"));
    let words = |out| {
        let mut words = train_words(&train, &valid, out);
        words.retain(|word| *word != "--num-epochs" && *word != "3");
        [words, further.to_vec()].concat()
    };
    good(&words(&whole));
    for checkpoints in 1..=3 {
        let mut child = magic(&words(&parts)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while count(&place.path("parts/checkpoints")) < checkpoints && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    good(&words(&parts));
    for file in ["dialogue_model.safetensors", "memory_bank.safetensors", "memory_bank.json", "magic.json"] {
        let bytes = |run: &str| std::fs::read(place.path(run).join("model").join(file)).unwrap();
        assert!(bytes("whole") == bytes("parts"), "{file} differs");
    }
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn an_evaluation_goes_on_where_it_ended() {
    let place = prepared();
    let run = trained(&place, "run", &[]);
    let (test, whole, parts) = (place.name("test.json"), place.name("whole"), place.name("parts"));
    let run_words = |out: &str, further: &[&str]| {
        let mut words = vec!["eval", "--model-path", &run, "--test-data", &test, "--out", out, "--max-length-res", "8"];
        words.extend(["--resamples", "10", "--batch-size", "2"]);
        words.extend(further);
        magic(&words).output().unwrap()
    };
    assert!(run_words(&whole, &[]).status.success());
    // What a kill leaves: some rows, the last one torn.
    let rows = std::fs::read_to_string(place.path("whole/responses.jsonl")).unwrap();
    std::fs::create_dir_all(&parts).unwrap();
    std::fs::write(place.path("parts/responses.jsonl"), &rows[..rows.len() / 2]).unwrap();
    assert_eq!(run_words(&parts, &[]).status.code(), Some(1), "without --resume nobody's rows are touched");
    assert!(run_words(&parts, &["--resume"]).status.success());
    assert_eq!(json_of(&place.path("whole/metrics.json")), json_of(&place.path("parts/metrics.json")));
    let other = run_words(&parts, &["--resume", "--num-beams", "2"]);
    assert!(text(&other.stderr).contains("responses.jsonl"), "rows of other settings: {}", text(&other.stderr));
}

#[test]
fn inferred_strategies_stand_beside_the_given_ones() {
    let place = prepared();
    let run = trained(&place, "run", &[]);
    let samples = json_of(&place.path("test.json"));
    let inferred = samples.as_array().unwrap().iter().enumerate().map(|(number, sample)| {
        let strategy = if number == 0 { Value::from("Others") } else { sample["strategy"].clone() };
        serde_json::json!({"strategy": strategy, "motivation": "to help"})
    });
    place.write("inferred.json", &Value::from(inferred.collect::<Vec<_>>()).to_string());
    let (test, file, out) = (place.name("test.json"), place.name("inferred.json"), place.name("eval"));
    let words = [
        "eval",
        "--model-path",
        &run,
        "--test-data",
        &test,
        "--inferred",
        &file,
        "--out",
        &out,
        "--max-length-res",
        "8",
        "--resamples",
        "20",
    ];
    assert!(said(&words).contains("inferred strategies of"));
    let report = json_of(&place.path("eval/metrics.json"));
    let count = samples.as_array().unwrap().len() as f64;
    let accuracy = report["inferred_strategies"]["accuracy"].as_f64().unwrap();
    assert!((accuracy - (count - 1.0) / count).abs() < 1e-12);
    assert_eq!(report["evaluations"][1]["source"], "inferred");
    assert!(report["comparison"].as_array().unwrap().iter().any(|row| row["name"] == "bleu-2"));
}

#[test]
fn the_reference_profile_sets_all_its_switches() {
    let place = prepared();
    let run = trained(&place, "run", &["--profile", "reference", "--empty", "zero", "--max-steps", "2"]);
    let settings = json_of(&place.path("run/model/magic.json"));
    assert_eq!(settings["profile"], "reference");
    let expected = serde_json::json!({"pool": "all", "motivation": "none", "empty": "zero", "head": "random"});
    assert_eq!(settings["generator"], expected);
    let bank = json_of(&place.path("run/model/memory_bank.json"));
    assert_eq!((&bank["options"]["deduplicate"], &bank["options"]["exclude_self"]), (&false.into(), &false.into()));
    let (test, out) = (place.name("test.json"), place.name("eval"));
    let words = ["eval", "--model-path", &run, "--test-data", &test, "--out", &out, "--profile", "ours"];
    let refused = magic(&words).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("was trained with --profile reference"));
}

/// The published code makes numbers that are none where a list is empty for some of a batch.
#[test]
fn the_reference_profile_refuses_what_the_published_code_can_not_compute() {
    let place = prepared();
    let mut samples = json_of(&place.path("train.json"));
    samples[0]["strategy"] = "Self-disclosure".into();
    let train = place.write("unheard.json", &samples.to_string());
    let (valid, run) = (place.name("valid.json"), place.name("run"));
    let mut words = train_words(&train, &valid, &run);
    words.extend(["--profile", "reference"]);
    let refused = magic(&words).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("finds no row of its strategy"), "{}", text(&refused.stderr));
}

#[test]
fn a_published_checkpoint_is_converted_and_used() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/magic-checkpoint");
    let published = published.to_string_lossy().into_owned();
    let expected = json_of(&Path::new(&published).join("expected.json"));
    let place = prepared();
    let out = place.name("converted");
    let told: Value = serde_json::from_str(&said(&[
        "convert-checkpoint",
        &published,
        "--out",
        &out,
        "--max-length",
        "32",
        "--max-length-situation",
        "16",
        "--format",
        "json",
    ]))
    .unwrap();
    assert_eq!(told["parameters"], expected["parameters"]);
    let sizes: Vec<&Value> = told["memory"].as_array().unwrap().iter().map(|list| &list[1]).collect();
    assert_eq!(sizes, expected["sizes"].as_array().unwrap().iter().collect::<Vec<_>>());
    let vectors =
        candle_core::safetensors::load(place.path("converted/memory_bank.safetensors"), &candle_core::Device::Cpu)
            .unwrap();
    for (strategy, first) in expected["first_rows"].as_array().unwrap().iter().enumerate() {
        let found = vectors.get(&format!("bank.{strategy}")).map(|rows| rows.get(0).unwrap().to_vec1::<f32>().unwrap());
        let first =
            first.as_array().map(|row| row.iter().map(|value| value.as_f64().unwrap() as f32).collect::<Vec<_>>());
        assert_eq!(found, first, "strategy {strategy}");
    }
    let test = place.name("test.json");
    // A question has rows; of strategies without any the published code has no answer.
    let asked = [
        "generate",
        "--model-path",
        &out,
        "--test-data",
        &test,
        "--sample",
        "0",
        "--strategy",
        "Question",
        "--max-length-res",
        "6",
    ];
    assert!(said(&asked).contains("among 3 remembered responses"));
}

#[test]
fn the_demonstration_runs() {
    let found: Value =
        serde_json::from_str(&said(&["demo", "--seeds", "1", "--steps", "2", "--format", "json"])).unwrap();
    assert_eq!(found["trials"].as_array().unwrap().len(), 4);
    let proof = &found["proof"][0];
    assert!(proof["with_memory"].as_f64().unwrap() >= 95.0, "{proof}");
    assert!(proof["without_memory"].as_f64().unwrap() <= 40.0, "{proof}");
    assert!(proof["memory_taken_away"].as_f64().unwrap() <= 40.0, "{proof}");
}

#[test]
fn wrong_use_gets_a_clear_answer() {
    let place = prepared();
    let run = trained(&place, "run", &["--max-steps", "1"]);
    let (train, valid, out) = (place.name("train.json"), place.name("valid.json"), place.name("out"));
    let own_folder = format!("{run}/model");
    let empty = place.write("empty.json", "[]");
    let mut foreign = json_of(&place.path("test.json"));
    foreign[1]["response_memory"][0] = "never said".into();
    let foreign = place.write("foreign.json", &foreign.to_string());
    let base = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let train_with = |train: &str, further: &[&str]| {
        let mut words = base(&train_words(train, &valid, &out));
        words.extend(base(further));
        words
    };
    let eval = |further: &[&str]| [base(&["eval", "--model-path", &run, "--out", &out]), base(further)].concat();
    let test = place.name("test.json");
    let table: Vec<(Vec<String>, i32, &str)> = vec![
        (train_with("nowhere.json", &[]), 1, "nowhere.json"),
        (train_with(&empty, &[]), 1, "holds no sample"),
        (train_with(&train, &["--motivation", "shout"]), 2, "expected one of `none`, `concat`, `query`"),
        (train_with(&train, &["--max-length-res-memory", "2"]), 2, "holds no text"),
        (train_with(&train, &["--learning-rate=-1"]), 2, "learning rate"),
        (train_with(&train, &["--bank-dedup", "maybe"]), 2, "expected on or off"),
        (base(&["train", "--train-data", &train, "--val-data", &valid, "--output-dir", &out]), 2, "--bart-base-dir"),
        (
            base(&[
                "train",
                "--train-data",
                &train,
                "--val-data",
                &valid,
                "--output-dir",
                &out,
                "--bart-base-dir",
                &run,
            ]),
            1,
            "run",
        ),
        (eval(&["--test-data", "nowhere.json"]), 1, "nowhere.json"),
        (eval(&["--test-data", &foreign]), 1, "response_memory holds"),
        (eval(&["--test-data", &test, "--max-length-res", "1000"]), 1, "places"),
        (eval(&["--test-data", &test, "--decode", "diverse", "--beam-groups", "2"]), 2, "--beam-groups"),
        (eval(&["--test-data", &test, "--decode", "greedy", "--num-beams", "9"]), 2, "--num-beams has no effect here"),
        (eval(&["--test-data", &test, "--num-beams", "5000"]), 2, "--num-beams: 5000"),
        (train_with(&train, &["--dtype", "f16"]), 2, "expected f32 or bf16"),
        (train_with(&train, &["--l-strategy=-3"]), 2, "expected a number from 0 on"),
        (eval(&["--test-data", &test, "--inferred", &empty]), 1, "0 inferred strategies"),
        (base(&["eval", "--model-path", &valid]), 1, "magic.json"),
        (base(&["generate", "--model-path", &run, "--test-data", &test, "--sample", "999"]), 2, "no sample 999"),
        (base(&["generate", "--model-path", &run, "--turn", "Hello", "--strategy", "Hope"]), 2, "no such strategy"),
        (base(&["generate", "--model-path", &run, "--turn", "Hello"]), 2, "--strategy"),
        (base(&["bank", "inspect", &place.folder()]), 1, "memory_bank.json"),
        (base(&["convert-checkpoint", &own_folder, "--out", &out]), 1, "dialogue_model.pth"),
        (base(&["demo", "--seeds", "0"]), 2, "--seeds"),
    ];
    for (words, code, says) in table {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = magic(&words).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {told}");
        assert!(told.contains(says) && !told.contains("panicked"), "{words:?} should say {says}: {told}");
    }
}
