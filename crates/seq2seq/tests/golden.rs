//! Tiny models against transformers 4.38.1 and torch 2.15.0 in f64: the golden families `bart` and `blenderbot-small`.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use llm_runtime::{Checkpoints, DropoutPass};
use seq2seq::{Seq2SeqBatch, Seq2SeqModel, TokenBatch, TrainableSeq2Seq, shift_right};
use training::{Gradients, Pass};

use crate::goldens::family;
use crate::small::{assert_close, values};

/// Largest difference of values (README of `blenderbot-small`: a missing factor in front of a norm is 1e-4).
const VALUES: f64 = 2e-5;
/// Largest difference of gradients: five times what the library's own f32 run is off (`summary.json`: 4.6e-7).
const GRADIENTS: f64 = 2.5e-6;
const SMOOTHINGS: [(&str, f64); 2] = [("0", 0.0), ("0.1", 0.1)];

pub(crate) fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

pub(crate) fn integers(tensor: &Tensor) -> Vec<Vec<i64>> {
    tensor.to_vec2().unwrap()
}

fn ids(row: &[i64]) -> Vec<u32> {
    row.iter().map(|id| u32::try_from(*id).unwrap()).collect()
}

pub(crate) fn labels(row: &[i64]) -> Vec<Option<u32>> {
    row.iter().map(|label| u32::try_from(*label).ok()).collect()
}

/// The batch of a family.
pub(crate) struct Golden {
    pub(crate) inputs: Vec<Vec<u32>>,
    pub(crate) mask: Vec<Vec<bool>>,
    pub(crate) labels: Vec<Vec<Option<u32>>>,
    outputs: Vec<Vec<u32>>,
}

impl Golden {
    pub(crate) fn read(folder: &Path) -> Self {
        let all = tensors(&folder.join("batch.safetensors"));
        let outputs = integers(&all["decoder_input_ids"]).iter().map(|row| ids(row)).collect();
        Self { outputs, ..Self::of(&all, "") }
    }

    /// From tensors with such a prefix.
    pub(crate) fn of(all: &BTreeMap<String, Tensor>, prefix: &str) -> Self {
        let table = |name: &str| integers(&all[&format!("{prefix}{name}")]);
        Self {
            inputs: table("input_ids").iter().map(|row| ids(row)).collect(),
            mask: table("attention_mask").iter().map(|row| row.iter().map(|seen| *seen == 1).collect()).collect(),
            labels: table("labels").iter().map(|row| labels(row)).collect(),
            outputs: Vec::new(),
        }
    }

    /// Some of the examples.
    pub(crate) fn rows(&self, rows: std::ops::Range<usize>) -> Self {
        Self {
            inputs: self.inputs[rows.clone()].to_vec(),
            mask: self.mask[rows.clone()].to_vec(),
            labels: self.labels[rows].to_vec(),
            outputs: Vec::new(),
        }
    }

    /// With padding as explicit tokens that no other looks at, as the library has it.
    fn padded(&self) -> Seq2SeqBatch {
        let mut batch = Seq2SeqBatch::new();
        for (ids, mask) in self.inputs.iter().zip(&self.mask) {
            batch.inputs.push_masked(ids, mask);
        }
        batch.outputs = TokenBatch::of(self.outputs.iter().map(Vec::as_slice));
        batch.labels = self.labels.concat();
        batch
    }

    /// Without padding.
    pub(crate) fn packed(&self, model: &Seq2SeqModel) -> Seq2SeqBatch {
        let config = model.config();
        let mut batch = Seq2SeqBatch::new();
        for (number, (ids, mask)) in self.inputs.iter().zip(&self.mask).enumerate() {
            let length = mask.iter().filter(|seen| **seen).count();
            assert!(mask[..length].iter().all(|seen| *seen), "right padding");
            batch.push(&ids[..length], &self.labels[number], config.generation.decoder_start_id, config.pad_id);
        }
        batch
    }
}

/// Where the models of golden tests are.
pub(crate) fn device() -> Device {
    golden_files::device().parse::<llm_runtime::DeviceChoice>().unwrap().open().unwrap()
}

fn open(name: &str) -> Option<(std::path::PathBuf, TrainableSeq2Seq, Golden)> {
    let folder = family(name)?;
    let trainable = TrainableSeq2Seq::open(&folder.join("model"), &device()).unwrap();
    assert!(trainable.made_fresh.is_empty());
    let golden = Golden::read(&folder);
    Some((folder, trainable, golden))
}

