//! Five optimiser steps on a tiny BART against torch 2.15.0 and transformers 4.38.1 in f64: the golden family `seq2seq-train`.

use std::path::{Path, PathBuf};

use seq2seq::{Seq2SeqBatch, Seq2SeqModel, Seq2SeqObjective, TrainableSeq2Seq};
use serde_json::Value;
use training::{
    AdamWOptions, AdamWRule, Control, Dataset, Normalisation, ParameterGroup, Schedule, TrainEvent, Trainer,
    TrainerOptions, TrainingError, Warmup,
};

use crate::golden::{Golden, device, tensors};
use crate::goldens::family;
use crate::small::{assert_close, values};

/// Largest difference of weights (README).
const WEIGHTS: f64 = 1e-5;
/// Largest difference of losses and, relative to them, of norms.
const LOSSES: f64 = 1e-5;

/// The golden batches, one after the other.
struct Steps {
    batches: Vec<Seq2SeqBatch>,
    per_batch: usize,
}

impl Steps {
    /// Micro-batches of `1 / accumulate` of a golden batch.
    fn read(folder: &Path, accumulate: usize, model: &Seq2SeqModel) -> Self {
        let all = tensors(&folder.join("batches.safetensors"));
        let mut batches = Vec::new();
        let mut per_batch = 0;
        for step in (1..).take_while(|step| all.contains_key(&format!("step{step}.input_ids"))) {
            let golden = Golden::of(&all, &format!("step{step}."));
            per_batch = golden.inputs.len() / accumulate;
            for first in (0..golden.inputs.len()).step_by(per_batch) {
                batches.push(golden.rows(first..first + per_batch).packed(model));
            }
        }
        Self { batches, per_batch }
    }
}

impl Dataset for Steps {
    type Batch = Seq2SeqBatch;

    fn lengths(&self) -> Vec<usize> {
        vec![1; self.batches.len() * self.per_batch]
    }

    fn batch(&self, examples: &[usize]) -> Result<Seq2SeqBatch, TrainingError> {
        assert_eq!((examples[0] % self.per_batch, examples.len()), (0, self.per_batch), "in order");
        Ok(self.batches[examples[0] / self.per_batch].clone())
    }
}

struct Run {
    folder: PathBuf,
    name: &'static str,
    record: Value,
}

impl Run {
    fn open(name: &'static str) -> Option<Self> {
        let folder = family("seq2seq-train")?;
        let text = std::fs::read_to_string(folder.join("train.json")).unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        Some(Self { folder, name, record: all[name].clone() })
    }

    fn number(&self, key: &str) -> f64 {
        self.record["settings"][key].as_f64().unwrap()
    }

    fn numbers(&self, key: &str) -> Vec<f64> {
        self.record[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    }

    /// The mean of the losses of a step's micro-batches.
    fn losses(&self) -> Vec<f64> {
        let steps = self.record["losses"].as_array().unwrap();
        let mean = |step: &Value| match step.as_array() {
            Some(parts) => parts.iter().map(|part| part.as_f64().unwrap()).sum::<f64>() / parts.len() as f64,
            None => step.as_f64().unwrap(),
        };
        steps.iter().map(mean).collect()
    }

    fn options(&self, per_batch: usize) -> TrainerOptions {
        let names = self.record["no_decay_parameters"].as_array().unwrap();
        let group = |name: &Value| ParameterGroup {
            contains: name.as_str().unwrap().to_owned(),
            weight_decay: Some(0.0),
            learning_rate_factor: 1.0,
        };
        TrainerOptions {
            batch: per_batch,
            accumulate: self.number("accum") as usize,
            shuffle: false,
            max_steps: Some(self.number("total_steps") as u64),
            learning_rate: self.number("lr"),
            schedule: Schedule::Linear,
            warmup: Warmup::Steps(self.number("warmup_steps") as u64),
            adamw: AdamWOptions {
                beta1: self.record["settings"]["betas"][0].as_f64().unwrap(),
                beta2: self.record["settings"]["betas"][1].as_f64().unwrap(),
                eps: self.number("eps"),
                weight_decay: self.number("weight_decay"),
                rule: match self.record["settings"]["opt"].as_str().unwrap() {
                    "torch" => AdamWRule::Torch,
                    "old" => AdamWRule::Transformers,
                    other => panic!("an unknown optimiser: {other}"),
                },
                groups: names.iter().map(group).collect(),
            },
            clip: Some(self.number("clip")),
            normalisation: Normalisation::MicroBatches,
            ..TrainerOptions::default()
        }
    }
}

fn check_run(name: &'static str) {
    let Some(run) = Run::open(name) else { return };
    let trainable = TrainableSeq2Seq::open(&run.folder.join("model"), &device()).unwrap();
    let accumulate = run.number("accum") as usize;
    let steps = Steps::read(&run.folder, accumulate, &trainable.model);
    let objective = Seq2SeqObjective::new(trainable.model.clone()).with_smoothing(run.number("smoothing"));
    let options = run.options(steps.per_batch);
    assert_eq!(run.number("steps") as usize * accumulate, steps.batches.len());
    let trainer = Trainer { objective: &objective, train: &steps, evaluation: Vec::new(), options: &options };
    let (mut losses, mut norms, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let mut observe = |event: &TrainEvent| {
        if let TrainEvent::Step(step) = event {
            losses.push(step.loss);
            norms.push(step.gradient_norm);
            rates.push(step.learning_rate);
            if losses.len() == run.number("steps") as usize {
                return Ok(Control::Stop);
            }
        }
        Ok(Control::Continue)
    };
    trainer.run(&trainable.parameters, None, false, &mut observe).unwrap();
    assert_close("learning rates", &rates, &run.numbers("learning_rates"), 1e-12);
    assert_close("losses", &losses, &run.losses(), LOSSES);
    let golden_norms = run.numbers("grad_norms_before_clipping");
    let relative: Vec<f64> = norms.iter().zip(&golden_norms).map(|(norm, golden)| norm / golden).collect();
    assert_close("norms", &relative, &vec![1.0; norms.len()], LOSSES);
    let golden = tensors(&run.folder.join(format!("weights_{}.safetensors", run.name)));
    let names: Vec<&str> = trainable.parameters.iter().map(|(name, _)| name).collect();
    assert_eq!(names, golden.keys().map(String::as_str).collect::<Vec<_>>());
    // Rounding noise of a gradient that is 0 makes whole steps of AdamW (README).
    let steps_of_noise: f64 = rates.iter().sum();
    for (name, variable) in trainable.parameters.iter() {
        let tolerance = if name.ends_with("k_proj.bias") { steps_of_noise } else { WEIGHTS };
        assert_close(name, &values(variable.as_tensor()), &values(&golden[name]), tolerance);
    }
}

#[test]
fn golden_seq2seq_train_adamw() {
    check_run("adamw");
}

#[test]
fn golden_seq2seq_train_adamw_with_smoothing() {
    check_run("adamw_smoothing");
}

#[test]
fn golden_seq2seq_train_adamw_with_accumulation() {
    check_run("adamw_accumulate2");
}

#[test]
fn golden_seq2seq_train_old_adamw_with_substring_groups() {
    check_run("old_adamw_substring");
}
