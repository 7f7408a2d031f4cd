//! The stages' losses, gradients and held-out scores against transformers in f64 (family `thtra`, `joint/`; ids squashed into a small vocabulary).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use golden_files::family;
use llm_runtime::DropoutPass;
use seq2seq::{Seq2SeqBatch, TrainableSeq2Seq};
use serde_json::Value;
use thtra::{DecoderStream, SampleBatch, StageObjective, Strategy, ranked};
use training::{Gradients, Objective, Pass};

/// Tolerances of the family's README.
const LOSSES: f64 = 1e-5;
const LOGITS: f64 = 5e-5;
const GRADIENTS: (f64, f64) = (1e-5, 1e-4);

type Tensors = BTreeMap<String, Tensor>;

fn tensors(path: &Path) -> Tensors {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn integers(all: &Tensors, name: &str) -> Vec<Vec<i64>> {
    all[name].to_vec2().unwrap()
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn close(what: &str, found: f64, expected: f64, (absolute, relative): (f64, f64)) {
    let most = absolute + relative * expected.abs();
    assert!((found - expected).abs() <= most, "{what}: {found} is not {expected}");
}

/// What a batch of the goldens is for us: without padding.
fn batch(all: &Tensors, name: &str, model: &TrainableSeq2Seq) -> SampleBatch {
    let table = |part: &str| integers(all, &format!("{name}.{part}"));
    let mask: Vec<Vec<f32>> = all[&format!("{name}.attention_mask")].to_vec2().unwrap();
    let config = model.model.config();
    let labels = |row: &[i64]| -> Vec<Option<u32>> { row.iter().map(|label| u32::try_from(*label).ok()).collect() };
    let mut response = Seq2SeqBatch::new();
    for ((ids, mask), row) in table("input_ids").iter().zip(&mask).zip(table("labels")) {
        let length = mask.iter().filter(|seen| **seen == 1.0).count();
        let ids: Vec<u32> = ids[..length].iter().map(|id| u32::try_from(*id).unwrap()).collect();
        response.push(&ids, &labels(&row), config.generation.decoder_start_id, config.pad_id);
    }
    let situation = all.contains_key(&format!("{name}.situation_labels")).then(|| {
        let mut both = Seq2SeqBatch::new();
        for row in table("situation_labels") {
            both.push(&[config.pad_id], &labels(&row), config.generation.decoder_start_id, config.pad_id);
        }
        DecoderStream { outputs: both.outputs, labels: both.labels }
    });
    let strategies: Vec<i64> = all[&format!("{name}.strat_id")].to_vec1().unwrap();
    let strategies = strategies.into_iter().map(|place| Strategy::ALL[place as usize]).collect();
    SampleBatch { response, situation, strategies }
}

struct Golden {
    folder: PathBuf,
    batches: Tensors,
    losses: Value,
    model: TrainableSeq2Seq,
}

impl Golden {
    fn open() -> Option<Self> {
        let folder = family("thtra")?.join("joint");
        let model = TrainableSeq2Seq::open(&folder.join("model"), &Device::Cpu).unwrap();
        let losses = serde_json::from_slice(&std::fs::read(folder.join("losses.json")).unwrap()).unwrap();
        Some(Self { batches: tensors(&folder.join("batches.safetensors")), folder, losses, model })
    }

    fn batch(&self, name: &str) -> SampleBatch {
        batch(&self.batches, name, &self.model)
    }

    fn objective(&self) -> StageObjective {
        StageObjective::new(self.model.model.clone()).unwrap()
    }

    fn number(&self, of: &str, name: &str) -> f64 {
        self.losses[of][name].as_f64().unwrap()
    }
}

fn training() -> Pass {
    Pass::training(DropoutPass { seed: 1, pass: 0 }, None)
}

fn metric(parts: &training::LossParts, name: &str) -> f64 {
    let found = parts.metrics.iter().find(|metric| metric.name == name).unwrap();
    found.sum / found.weight
}

/// The loss of a batch, and every gradient as in such a file.
fn check_loss(golden: &Golden, objective: &StageObjective, name: &str, expected: f64, gradients_file: Option<&str>) {
    let parts = objective.loss(&golden.batch(name), &training()).unwrap();
    let loss = (&parts.sum / parts.weight).unwrap();
    close(name, f64::from(loss.to_scalar::<f32>().unwrap()), expected, (LOSSES, 0.0));
    let Some(file) = gradients_file else { return };
    let mut gradients = Gradients::default();
    gradients.add(&golden.model.parameters, &loss.backward().unwrap()).unwrap();
    let expected = tensors(&golden.folder.join(file));
    let names: Vec<&str> = golden.model.parameters.iter().map(|(name, _)| name).collect();
    assert_eq!(names, expected.keys().map(String::as_str).collect::<Vec<_>>());
    for (name, expected) in &expected {
        let found = gradients.get(name).unwrap_or_else(|| panic!("{name} has no gradient"));
        for (found, expected) in floats(found).into_iter().zip(floats(expected)) {
            close(name, found, expected, GRADIENTS);
        }
    }
}

#[test]
fn golden_thtra_joint_losses_and_gradients() {
    let Some(golden) = Golden::open() else { return };
    let objective = golden.objective();
    for (name, gradients) in [("strat", Some("joint_grads.safetensors")), ("strat_with_predict", None)] {
        check_loss(&golden, &objective, name, golden.number(name, "train_loss"), gradients);
        let parts = objective.loss(&golden.batch(name), &training()).unwrap();
        let perplexity = metric(&parts, "sample_loss").exp();
        close(name, perplexity, golden.number(name, "train_ppl"), (0.0, 1e-5));
    }
}

#[test]
fn golden_thtra_situation_stream() {
    let Some(golden) = Golden::open() else { return };
    let objective = golden.objective().with_situation(thtra::SITUATION_WEIGHT);
    let name = "strat_with_predict";
    check_loss(&golden, &objective, name, golden.number("situation", "loss"), Some("situation_grads.safetensors"));
    let parts = objective.loss(&golden.batch(name), &training()).unwrap();
    for (metric_name, written) in [("response_loss", "loss_response"), ("situation_loss", "loss_situation")] {
        close(written, metric(&parts, metric_name), golden.number("situation", written), (LOSSES, 0.0));
    }
}

#[test]
fn golden_thtra_held_out_scores() {
    let Some(golden) = Golden::open() else { return };
    let objective = golden.objective();
    for name in ["strat", "strat_with_predict"] {
        let expected = tensors(&golden.folder.join(format!("joint_{name}.safetensors")));
        let batch = golden.batch(name);
        let scores = objective.scores(&batch).unwrap();
        let token_losses: Vec<Vec<f32>> = expected["validation_token_losses"].to_vec2().unwrap();
        let counts = floats(&expected["validation_label_counts"]);
        for ((found, row), count) in scores.response_losses.iter().zip(&token_losses).zip(counts) {
            assert_eq!(found.len() as f64, count);
            // The first place is the strategy's, which is not asked for.
            for (found, expected) in found.iter().zip(&row[1..]) {
                close("a token's loss", f64::from(*found), f64::from(*expected), (LOGITS, 0.0));
            }
        }
        let logits: Vec<Vec<f32>> = expected["strategy_logits"].to_vec2().unwrap();
        for (found, expected) in scores.strategy_logits.concat().iter().zip(logits.concat()) {
            close("a strategy's logit", f64::from(*found), f64::from(expected), (LOGITS, 0.0));
        }
        for (logits, top_3) in
            scores.strategy_logits.iter().zip(golden.losses[name]["strategy_top3"].as_array().unwrap())
        {
            let places: Vec<u64> = ranked(logits).iter().take(3).map(|strategy| strategy.index() as u64).collect();
            assert_eq!(
                places,
                top_3.as_array().unwrap().iter().map(|place| place.as_u64().unwrap()).collect::<Vec<_>>()
            );
        }
        let set = objective.evaluate(&mut [Ok(batch)].into_iter()).unwrap();
        close("the loss of the set", set.loss, golden.number(name, "validation_loss"), (LOSSES, 0.0));
    }
}
