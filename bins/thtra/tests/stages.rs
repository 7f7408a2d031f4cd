//! The stages that learn from samples: their losses and gradients, and the commands as a user runs them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use candle_core::{Device, Tensor};
use llm_runtime::DropoutPass;
use serde_json::Value;
use thtra::{
    EncodedDialogues, Layout, Lengths, Responder, SITUATION_WEIGHT, SampleBatch, SampleDataset, Size, Stage,
    StageObjective, Strategy,
};
use training::{Dataset, Gradients, Objective, Pass};

use crate::program::{Place, complaint, dialogue, said, thtra, tokenizer};

const LENGTHS: Lengths = Lengths { max_input_length: 60, max_decoder_input_length: 20 };

/// A small model and a batch of samples in a layout.
fn small(layout: Layout) -> (Responder, SampleBatch) {
    let tokenizer = tokenizer();
    let turns = [
        ("I failed.", None),
        ("What happened?", Some(Strategy::Question)),
        ("A panic.", None),
        ("Try it again.", Some(Strategy::Suggestions)),
        ("Yes, thank you.", None),
    ];
    let samples = EncodedDialogues::new(&tokenizer, &[dialogue(&turns)]).unwrap().lay_out(layout, LENGTHS).samples;
    let batch = SampleDataset::new(samples, &tokenizer).batch(&[0, 1]).unwrap();
    (Responder::fresh(Size::Tiny, tokenizer, 80, 3, &Device::Cpu).unwrap(), batch)
}

fn mean_loss(objective: &StageObjective, batch: &SampleBatch) -> Tensor {
    let pass = Pass::training(DropoutPass { seed: 1, pass: 0 }, None);
    let parts = objective.loss(batch, &pass).unwrap();
    (&parts.sum / parts.weight).unwrap()
}

fn evaluated_loss(objective: &StageObjective, batch: &SampleBatch) -> f64 {
    let parts = objective.loss(batch, &Pass::evaluation()).unwrap();
    f64::from(parts.sum.to_scalar::<f32>().unwrap()) / parts.weight
}

/// The largest absolute gradient of each variable.
fn gradients(responder: &Responder, loss: &Tensor) -> BTreeMap<String, f32> {
    let mut gradients = Gradients::default();
    gradients.add(&responder.model.parameters, &loss.backward().unwrap()).unwrap();
    let largest = |name: &str| {
        let gradient = gradients.get(name)?;
        Some(gradient.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap())
    };
    responder.model.parameters.iter().map(|(name, _)| (name.to_owned(), largest(name).unwrap_or(0.0))).collect()
}

fn without_keys_biases(gradients: BTreeMap<String, f32>) -> BTreeMap<String, f32> {
    // Adding the same to all keys changes no softmax: their biases have no gradient but rounding.
    gradients.into_iter().filter(|(name, _)| !name.ends_with("k_proj.bias")).collect()
}

#[test]
fn the_situation_counts_as_in_two_separate_passes() {
    let (responder, batch) = small(Layout::Strat);
    let objective = || StageObjective::new(responder.model.model.clone()).unwrap();
    let response = evaluated_loss(&objective(), &batch);
    // The situation as the only thing to be said, over an encoder pass of its own.
    let stream = batch.situation.clone().unwrap();
    let mut alone = batch.clone();
    (alone.response.outputs, alone.response.labels) = (stream.outputs, stream.labels);
    let situation = evaluated_loss(&objective(), &alone);
    let both = evaluated_loss(&objective().with_situation(SITUATION_WEIGHT), &batch);
    assert!((both - (response + SITUATION_WEIGHT * situation)).abs() < 1e-5, "{both} {response} {situation}");
    assert_eq!(evaluated_loss(&objective().with_situation(0.0), &batch).to_bits(), response.to_bits());
}

