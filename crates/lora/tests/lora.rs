//! Adapters against PEFT and torch: outputs, merged weights, gradients, optimiser steps, schedules.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use golden_files::family;
use llm_runtime::{Llama, WeightOptions};
use lora::{Adapters, LoraConfig, SftBatch, SftObjective, Targets};
use serde_json::Value;
use training::{
    AdamWOptions, Dataset, Gradients, Normalisation, Objective, Pass, Schedule, TrainEvent, Trainer, TrainerOptions,
    TrainingError, Warmup,
};

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Checks `|left − right| ≤ absolute + relative · |right|` everywhere.
pub(crate) fn close(what: &str, left: &[f32], right: &[f32], absolute: f32, relative: f32) {
    assert_eq!(left.len(), right.len(), "{what}: lengths");
    for (place, (left, right)) in left.iter().zip(right).enumerate() {
        let error = (left - right).abs();
        assert!(error <= absolute + relative * right.abs(), "{what} at {place}: {left} is not {right}");
    }
}

/// Where the models of golden tests are.
fn device() -> Device {
    golden_files::device().parse::<llm_runtime::DeviceChoice>().unwrap().open().unwrap()
}

/// A Llama with places for adapters.
pub(crate) fn model(folder: &Path, weights: WeightOptions) -> (Arc<Llama>, Adapters) {
    let adapters = Adapters::new();
    let llama = Llama::open_through(folder, weights, &device(), &|loader, config, device| {
        Llama::load(&adapters.wrap(loader), config, device)
    });
    (Arc::new(llama.unwrap()), adapters)
}

/// The rows of the golden batch without padding.
struct Batches {
    rows: Vec<SftBatch>,
    lengths: Vec<usize>,
    width: usize,
}

impl Batches {
    fn read(folder: &Path) -> Self {
        let all = tensors(&folder.join("batch.safetensors"));
        let table = |name: &str| all[name].to_vec2::<i64>().unwrap();
        let (ids, mask, labels) = (table("input_ids"), table("attention_mask"), table("labels"));
        let mut rows = Vec::new();
        for ((ids, mask), labels) in ids.iter().zip(&mask).zip(&labels) {
            let length = mask.iter().sum::<i64>() as usize;
            let example = lora::sft::SftExample {
                ids: ids[..length].iter().map(|id| *id as u32).collect(),
                learned: labels[..length].iter().map(|label| *label >= 0).collect(),
            };
            let mut batch = SftBatch::default();
            batch.push(&example);
            rows.push(batch);
        }
        let lengths = rows.iter().map(|row| row.ids.len()).collect();
        Self { rows, lengths, width: ids[0].len() }
    }

    fn all(&self) -> SftBatch {
        self.batch(&(0..self.rows.len()).collect::<Vec<_>>()).unwrap()
    }

    /// Logits of all rows, padded with zeros as the golden file has them.
    fn logits(&self, llama: &Llama) -> Vec<f32> {
        let batch = self.all();
        let hidden = llama.sequences(&batch.ids, &batch.lengths, None).unwrap();
        let logits = llama.logits(&hidden).unwrap();
        let vocabulary = logits.dim(1).unwrap();
        let mut out = Vec::new();
        let mut first = 0;
        for length in &self.lengths {
            out.extend(values(&logits.narrow(0, first, *length).unwrap()));
            out.resize(out.len() + (self.width - length) * vocabulary, 0.0);
            first += length;
        }
        out
    }
}

impl Dataset for Batches {
    type Batch = SftBatch;

    fn lengths(&self) -> Vec<usize> {
        self.lengths.clone()
    }

    fn batch(&self, examples: &[usize]) -> Result<SftBatch, TrainingError> {
        let mut batch = SftBatch::default();
        for row in examples.iter().map(|example| &self.rows[*example]) {
            let start = batch.ids.len() as u32;
            batch.ids.extend(&row.ids);
            batch.lengths.extend(&row.lengths);
            batch.rows.extend(row.rows.iter().map(|place| place + start));
            batch.targets.extend(&row.targets);
        }
        Ok(batch)
    }
}