/// Every hidden state, those of padding tokens included, every attention weight, and the logits.
fn check_values(name: &str) {
    let Some((folder, trainable, golden)) = open(name) else { return };
    let model = &trainable.model;
    let expected = tensors(&folder.join("forward.safetensors"));
    let mut unseen: Vec<&String> = expected.keys().filter(|key| !key.starts_with("loss")).collect();
    let mut check = |key: &str, tensor: &Tensor| {
        assert_close(key, &values(tensor), &values(&expected[key]), VALUES);
        unseen.retain(|other| *other != key);
    };
    let batch = golden.padded();
    let encoded = model.encoder().trace(&batch.inputs).unwrap();
    check("encoder_embedding_output", &encoded.hidden_states[0]);
    check("encoder_last_hidden_state", encoded.hidden_states.last().unwrap());
    let memory = model.encoder().forward(&batch.inputs, &Pass::evaluation()).unwrap();
    let decoded = model.decoder().trace(&batch.outputs, &memory).unwrap();
    check("decoder_embedding_output", &decoded.hidden_states[0]);
    let last = decoded.hidden_states.last().unwrap();
    check("decoder_last_hidden_state", last);
    check("logits", &model.logits(last).unwrap());
    let attention = [
        ("encoder_self_attention", &encoded.attention),
        ("decoder_self_attention", &decoded.self_attention),
        ("cross_attention", &decoded.cross_attention),
    ];
    for (what, layers) in attention {
        for (number, weights) in layers.iter().enumerate() {
            check(&format!("{what}.{number}"), weights);
        }
    }
    assert!(unseen.is_empty(), "not compared: {unseen:?}");
    let masked = values(&expected["cross_attention.0"]).into_iter().zip(values(&decoded.cross_attention[0]));
    assert!(masked.filter(|(golden, _)| *golden == 0.0).all(|(_, ours)| ours == 0.0), "masked keys weigh nothing");
}

#[test]
fn golden_bart_values() {
    check_values("bart");
}

#[test]
fn golden_blenderbot_small_values() {
    check_values("blenderbot-small");
}

/// What the README says of labels and decoder inputs, and the losses at both smoothings, with padding and without.
fn check_losses(name: &str) {
    let Some((folder, trainable, golden)) = open(name) else { return };
    let model = &trainable.model;
    let expected = tensors(&folder.join("forward.safetensors"));
    let config = model.config();
    for (labels, outputs) in golden.labels.iter().zip(&golden.outputs) {
        assert_eq!(&shift_right(labels, config.generation.decoder_start_id, config.pad_id), outputs);
    }
    for batch in [golden.padded(), golden.packed(model)] {
        for (written, smoothing) in SMOOTHINGS {
            let loss = model.label_log_probs(&batch, smoothing, &Pass::evaluation()).unwrap().mean_all().unwrap();
            let key = format!("loss_smoothing_{written}");
            assert_close(&key, &values(&loss.neg().unwrap()), &values(&expected[&key]), VALUES);
        }
        let losses = model.label_losses(&batch).unwrap();
        let counts: Vec<usize> = golden.labels.iter().map(|row| row.iter().flatten().count()).collect();
        assert_eq!(losses.iter().map(Vec::len).collect::<Vec<_>>(), counts);
        let mean = losses.concat().iter().map(|loss| f64::from(*loss)).sum::<f64>() / batch.label_count() as f64;
        assert_close("mean of losses", &[mean], &values(&expected["loss_smoothing_0"]), VALUES);
    }
}

#[test]
fn golden_bart_losses() {
    check_losses("bart");
}

#[test]
fn golden_blenderbot_small_losses() {
    check_losses("blenderbot-small");
}

/// Every gradient at both smoothings: with padding, without, and with sections computed twice.
fn check_gradients(name: &str) {
    let Some((folder, trainable, golden)) = open(name) else { return };
    let (model, parameters) = (&trainable.model, &trainable.parameters);
    for (written, smoothing) in SMOOTHINGS {
        let expected = tensors(&folder.join(format!("grads_smoothing_{written}.safetensors")));
        let names: Vec<&str> = parameters.iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected.keys().map(String::as_str).collect::<Vec<_>>());
        for (padded, checkpointed) in [(true, false), (false, false), (false, true)] {
            let batch = if padded { golden.padded() } else { golden.packed(model) };
            let checkpoints = checkpointed.then(Checkpoints::default);
            let pass = Pass::training(DropoutPass { seed: 1, pass: 0 }, checkpoints);
            let loss = model.label_log_probs(&batch, smoothing, &pass).unwrap().mean_all().unwrap().neg().unwrap();
            let mut gradients = Gradients::default();
            gradients.add(parameters, &loss.backward().unwrap()).unwrap();
            for store in pass.checkpoints.iter().map(Checkpoints::take) {
                gradients.add(parameters, &store).unwrap();
            }
            for (name, expected) in &expected {
                let found = gradients.get(name).unwrap_or_else(|| panic!("{name} has no gradient"));
                assert_close(name, &values(found), &values(expected), GRADIENTS);
            }
        }
    }
}

#[test]
fn golden_bart_gradients() {
    check_gradients("bart");
}

#[test]
fn golden_blenderbot_small_gradients() {
    check_gradients("blenderbot-small");
}