#[test]
fn the_encoder_learns_from_both_streams() {
    let (responder, batch) = small(Layout::Strat);
    let objective = StageObjective::new(responder.model.model.clone()).unwrap();
    let name = responder
        .model
        .parameters
        .iter()
        .map(|(name, _)| name.to_owned())
        .find(|name| name.contains("encoder.layers.0.fc1.weight"));
    let of = |objective: &StageObjective| gradients(&responder, &mean_loss(objective, &batch))[name.as_ref().unwrap()];
    let response = of(&objective);
    let situation = of(&objective.with_situation(5.0));
    assert!(response > 0.0 && (situation - response).abs() > 1e-6 * response, "{response} {situation}");
}

#[test]
fn every_variable_learns_in_every_stage() {
    for stage in [Stage::LookAhead, Stage::Situation, Stage::Joint, Stage::Vanilla] {
        let (responder, batch) = small(stage.layout());
        let model = responder.model.model.clone();
        let objective = match stage {
            Stage::Vanilla => StageObjective::without_strategies(model),
            Stage::Situation => StageObjective::new(model).unwrap().with_situation(SITUATION_WEIGHT),
            Stage::LookAhead | Stage::Joint => StageObjective::new(model).unwrap(),
        };
        let found = without_keys_biases(gradients(&responder, &mean_loss(&objective, &batch)));
        assert!(found.len() > 30);
        let without: Vec<&String> =
            found.iter().filter(|(_, largest)| **largest == 0.0).map(|(name, _)| name).collect();
        assert!(without.is_empty(), "{stage:?}: {without:?}");
    }
}

#[test]
fn a_sample_without_a_situation_cannot_be_asked_for_one() {
    let (responder, batch) = small(Layout::Vanilla);
    let objective = StageObjective::new(responder.model.model.clone()).unwrap().with_situation(0.1);
    let told = objective.loss(&batch, &Pass::evaluation()).err().unwrap().to_string();
    assert!(told.contains("without a situation"), "{told}");
}

