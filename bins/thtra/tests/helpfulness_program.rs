//! `thtra helpfulness` on the made-up corpus: trained, killed and gone on with, judged, asked, imported.

use std::path::Path;
use std::process::Stdio;

use candle_core::Device;
use helpfulness::{Exchange, FrozenEncoder, HelpfulnessConfig, LabelTable, TrainableHelpfulness};
use serde_json::{Value, json};
use thtra::{Part, open_helpfulness, record_file};

use crate::program::{Place, complaint, json_of, said, thtra};

/// A short training of a small model on small batches.
pub(crate) const SMALL: [&str; 12] = [
    "--size",
    "tiny",
    "--batch-size",
    "4",
    "--epochs",
    "6",
    "--prefix-length",
    "2",
    "--hidden",
    "24",
    "--max-input-length",
    "64",
];

/// `thtra helpfulness train` of the data in `place` into the folder `out`.
pub(crate) fn train_words<'a>(data: &'a str, out: &'a str, further: &[&'a str]) -> Vec<&'a str> {
    let words = ["helpfulness", "train", "--data-dir", data, "--out", out];
    [&words, &SMALL[..], further].concat()
}

fn trained(place: &Place, name: &str, further: &[&str]) -> (String, String) {
    let (data, out) = (place.name("data"), place.name(name));
    let told = said(&train_words(&data, &out, further));
    (out, told)
}

fn score_of(place: &Place, model: &str, response: &str) -> f64 {
    let model = place.name(model);
    let words = ["helpfulness", "score", "--model", &model, "--situation", "Exam 3 went wrong."];
    let words = [&words[..], &["--context", "I failed.", "--response", response, "--format", "json"]].concat();
    let answers: Value = serde_json::from_str(&said(&words)).unwrap();
    assert_eq!(answers[0]["response"], response);
    answers[0]["helpfulness"].as_f64().unwrap()
}

/// In the made-up corpus one response is always rated 4, the other 2.
const BETTER: &str = "What happened?";
const WORSE: &str = "Oh no! Try it again.";

#[test]
fn a_trained_model_tells_better_responses_and_is_calibrated() {
    let place = Place::with_data();
    for (name, further) in [("soft", &["--objective", "soft"][..]), ("ordinal", &["--kind", "ordinal"]), ("d-pm", &[])]
    {
        let (run, told) = trained(&place, name, further);
        assert!(told.contains(&format!("model        {run}/model")), "{told}");
        for file in
            ["model/helpfulness.json", "model/encoder/config.json", "reliability.svg", "calibration.txt", "curve.svg"]
        {
            assert!(place.path(name).join(file).is_file(), "{name}: {file}");
        }
        let (better, worse) = (score_of(&place, name, BETTER), score_of(&place, name, WORSE));
        assert!(better > worse + 0.05, "{name}: {better} and {worse}");
        let report = &json_of(&place.path(name).join("calibration.json"))["models"][0];
        assert_eq!((&report["responses"], &report["annotations"]), (&json!(6), &json!(30)));
        assert_eq!((&report["accuracy"], &report["annotators"][4]["annotator"]), (&json!(1.0), &json!(4)), "{name}");
        if name == "soft" {
            // Four and two of five say helpful.
            assert!((better - 0.8).abs() < 0.15 && (worse - 0.4).abs() < 0.15, "{better} and {worse}");
            assert!(report["calibration_error"].as_f64().unwrap() < 0.15, "{report}");
        }
    }
}

