//! Tiny classifiers against transformers 4.38.1 and torch 2.15.0: `fixtures/goldens/classifier`, whose README names the tolerances.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use golden_files::family;
use llm_runtime::{Checkpoints, DropoutPass};
use serde_json::Value;
use text_encoder::{
    ClassificationBatch, ClassificationObjective, EncoderBatch, EncoderConfig, EncoderWeights, SequenceClassifier,
};
use training::{
    AdamWOptions, Dataset, Gradients, Objective, Parameters, Pass, Schedule, TrainEvent, Trainer, TrainerOptions,
    TrainingError, VariableLoader,
};

/// Largest difference of values and losses (README).
const VALUES: f32 = 1e-4;

fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Checks `|left − right| ≤ absolute + relative · |right|` everywhere.
fn close(what: &str, left: &[f32], right: &[f32], absolute: f32, relative: f32) {
    assert_eq!(left.len(), right.len(), "{what}: lengths");
    for (place, (left, right)) in left.iter().zip(right).enumerate() {
        let error = (left - right).abs();
        assert!(error <= absolute + relative * right.abs(), "{what} at {place}: {left} is not {right}");
    }
}

/// The rows of the three golden batches, one after the other.
struct Rows {
    ids: Vec<Vec<u32>>,
    token_types: Vec<Vec<u32>>,
    attended: Vec<Vec<bool>>,
    labels: Vec<u32>,
    per_step: usize,
}

impl Rows {
    fn read(folder: &Path) -> Self {
        let all = tensors(&folder.join("batches.safetensors"));
        let mut rows = Self { ids: vec![], token_types: vec![], attended: vec![], labels: vec![], per_step: 0 };
        for step in 1.. {
            let Some(ids) = all.get(&format!("step{step}.input_ids")) else { break };
            let numbers = |tensor: &Tensor| -> Vec<Vec<u32>> {
                let table = tensor.to_vec2::<i64>().unwrap();
                table.into_iter().map(|row| row.into_iter().map(|number| number as u32).collect()).collect()
            };
            rows.ids.extend(numbers(ids));
            let kinds = all.get(&format!("step{step}.token_type_ids"));
            rows.token_types.extend(kinds.map_or_else(|| vec![vec![]; ids.dims()[0]], numbers));
            let mask = numbers(&all[&format!("step{step}.attention_mask")]);
            rows.attended.extend(mask.into_iter().map(|row| row.into_iter().map(|seen| seen == 1).collect()));
            let labels = all[&format!("step{step}.labels")].to_vec1::<i64>().unwrap();
            rows.per_step = labels.len();
            rows.labels.extend(labels.into_iter().map(|label| label as u32));
        }
        assert_eq!(rows.ids.len(), 3 * rows.per_step);
        rows
    }

    /// With padding as explicit tokens that no other looks at, as the library has it.
    fn padded(&self, examples: &[usize]) -> ClassificationBatch {
        let mut batch = ClassificationBatch::default();
        for row in examples {
            batch.input.push_masked(&self.ids[*row], &self.token_types[*row], &self.attended[*row]);
            batch.labels.push(self.labels[*row]);
        }
        batch
    }

    fn first_step(&self) -> Vec<usize> {
        (0..self.per_step).collect()
    }
}

impl Dataset for Rows {
    type Batch = ClassificationBatch;

    fn lengths(&self) -> Vec<usize> {
        self.attended.iter().map(|row| row.iter().filter(|seen| **seen).count()).collect()
    }

    /// Without padding.
    fn batch(&self, examples: &[usize]) -> Result<ClassificationBatch, TrainingError> {
        let mut batch = ClassificationBatch::default();
        for row in examples {
            let length = self.lengths()[*row];
            let kinds = self.token_types[*row].iter().take(length).copied().collect::<Vec<u32>>();
            batch.input.push_segments(&self.ids[*row][..length], &kinds);
            batch.labels.push(self.labels[*row]);
        }
        Ok(batch)
    }
}

/// Where the models of golden tests are.
fn device() -> Device {
    golden_files::device().parse::<llm_runtime::DeviceChoice>().unwrap().open().unwrap()
}

/// The golden model, all of whose weights are variables.
fn trainable(folder: &Path) -> (ClassificationObjective, std::sync::Arc<SequenceClassifier>, Parameters) {
    let folder = folder.join("model");
    let (config, labels) = EncoderConfig::read(&folder.join("config.json")).unwrap();
    let device = device();
    let weights = EncoderWeights::open(&folder, &config, &device, 0).unwrap();
    let variables = VariableLoader::new(&weights);
    let model = std::sync::Arc::new(SequenceClassifier::load(&variables, &config, labels.len(), &device).unwrap());
    assert!(weights.made_fresh().is_empty());
    (ClassificationObjective::new(model.clone()), model, variables.into_parameters())
}

/// The folders of the family.
fn models() -> Vec<std::path::PathBuf> {
    let Some(folder) = family("classifier") else { return Vec::new() };
    let folders = ["roberta", "bert"].map(|name| folder.join(name));
    assert!(folders.iter().all(|folder| folder.join("model/config.json").is_file()));
    folders.to_vec()
}