/// The commands of the stages, each begun with what the one before has left.
pub(crate) fn words(place: &Place, command: &[&str], base: Option<&str>, out: &str) -> Vec<String> {
    let (prepared, out) = (place.name("prepared"), place.name(out));
    let mut words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    match base {
        Some(base) => words.extend(["--base".to_owned(), place.name(base)]),
        None => words
            .extend(["--size", "tiny", "--tokenizer"].map(str::to_owned).into_iter().chain([place.name("tokenizer")])),
    }
    let loop_ = ["--epochs", "4", "--batch-size", "4", "--warmup-steps", "2", "--evaluate-every", "3"];
    words.extend(["--prepared".to_owned(), prepared, "--out".to_owned(), out]);
    words.extend(loop_.map(str::to_owned));
    words
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn model(place: &Place, run: &str) -> Vec<u8> {
    std::fs::read(place.path(run).join("model/model.safetensors")).unwrap()
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

/// Kill -9 at several moments; resumed, the model has the bytes of a run in one go.
fn resumes(place: &Place, command: &[&str], base: Option<&str>, name: &str) {
    let (whole, parts) = (format!("{name}-whole"), format!("{name}-parts"));
    said(&strs(&words(place, command, base, &whole)));
    let resuming =
        [words(place, command, base, &parts), vec!["--resume".into(), "--save-every".into(), "2".into()]].concat();
    for checkpoints in 1..=2 {
        let mut child = thtra(&strs(&resuming)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let folder = place.path(&parts).join("checkpoints");
        while count(&folder) < checkpoints && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    said(&strs(&resuming));
    assert!(model(place, &whole) == model(place, &parts), "{name}: the models differ");
}

#[test]
fn killed_stages_resume_to_the_same_models() {
    let place = Place::with_samples();
    resumes(&place, &["train-lookahead"], None, "look-ahead");
    resumes(&place, &["train-situation"], Some("look-ahead-whole/model"), "situation");
    resumes(&place, &["train-baseline", "--kind", "vanilla"], None, "vanilla");
}

#[test]
fn a_stage_tells_what_it_did_and_the_next_one_goes_on_with_its_model() {
    let place = Place::with_samples();
    let json = ["--format", "json"].map(str::to_owned).to_vec();
    let told = said(&strs(&[words(&place, &["train-lookahead"], None, "one"), json.clone()].concat()));
    let first: Value = serde_json::from_str(&told).unwrap();
    assert!(first["perplexity"].as_f64().unwrap() > 1.0 && first["ended"] == "finished");
    let events = place.read("one/events.jsonl");
    for set in ["valid_with_look_ahead", "strategy_accuracy_top_3"] {
        assert!(events.contains(set), "{set}");
    }
    let told = said(&strs(&[words(&place, &["train-situation"], Some("one/model"), "two"), json].concat()));
    let second: Value = serde_json::from_str(&told).unwrap();
    assert!(second["perplexity"].as_f64() < first["perplexity"].as_f64(), "{first} {second}");
    assert!(place.read("two/events.jsonl").contains("situation_perplexity"));
    let config = place.read("two/config.toml");
    for line in ["stage = \"situation\"", "situation_weight = 0.1", "base_sha256 = "] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let text = said(&strs(&words(&place, &["train-baseline"], Some("one/model"), "joint")));
    for line in ["best perplexity", "peak memory", "model "] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn numbers_that_are_none_end_a_stage_with_their_place() {
    let place = Place::with_samples();
    for command in [["train-lookahead"].as_slice(), &["train-situation"], &["train-baseline", "--kind", "vanilla"]] {
        let wild = ["--learning-rate", "1e30", "--clip", "0"].map(str::to_owned).to_vec();
        let told = complaint(&strs(&[words(&place, command, None, command[0]), wild].concat()), 1);
        assert!(told.contains("lower the learning rate"), "{command:?}: {told}");
    }
}

#[test]
fn what_a_stage_cannot_begin_with_is_told() {
    let place = Place::with_samples();
    let good = words(&place, &["train-situation"], None, "run");
    let with = |more: &[&str]| [good.clone(), more.iter().map(|word| (*word).to_owned()).collect()].concat();
    let nowhere = place.name("nowhere");
    let replaced = |from: &str, to: &str| {
        good.iter().map(|word| if *word == place.name(from) { to.to_owned() } else { word.clone() }).collect::<Vec<_>>()
    };
    let usage = [
        (vec!["train-situation".to_owned(), "--out".into(), nowhere.clone()], "--base"),
        (with(&["--base", "x"]), "cannot be used with"),
        (with(&["--situation-weight", "-1"]), "from 0 on"),
        (with(&["--learning-rate", "0"]), "learning"),
        (with(&["--limit", "0"]), "--limit"),
        (with(&["--batch-size", "0"]), "batch"),
    ];
    for (words, says) in usage {
        let told = complaint(&strs(&words), 2);
        assert!(told.contains(says), "{says}: {told}");
    }
    for (words, says) in [(replaced("prepared", &nowhere), "nowhere"), (replaced("tokenizer", &nowhere), "nowhere")] {
        let told = complaint(&strs(&words), 1);
        assert!(told.contains(says), "{says}: {told}");
    }
    assert!(!place.path("run").exists());
    // Samples of another tokenizer, and a layout that was not prepared.
    let text = place.read("tokenizer/merges.txt");
    place.write(
        "tokenizer/merges.txt",
        text.lines().take(3).map(|line| format!("{line}\n")).collect::<String>().as_str(),
    );
    let told = complaint(&strs(&good), 1);
    assert!(told.contains("tokenizer"), "{told}");
    place.write("tokenizer/merges.txt", &text);
    let place = Place::with_data();
    place.prepare(&["--layouts", "strat"]);
    let told = complaint(&strs(&words(&place, &["train-lookahead"], None, "run")), 1);
    assert!(told.contains("strat-look-ahead"), "{told}");
}