/// Kill -9 at several moments; resumed, the model and its report have the bytes of a run in one go.
#[test]
fn a_killed_training_resumes_to_the_same_model() {
    let place = Place::with_data();
    let (data, whole, parts) = (place.name("data"), place.name("whole"), place.name("parts"));
    let further = ["--save-every", "2", "--resume", "--epochs", "10"];
    let words = |out| {
        let mut words = train_words(&data, out, &[]);
        let epochs = words.iter().position(|word| *word == "--epochs").unwrap();
        words.drain(epochs..epochs + 2);
        [words, further.to_vec()].concat()
    };
    said(&words(&whole));
    for checkpoints in 1..=3 {
        let mut child = thtra(&words(&parts)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let count = || std::fs::read_dir(place.path("parts/checkpoints")).map_or(0, Iterator::count);
        while count() < checkpoints && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    said(&words(&parts));
    let files = [
        "model/helpfulness.safetensors",
        "model/helpfulness.json",
        "model/encoder/model.safetensors",
        "reliability.csv",
    ];
    for file in files.into_iter().filter(|file| place.path("whole").join(file).exists()) {
        let bytes = |run: &str| std::fs::read(place.path(run).join(file)).unwrap();
        assert!(bytes("whole") == bytes("parts"), "{file} differs");
    }
    let report = |run: &str| json_of(&place.path(run).join("calibration.json"))["models"][0]["brier"].clone();
    assert_eq!(report("whole"), report("parts"));
    let other = [words(&parts), vec!["--objective", "soft"]].concat();
    assert!(complaint(&other, 2).contains("the run was begun with other settings"));
}

#[test]
fn an_evaluation_stands_beside_a_baseline() {
    let place = Place::with_data();
    let (soft, _) = trained(&place, "soft", &["--objective", "soft"]);
    let (majority, _) = trained(&place, "majority", &["--objective", "majority"]);
    let (records, out) = (record_file(&place.path("data"), Part::Test), place.name("report"));
    let records = records.to_string_lossy();
    let words =
        ["helpfulness", "eval", "--model", &soft, "--baseline", &majority, "--records", &records, "--out", &out];
    let told = said(&words);
    for says in
        ["6 responses, 30 annotations", "calibration error", "always the shares", "always the vote", "annotator"]
    {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert_eq!(place.read("report/calibration.txt"), told);
    for diagram in ["reliability.svg", "reliability-2.svg"] {
        assert!(place.read(&format!("report/{diagram}")).contains("share of annotators"), "{diagram}");
    }
    let judged = json_of(&place.path("report/calibration.json"));
    let [soft, majority] = [0, 1].map(|model| &judged["models"][model]);
    assert!(soft["brier"].as_f64() < majority["brier"].as_f64(), "{soft} and {majority}");
    // Half of the annotations are of 4, half of 2: six of ten say helpful.
    let brier = soft["shares"]["brier"].as_f64().unwrap();
    assert!((brier - 0.48).abs() < 1e-9, "{brier}");
    let printed: Value = serde_json::from_str(&said(&[&words[..], &["--format", "json"]].concat())).unwrap();
    assert_eq!(printed, judged);
}

#[test]
fn what_is_held_out_can_be_chosen() {
    let place = Place::with_data();
    let held_out = |name: &str, further: &[&str]| {
        trained(&place, name, &[further, &["--max-steps", "1"]].concat());
        json_of(&place.path(name).join("calibration.json"))["models"][0]["responses"].as_u64().unwrap()
    };
    // 14 conversations of two responses each.
    assert_eq!(held_out("fold", &["--folds", "7", "--fold", "2"]), 4);
    let own = std::fs::read_to_string(record_file(&place.path("data"), Part::Train)).unwrap();
    let record: Value = serde_json::from_str(own.lines().next().unwrap()).unwrap();
    let situation = record["dialog_id"].as_str().unwrap();
    let of_situation = own.lines().filter(|line| line.contains(situation)).count() as u64;
    let lists = place.write("lists.json", &json!([["nobody's"], [situation]]).to_string());
    assert_eq!(held_out("list", &["--dev-index", &lists, "--fold", "2"]), of_situation);
    assert_eq!(held_out("limited", &["--limit", "8", "--val-limit", "3"]), 3);
    // The fifth annotator never says helpful, the first always does.
    for (annotator, low, high) in [("1", 0.5, 1.0), ("5", 0.0, 0.5)] {
        let name = format!("annotator-{annotator}");
        trained(&place, &name, &["--objective", "single", "--annotator", annotator, "--with-situation", "false"]);
        let score = score_of(&place, &name, BETTER);
        assert!(score > low && score < high, "{annotator}: {score}");
    }
}

#[test]
fn a_leak_stops_the_training_aloud() {
    let place = Place::with_data();
    let train = record_file(&place.path("data"), Part::Train);
    let test = std::fs::read_to_string(record_file(&place.path("data"), Part::Test)).unwrap();
    let own = std::fs::read_to_string(&train).unwrap();
    std::fs::write(&train, format!("{own}{test}")).unwrap();
    let (data, out) = (place.name("data"), place.name("out"));
    let told = complaint(&train_words(&data, &out, &["--max-steps", "1"]), 1);
    assert!(told.contains("esc_data.txt: LEAK: 6 records come from 3 conversations"), "{told}");
    assert!(!place.path("out").exists());
    let output = thtra(&train_words(&data, &out, &["--max-steps", "1", "--no-leakage-check"])).output().unwrap();
    let warning = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && warning.contains("nobody looks whether"), "{warning}");
}

/// Where it stood is not needed any more, and neither is anything else of the run.
#[test]
fn a_model_may_be_moved_with_its_encoder() {
    let place = Place::with_data();
    trained(&place, "run", &["--max-steps", "2"]);
    let before = score_of(&place, "run", BETTER);
    std::fs::rename(place.path("run/model"), place.path("moved")).unwrap();
    std::fs::remove_dir_all(place.path("run")).unwrap();
    assert_eq!(score_of(&place, "moved", BETTER), before);
    std::fs::rename(place.path("moved/encoder"), place.path("bert")).unwrap();
    let (moved, bert) = (place.name("moved"), place.name("bert"));
    let words = ["helpfulness", "score", "--model", &moved, "--context", "Hi", "--response", "Hello"];
    assert!(complaint(&words, 1).contains("is not in"), "the encoder is elsewhere");
    said(&[&words[..], &["--encoder", &bert]].concat());
    // Another encoder is not its own.
    trained(&place, "other", &["--max-steps", "1", "--seed", "7"]);
    let other = place.name("other/model/encoder");
    let told = complaint(&[&words[..], &["--encoder", &other]].concat(), 1);
    assert!(told.contains("trained on an encoder with the SHA-256"), "{told}");
}

fn exchanges() -> String {
    let line = |number: usize| {
        let responses = json!([format!("Number {number}?"), BETTER, WORSE]);
        let context = json!(["I am tired.", format!("Exam {number}.")]);
        json!({"situation": "I failed.", "context": context, "responses": responses}).to_string() + "\n"
    };
    let single = json!({"context": "I failed.", "response": BETTER}).to_string();
    (0..60).map(line).collect::<String>() + "\n" + &single + "\n"
}

#[test]
fn the_scores_of_a_file_resume_to_the_same_bytes() {
    let place = Place::with_data();
    let (run, _) = trained(&place, "run", &["--max-steps", "4"]);
    let input = place.write("exchanges.jsonl", &exchanges());
    let (whole, parts) = (place.name("whole.jsonl"), place.name("parts.jsonl"));
    let words = |out, further: &[&'static str]| {
        let words = vec!["helpfulness", "score", "--model", &run, "--input", &input, "--out", out];
        [words, further.to_vec()].concat()
    };
    let told = said(&words(&whole, &[]));
    assert!(told.contains("181 responses") && told.contains("mean helpfulness"), "{told}");
    let rows = place.read("whole.jsonl");
    // What a kill leaves: some rows, the last one torn.
    place.write("parts.jsonl", &rows[..rows.len() / 2]);
    assert!(complaint(&words(&parts, &[]), 1).contains("resume it"), "without --resume nobody's rows are touched");
    said(&words(&parts, &["--resume"]));
    assert!(rows == place.read("parts.jsonl"));
    // A row says what the library says, whatever it was scored with.
    let last: Value = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    assert_eq!((&last["id"], &last["response"]), (&json!("61.1"), &json!(BETTER)));
    let model = open_helpfulness(Path::new(&run), None, &Device::Cpu).unwrap();
    let exchange = Exchange { situation: "", context: "I failed.", response: BETTER };
    let alone = model.score(&[exchange]).unwrap().remove(0);
    assert_eq!(last["helpfulness"].as_f64().unwrap() as f32, alone.helpfulness);
    // Other input, other model.
    place.write("exchanges.jsonl", &exchanges().replace(BETTER, "Why?"));
    assert!(complaint(&words(&parts, &["--resume"]), 1).contains("is about another response"));
    place.write("exchanges.jsonl", &exchanges());
    let (other, _) = trained(&place, "other", &["--max-steps", "2"]);
    let words = ["helpfulness", "score", "--model", &other, "--input", &input, "--out", &parts, "--resume"];
    assert!(complaint(&words, 1).contains("holds rows made by"));
}

#[test]
fn published_weights_become_a_model() {
    let place = Place::with_data();
    trained(&place, "run", &["--max-steps", "1"]);
    let encoder = FrozenEncoder::open(&place.path("run/model/encoder"), &Device::Cpu).unwrap();
    let mut config = HelpfulnessConfig::preference(LabelTable::published(4).unwrap());
    config.network.prefix_length = 3;
    config.network.hidden = 20;
    config.layout.longest = 64;
    let published = TrainableHelpfulness::fresh(encoder, config, 9).unwrap();
    published.save(&place.path("published")).unwrap();
    let (weights, encoder) = (place.name("published/helpfulness.safetensors"), place.name("run/model/encoder"));
    let out = place.name("imported");
    let words = ["helpfulness", "import", "--weights", &weights, "--encoder", &encoder, "--mask", "correct"];
    let words = [&words[..], &["--max-input-length", "64", "--out", &out]].concat();
    assert!(complaint(&words, 1).contains("trained with 4 classes, the table of labels has 2"));
    let told = said(&[&words[..], &["--classes", "4"]].concat());
    assert!(told.contains("imported: 4 classes, prefixes of length 3, width 20 inside"), "{told}");
    let exchange = Exchange { situation: "Exam 3 went wrong.", context: "I failed.", response: BETTER };
    let expected = published.model.score(&[exchange]).unwrap().remove(0);
    assert_eq!(score_of(&place, "imported", BETTER) as f32, expected.helpfulness);
}