/// Every hidden state, those of padding tokens included, and what the head makes of them.
#[test]
fn golden_classifier_values() {
    for folder in models() {
        let (objective, model, _) = trainable(&folder);
        let rows = Rows::read(&folder);
        let golden = tensors(&folder.join("forward.safetensors"));
        let padded = rows.padded(&rows.first_step());
        let pass = Pass::evaluation();
        let check = |what: &str, tensor: &Tensor| close(what, &values(tensor), &values(&golden[what]), VALUES, VALUES);
        let states = model.encoder().hidden_states(&padded.input, &pass).unwrap();
        check("embedding_output", &states[0]);
        check("last_hidden_state", states.last().unwrap());
        for batch in [padded, rows.batch(&rows.first_step()).unwrap()] {
            check("logits", &model.logits(&batch.input, &pass).unwrap());
            let parts = objective.loss(&batch, &pass).unwrap();
            check("loss", &(parts.sum / parts.weight).unwrap());
        }
    }
}

#[test]
fn golden_classifier_gradients() {
    for folder in models() {
        let (objective, _, parameters) = trainable(&folder);
        let rows = Rows::read(&folder);
        let golden = tensors(&folder.join("grads.safetensors"));
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
        assert_eq!(names, golden.keys().map(String::as_str).collect::<Vec<_>>());
        for (padded, checkpointed) in [(true, false), (false, false), (false, true)] {
            let examples = rows.first_step();
            let batch = if padded { rows.padded(&examples) } else { rows.batch(&examples).unwrap() };
            let checkpoints = checkpointed.then(Checkpoints::default);
            let pass = Pass::training(DropoutPass { seed: 1, pass: 0 }, checkpoints);
            let parts = objective.loss(&batch, &pass).unwrap();
            let mut gradients = Gradients::default();
            gradients.add(&parameters, &parts.sum.backward().unwrap()).unwrap();
            for store in pass.checkpoints.iter().map(Checkpoints::take) {
                gradients.add(&parameters, &store).unwrap();
            }
            gradients.scale(1.0 / parts.weight).unwrap();
            for (name, expected) in &golden {
                close(name, &values(gradients.get(name).unwrap()), &values(expected), 1e-5, 1e-4);
            }
        }
    }
}

/// Three steps of the workspace's own loop.
#[test]
fn golden_classifier_weights_after_three_steps() {
    for folder in models() {
        let (objective, _, parameters) = trainable(&folder);
        let rows = Rows::read(&folder);
        let expected: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("train.json")).unwrap()).unwrap();
        let settings = &expected["settings"];
        let number = |key: &str| settings[key].as_f64().unwrap();
        let floats = |key: &str| -> Vec<f32> {
            expected[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
        };
        let options = TrainerOptions {
            batch: rows.per_step,
            shuffle: false,
            learning_rate: number("lr"),
            schedule: Schedule::Constant,
            adamw: AdamWOptions {
                beta1: settings["betas"][0].as_f64().unwrap(),
                beta2: settings["betas"][1].as_f64().unwrap(),
                eps: number("eps"),
                weight_decay: number("weight_decay"),
                ..AdamWOptions::default()
            },
            clip: Some(number("clip")),
            ..TrainerOptions::default()
        };
        let (mut losses, mut norms) = (Vec::new(), Vec::new());
        let trainer = Trainer { objective: &objective, train: &rows, evaluation: Vec::new(), options: &options };
        let mut observe = |event: &TrainEvent| {
            if let TrainEvent::Step(step) = event {
                losses.push(step.loss as f32);
                norms.push(step.gradient_norm as f32);
            }
            Ok(training::Control::Continue)
        };
        trainer.run(&parameters, None, false, &mut observe).unwrap();
        close("losses", &losses, &floats("losses"), 1e-5, 1e-5);
        close("norms", &norms, &floats("grad_norms_before_clipping"), 0.0, 1e-4);
        let golden = tensors(&folder.join("weights_after_3_steps.safetensors"));
        assert_eq!(golden.len(), parameters.len());
        // A gradient that is 0 up to rounding still makes a whole step of AdamW, in either direction.
        let steps_of_noise = losses.len() as f32 * options.learning_rate as f32;
        for (name, expected) in &golden {
            let tolerance = if name.ends_with("key.bias") { steps_of_noise } else { 5e-5 };
            close(name, &values(parameters.get(name).unwrap().as_tensor()), &values(expected), tolerance, 0.0);
        }
    }
}

/// What is not in a batch does not change what is: alone, among others, among longer ones.
#[test]
fn golden_classifier_rows_alone_and_together() {
    for folder in models() {
        let (_, model, _) = trainable(&folder);
        let rows = Rows::read(&folder);
        let all: Vec<usize> = (0..rows.ids.len()).collect();
        let together = values(&model.logits(&rows.batch(&all).unwrap().input, &Pass::evaluation()).unwrap());
        for (row, logits) in together.chunks(model.classes()).enumerate() {
            let alone: EncoderBatch = rows.batch(&[row]).unwrap().input;
            close("alone", &values(&model.logits(&alone, &Pass::evaluation()).unwrap()), logits, 1e-6, 0.0);
        }
    }
}