/// Every adapter folder of the family.
fn adapters_of(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join(lora::CONFIG_FILE).is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

#[test]
fn golden_lora_logits_on_off_and_merged() {
    let Some(folder) = family("lora") else { return };
    let batches = Batches::read(&folder);
    for name in adapters_of(&folder) {
        let (llama, adapters) = model(&folder.join("base"), WeightOptions::default());
        adapters.load("golden", &folder.join(&name)).unwrap();
        let golden = tensors(&folder.join(&name).join("logits.safetensors"));
        let check = |what: &str| {
            close(&format!("{name} {what}"), &batches.logits(&llama), &values(&golden[what]), 1e-4, 1e-4);
        };
        check("logits_on");
        adapters.activate(&[]).unwrap();
        check("logits_off");
        adapters.activate(&["golden"]).unwrap();
        let on = batches.logits(&llama);
        adapters.merge().unwrap();
        check("logits_merged");
        adapters.unmerge();
        assert_eq!(batches.logits(&llama), on, "{name}: unmerged is not as before");
        for (key, merged) in golden.iter().filter_map(|(key, value)| Some((key.strip_prefix("merged.")?, value))) {
            let ours = adapters.merged_weight(key.strip_suffix(".weight").unwrap()).unwrap().unwrap();
            close(&format!("{name} {key}"), &values(&ours), &values(merged), 1e-6, 1e-5);
        }
    }
}

/// Gradients of the first step before clipping, then losses, norms, rates and weights of five steps, for every run of the goldens.
#[test]
fn golden_lora_gradients_and_optimiser_steps() {
    let Some(folder) = family("lora") else { return };
    let batches = Batches::read(&folder);
    for name in adapters_of(&folder) {
        let settings = json(&folder.join(&name).join("train.json"));
        for (run, expected) in settings["runs"].as_object().unwrap() {
            check_run(&folder, &name, &batches, &settings, run, expected);
        }
    }
}

fn check_run(folder: &Path, name: &str, batches: &Batches, settings: &Value, run: &str, expected: &Value) {
    let what = format!("{name}/{run}");
    let (llama, adapters) = model(&folder.join("base"), WeightOptions::default());
    adapters.load("golden", &folder.join(name)).unwrap();
    let parameters = adapters.parameters("golden").unwrap();
    let objective = SftObjective::new(llama, Some(adapters));
    let options = run_options(settings, run, batches.rows.len());
    let golden = tensors(&folder.join(name).join(format!("train_{run}.safetensors")));

    check_first_gradients(&what, batches, &objective, &parameters, &options, &golden);

    let (mut losses, mut norms, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    let trainer = Trainer { objective: &objective, train: batches, evaluation: Vec::new(), options: &options };
    let mut observe = |event: &TrainEvent| {
        if let TrainEvent::Step(step) = event {
            losses.push(step.loss as f32);
            norms.push(step.gradient_norm as f32);
            rates.push(step.learning_rate as f32);
        }
        Ok(training::Control::Continue)
    };
    trainer.run(&parameters, None, false, &mut observe).unwrap();
    let floats = |key: &str| -> Vec<f32> {
        expected[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    close(&format!("{what} losses"), &losses, &floats("losses"), 1e-5, 0.0);
    close(&format!("{what} norms"), &norms, &floats("grad_norms_before_clip"), 0.0, 1e-4);
    close(&format!("{what} rates"), &rates, &floats("lr"), 0.0, 1e-6);
    for (parameter, variable) in parameters.iter() {
        let weight = values(variable.as_tensor());
        close(&format!("{what} {parameter}"), &weight, &values(&golden[&format!("weight5.{parameter}")]), 2e-5, 0.0);
    }
    let after = trainer.evaluate(batches).unwrap().loss;
    let golden_after = match options.normalisation {
        // The goldens' last loss of this run is again a mean of two means.
        Normalisation::MicroBatches => return,
        Normalisation::Terms => expected["loss_after"].as_f64().unwrap(),
    };
    close(&format!("{what} loss after"), &[after as f32], &[golden_after as f32], 1e-5, 0.0);
}

fn run_options(settings: &Value, run: &str, rows: usize) -> TrainerOptions {
    let number = |value: &Value| value.as_f64().unwrap();
    let accumulate = if run.starts_with("acc2") { 2 } else { 1 };
    let (schedule, warmup) = match run {
        _ if run.contains("cosine_warmup2") => (Schedule::Cosine { cycles: 0.5 }, 2),
        _ if run.contains("linear_warmup1") => (Schedule::Linear, 1),
        "full" | "acc2_mean_of_means" | "acc2_token_normalised" => (Schedule::Constant, 0),
        _ => panic!("the goldens have a run `{run}` that this test does not know"),
    };
    TrainerOptions {
        max_steps: settings["steps"].as_u64(),
        batch: rows / accumulate,
        accumulate,
        shuffle: false,
        learning_rate: number(&settings["lr"]),
        schedule,
        warmup: Warmup::Steps(warmup),
        adamw: AdamWOptions {
            beta1: number(&settings["betas"][0]),
            beta2: number(&settings["betas"][1]),
            eps: number(&settings["eps"]),
            weight_decay: number(&settings["weight_decay"]),
            ..AdamWOptions::default()
        },
        clip: settings["max_grad_norm"].as_f64(),
        normalisation: match run {
            "acc2_mean_of_means" => Normalisation::MicroBatches,
            _ => Normalisation::Terms,
        },
        ..TrainerOptions::default()
    }
}

fn check_first_gradients(
    what: &str,
    batches: &Batches,
    objective: &SftObjective,
    parameters: &training::Parameters,
    options: &TrainerOptions,
    golden: &BTreeMap<String, Tensor>,
) {
    for checkpointed in [false, true] {
        let mut gradients = Gradients::default();
        let examples: Vec<usize> = (0..batches.rows.len()).collect();
        let parts: Vec<&[usize]> = examples.chunks(options.batch).collect();
        let mut weight = 0.0;
        for part in &parts {
            let checkpoints = checkpointed.then(llm_runtime::Checkpoints::default);
            let dropout = llm_runtime::DropoutPass { seed: 1, pass: 0 };
            let pass = Pass::training(dropout, checkpoints);
            let loss = objective.loss(&batches.batch(part).unwrap(), &pass).unwrap();
            let own_weight = loss.weight;
            weight += own_weight;
            let sum = match options.normalisation {
                Normalisation::Terms => loss.sum,
                Normalisation::MicroBatches => (loss.sum / own_weight).unwrap(),
            };
            gradients.add(parameters, &sum.backward().unwrap()).unwrap();
            for store in pass.checkpoints.iter().map(llm_runtime::Checkpoints::take) {
                gradients.add(parameters, &store).unwrap();
            }
        }
        let divisor = match options.normalisation {
            Normalisation::Terms => weight,
            Normalisation::MicroBatches => parts.len() as f64,
        };
        gradients.scale(1.0 / divisor).unwrap();
        for (parameter, _) in parameters.iter() {
            let ours = values(gradients.get(parameter).unwrap());
            let golden = values(&golden[&format!("grad1.{parameter}")]);
            close(&format!("{what} {parameter} (checkpointed: {checkpointed})"), &ours, &golden, 1e-5, 1e-4);
        }
    }
}

#[test]
fn golden_lora_schedules() {
    let Some(folder) = family("lora") else { return };
    let all = json(&folder.join("lr_schedules.json"));
    for (key, expected) in all["schedules"].as_object().unwrap() {
        let mut parts = key.split('|');
        let name = parts.next().unwrap();
        let settings: BTreeMap<&str, f64> =
            parts.map(|part| part.split_once('=').unwrap()).map(|(key, value)| (key, value.parse().unwrap())).collect();
        let parameter = |name: &str| expected["params"][name].as_f64().unwrap();
        // transformers' `constant` knows no warm-up.
        let warmup = if name == "constant" { 0 } else { settings["warmup"] as u64 };
        let schedule = match name {
            "constant" | "constant_with_warmup" => Schedule::Constant,
            "linear" => Schedule::Linear,
            "cosine" => Schedule::Cosine { cycles: 0.5 },
            "cosine_half_cycles_1.5" => Schedule::Cosine { cycles: parameter("num_cycles") },
            "cosine_with_restarts" => Schedule::CosineWithRestarts { cycles: parameter("num_cycles") },
            "cosine_with_min_lr" => Schedule::CosineWithFloor { floor: parameter("min_lr_rate") },
            "polynomial" | "polynomial_power1" => {
                Schedule::Polynomial { end: parameter("lr_end"), power: parameter("power") }
            }
            "inverse_sqrt" => Schedule::InverseSqrt,
            "warmup_stable_decay" => Schedule::WarmupStableDecay { decay: parameter("num_decay_steps") as u64 },
            other => panic!("the goldens have a schedule `{other}` that this test does not know"),
        };
        for (step, rate) in expected["lr"].as_array().unwrap().iter().enumerate() {
            let ours = schedule.rate(settings["peak"], step as u64, warmup, settings["total"] as u64);
            let rate = rate.as_f64().unwrap();
            let error = (ours - rate).abs();
            assert!(error <= 1e-7 * rate + 1e-18, "{key}, step {step}: {ours} is not {rate}");
        }
    }
}

/// An adapter that went through our writer is the same, and the older key set is read.
#[test]
fn golden_lora_files_round_trip() {
    let Some(folder) = family("lora") else { return };
    let batches = Batches::read(&folder);
    let scratch = tempfile::tempdir().unwrap();
    for name in adapters_of(&folder) {
        let (llama, adapters) = model(&folder.join("base"), WeightOptions::default());
        adapters.load("first", &folder.join(&name)).unwrap();
        let before = batches.logits(&llama);
        let copy = scratch.path().join(&name);
        adapters.save("first", &copy, "../base").unwrap();
        adapters.unload("first").unwrap();
        assert_ne!(adapters_of(&folder).len(), 0);
        adapters.load("second", &copy).unwrap();
        assert_eq!(batches.logits(&llama), before, "{name}");
        let (theirs, ours) =
            (tensors(&folder.join(&name).join(lora::WEIGHTS_FILE)), tensors(&copy.join(lora::WEIGHTS_FILE)));
        assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "{name}");
    }
    let old = scratch.path().join("old");
    std::fs::create_dir(&old).unwrap();
    std::fs::copy(folder.join("adapter_config_peft0.13.json"), old.join(lora::CONFIG_FILE)).unwrap();
    std::fs::copy(folder.join("qv").join(lora::WEIGHTS_FILE), old.join(lora::WEIGHTS_FILE)).unwrap();
    let (llama, adapters) = model(&folder.join("base"), WeightOptions::default());
    adapters.load("old", &old).unwrap();
    let golden = tensors(&folder.join("qv").join("logits.safetensors"));
    close("old keys", &batches.logits(&llama), &values(&golden["logits_on"]), 1e-4, 1e-4);
}

/// What PEFT initialises: `B` is 0, `A` within ±1/√in, nothing changes at first.
#[test]
fn a_fresh_adapter_changes_nothing_and_trains() {
    let Some(folder) = family("lora") else { return };
    let batches = Batches::read(&folder);
    let (llama, adapters) = model(&folder.join("base"), WeightOptions::default());
    let off = batches.logits(&llama);
    for use_dora in [false, true] {
        let targets = Targets::Named(lora::ALL_LINEAR.into());
        let config = LoraConfig { rank: 4, targets, use_dora, ..LoraConfig::default() };
        adapters.add("fresh", &config, 7).unwrap();
        close("fresh", &batches.logits(&llama), &off, 1e-4, 1e-4);
        for (name, variable) in adapters.parameters("fresh").unwrap().iter() {
            let values = values(variable.as_tensor());
            if name.contains("lora_A") {
                let bound = 1.0 / (variable.dims()[1] as f32).sqrt();
                assert!(
                    values.iter().all(|value| value.abs() <= bound)
                        && values.iter().any(|value| value.abs() > bound / 2.0)
                );
            }
            assert_eq!(name.contains("lora_B"), values.iter().all(|value| *value == 0.0), "{name}");
        }
        adapters.unload("fresh").unwrap();
    }
    assert_eq!(batches.logits(&llama), off);
}

/// Several adapters at a time, LoRA and DoRA: merged weights do what the layers do, and each can be scaled and unloaded.
#[test]
fn several_adapters_add_up_and_merge() {
    let Some(folder) = family("lora") else { return };
    let batches = Batches::read(&folder);
    let (llama, adapters) = model(&folder.join("base"), WeightOptions::default());
    let off = batches.logits(&llama);
    for name in ["qv", "qv_dora", "all_linear"] {
        adapters.load(name, &folder.join(name)).unwrap();
    }
    adapters.activate(&["qv", "qv_dora", "all_linear"]).unwrap();
    adapters.set_scale("all_linear", 0.5).unwrap();
    let together = batches.logits(&llama);
    adapters.merge().unwrap();
    close("merged", &batches.logits(&llama), &together, 1e-4, 1e-4);
    adapters.unmerge();
    assert_eq!(batches.logits(&llama), together);
    adapters.set_scale("all_linear", 0.0).unwrap();
    adapters.unload("qv_dora").unwrap();
    adapters.unload("qv").unwrap();
    close("scale 0", &batches.logits(&llama), &off, 1e-5, 1e-5);
    assert_eq!(adapters.names(), ["all_linear"]);
    let error = adapters.set_scale("qv", 1.0).unwrap_err().to_string();
    assert!(error.contains("not active"), "{error}");
    assert!(adapters.activate(&["qv"]).unwrap_err().to_string().contains("there are: all_linear"));
}
