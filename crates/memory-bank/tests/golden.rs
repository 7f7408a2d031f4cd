//! A tiny generator against the published code, and against the same with padding left out of the pooling, both in f64: the golden family `magic`.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use golden_files::family;
use llm_runtime::{DropoutPass, StateDict};
use memory_bank::{
    BankOptions, EmptyMemory, FixedLengths, GeneratorOptions, HeadInit, MagicBatch, MagicObjective, MotivationFusion,
    Place, Pool, Response, Sample, Sources, StrategyBank, TrainableMagic, remembered,
};
use seq2seq::{Seq2SeqConfig, TokenBatch};
use serde_json::Value;
use training::{AdamW, AdamWOptions, Gradients, Objective, Pass};

/// README: logits and memory at counted positions; losses; gradients beside a relative 1e-4.
const VALUES: f64 = 1e-4;
const PADDED: f64 = 3e-4;
const LOSSES: f64 = 1e-5;
const GRADIENTS: f64 = 1e-5;

fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap().into_iter().collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(candle_core::DType::F64).unwrap().to_vec1().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: impl Fn(f64) -> f64) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance(*expected), "{what} at {place}: {found}, expected {expected}");
    }
}

/// The family, with what its configuration says.
struct Family {
    folder: PathBuf,
    config: Seq2SeqConfig,
    settings: Value,
    batches: BTreeMap<String, Tensor>,
    histories: Value,
}

impl Family {
    fn open() -> Option<Self> {
        let folder = family("magic")?;
        let settings = json(&folder.join("config.json"));
        let mut bart = settings["bart"].clone();
        bart["model_type"] = "bart".into();
        for dropout in ["dropout", "attention_dropout", "activation_dropout"] {
            bart[dropout] = 0.0.into();
        }
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("config.json"), bart.to_string()).unwrap();
        let config = Seq2SeqConfig::read(place.path()).unwrap();
        let batches = tensors(&folder.join("batches.safetensors"));
        let histories = json(&folder.join("batches.json"));
        Some(Self { config, settings, batches, histories, folder })
    }

    fn number(&self, name: &str) -> usize {
        self.settings[name].as_u64().unwrap() as usize
    }

    fn file(&self, name: &str) -> BTreeMap<String, Tensor> {
        tensors(&self.folder.join(format!("{name}.safetensors")))
    }

    fn generator(&self, variant: Variant) -> TrainableMagic {
        let path = self.folder.join("model.safetensors");
        let mut state: HashMap<String, Tensor> = tensors(&path).into_iter().collect();
        if variant.options.empty == EmptyMemory::Learned {
            state.insert("memory_enhance_module.empty".into(), self.file(variant.file)["empty_vector"].clone());
        }
        let state = StateDict::of_tensors(state, &path);
        TrainableMagic::of_state(&state, &self.config, variant.options, &Device::Cpu).unwrap()
    }

    fn objective(&self, model: &TrainableMagic) -> MagicObjective {
        let options = BankOptions {
            capacity: self.number("strategy_memory_max"),
            deduplicate: false,
            exclude_self: false,
            ..BankOptions::default()
        };
        let bank = StrategyBank::new(self.number("strategies"), self.config.width, options, &Device::Cpu).unwrap();
        MagicObjective::new(model.generator.clone(), bank, self.settings["l_strategy"].as_f64().unwrap())
    }

    fn rows(&self, batch: &str, name: &str) -> Vec<Vec<i64>> {
        let tensor = &self.batches[&format!("{batch}.{name}")];
        tensor.to_dtype(candle_core::DType::I64).unwrap().to_vec2().unwrap()
    }

    /// The samples of a batch, without padding.
    fn samples(&self, batch: &str) -> Vec<Sample> {
        let all = self.histories["batches"].as_array().unwrap();
        let history = all.iter().find(|one| one["name"] == batch).unwrap();
        let masked = |name: &str, mask: &str| -> Vec<Vec<u32>> {
            let (ids, mask) = (self.rows(batch, name), self.rows(batch, mask));
            let kept = |(ids, mask): (&Vec<i64>, &Vec<i64>)| {
                ids.iter().zip(mask).filter(|(_, seen)| **seen == 1).map(|(id, _)| *id as u32).collect()
            };
            ids.iter().zip(&mask).map(kept).collect()
        };
        let inputs = masked("input_ids", "attention_mask");
        let motivations = masked("motivation_ids", "motivation_mask");
        let outputs = masked("decoder_input_ids", "decoder_attention_mask");
        let labels = masked("targets", "decoder_attention_mask");
        let sample = |number: usize| Sample {
            input: inputs[number].clone(),
            motivation: motivations[number].clone(),
            output: outputs[number].clone(),
            labels: labels[number].clone(),
            strategy: history["strategy_ids"][number].as_u64().unwrap() as usize,
            place: Place { dialogue: batch.into(), turn: number },
            // The evaluation has none.
            history: match (&history["response_memory"][number], &history["strategy_memory"][number]) {
                (Value::Array(responses), Value::Array(strategies)) => self.history(responses, strategies),
                _ => Vec::new(),
            },
        };
        (0..inputs.len()).map(sample).collect()
    }

    fn history(&self, responses: &[Value], strategies: &[Value]) -> Vec<Arc<Response>> {
        let longest = self.number("max_length_res_memory");
        let response = |(ids, strategy): (&Value, &Value)| {
            let ids: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
            let mut tokens = [&[self.config.bos_id], ids.as_slice()].concat();
            tokens.truncate(longest - 1);
            tokens.push(self.config.eos_id);
            let place = Place { dialogue: "earlier".into(), turn: 0 };
            let strategy = strategy.as_u64().unwrap() as usize;
            Arc::new(Response { text: format!("{ids:?}"), tokens, strategy, place, feedback: None })
        };
        responses.iter().zip(strategies).map(response).collect()
    }

    fn batch(&self, name: &str, variant: Variant) -> MagicBatch {
        let lengths = FixedLengths {
            inputs: self.number("max_length"),
            responses: self.number("max_length_res_memory"),
            pad_id: self.config.pad_id,
        };
        let padding = (variant.options.pool == Pool::All).then_some(lengths);
        MagicBatch::new(&self.samples(name), padding).unwrap()
    }
}

#[derive(Clone, Copy)]
struct Variant {
    file: &'static str,
    /// Where the memory's contents are.
    bank: &'static str,
    options: GeneratorOptions,
    gradients: &'static [(&'static str, u64)],
}

const PUBLISHED: Variant = Variant {
    file: "reference",
    bank: "reference",
    options: GeneratorOptions {
        pool: Pool::All,
        motivation: MotivationFusion::None,
        empty: EmptyMemory::Refuse,
        head: HeadInit::Random,
    },
    gradients: &[("grads_reference_pass1", 1), ("grads_reference_pass2", 2)],
};

const fn masked(
    file: &'static str,
    motivation: MotivationFusion,
    gradients: &'static [(&'static str, u64)],
) -> Variant {
    let options =
        GeneratorOptions { pool: Pool::Masked, motivation, empty: EmptyMemory::Learned, head: HeadInit::Random };
    Variant { file, bank: "masked_none", options, gradients }
}

fn training(pass: u64) -> Pass {
    Pass::training(DropoutPass { seed: 1, pass }, None)
}

/// The logits at the places that count, of our rows and of a padded golden.
fn check_logits(what: &str, found: &Tensor, batch: &TokenBatch, golden: &Tensor) {
    let golden: Vec<Vec<Vec<f64>>> = golden.to_dtype(candle_core::DType::F64).unwrap().to_vec3().unwrap();
    let lengths = batch.lengths();
    let expected: Vec<f64> = golden.iter().zip(lengths).flat_map(|(rows, length)| rows[..*length].concat()).collect();
    assert_close(what, &values(found), &expected, |_| VALUES);
}

fn logits(model: &TrainableMagic, batch: &MagicBatch, memories: &[Option<Tensor>]) -> Tensor {
    let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories };
    let states = model.generator.forward(&sources, &batch.outputs, &Pass::evaluation()).unwrap();
    model.generator.head().forward(states.states()).unwrap()
}

fn memories(objective: &MagicObjective, batch: &MagicBatch) -> Vec<Option<Tensor>> {
    let bank = objective.bank();
    batch.strategies.iter().map(|strategy| bank.read(*strategy, None).unwrap()).collect()
}

/// README: vectors that padding was pooled into are compared as values at padded positions are.
fn check_bank(what: &str, bank: &StrategyBank, golden: &BTreeMap<String, Tensor>, pool: Pool) {
    let tolerance = if pool == Pool::All { PADDED } else { VALUES };
    for strategy in 0..bank.strategies() {
        let found = bank.vectors(strategy).map(values).unwrap_or_default();
        let expected = values(&golden[&format!("{what}.bank.{strategy}")]);
        assert_close(&format!("{what}.bank.{strategy}"), &found, &expected, |_| tolerance);
        assert_eq!(bank.rows(strategy).len() * bank.width(), expected.len());
    }
}

fn close_loss(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= LOSSES * expected.abs().max(1.0), "{what}: {found}, expected {expected}");
}

/// Five training passes with unchanged parameters, then an evaluation: losses, logits, the memory, gradients.
fn check(variant: Variant) {
    let Some(family) = Family::open() else { return };
    let model = family.generator(variant);
    let objective = family.objective(&model);
    let (golden, banks) = (family.file(variant.file), family.file(variant.bank));
    let losses = json(&family.folder.join("losses.json"))[variant.file].clone();
    let passes = losses.as_array().unwrap().iter().filter(|one| one["pass"].is_u64()).count() as u64;
    for number in 1..=passes {
        let batch = family.batch(&format!("batch{number}"), variant);
        let expected = &losses[number as usize - 1];
        let parts = objective.loss(&batch, &training(number)).unwrap();
        let name = format!("pass{number}");
        close_loss(&name, values(&parts.sum)[0] / parts.weight, &expected["loss"]);
        for (metric, expected) in parts.metrics.iter().zip([&expected["loss_gen"], &expected["loss_aux"]]) {
            close_loss(&format!("{name} {}", metric.name), metric.sum / metric.weight, expected);
        }
        check_bank(&name, &objective.bank(), &banks, variant.options.pool);
        let told = model
            .generator
            .classifier()
            .forward(&model.generator.remember(&batch.responses, &Pass::evaluation()).unwrap());
        let key = format!("{name}.strategy_logits");
        assert_close(&key, &values(&told.unwrap()), &values(&golden[&key]), |_| VALUES);
        let key = format!("{name}.logits");
        check_logits(&key, &logits(&model, &batch, &memories(&objective, &batch)), &batch.outputs, &golden[&key]);
        if let Some((file, _)) = variant.gradients.iter().find(|(_, pass)| *pass == number) {
            check_gradients(&family.file(file), &model, &parts.sum, parts.weight);
        }
    }
    let batch = family.batch("eval", variant);
    let before = objective.bank().sizes();
    let scores = objective.evaluate(&mut std::iter::once(Ok(batch.clone()))).unwrap();
    assert_eq!(objective.bank().sizes(), before, "evaluation never writes");
    close_loss("eval", scores.loss, &losses[passes as usize]["loss_gen"]);
    let mut seen = memories(&objective, &batch);
    check_logits("eval.logits", &logits(&model, &batch, &seen), &batch.outputs, &golden["eval.logits"]);
    if let Some(golden) = golden.get("eval_second_row_empty.logits") {
        seen[1] = None;
        check_logits("second row empty", &logits(&model, &batch, &seen), &batch.outputs, golden);
    }
    if let Some(golden) = golden.get("eval_all_banks_empty.logits") {
        let nothing = vec![None; batch.len()];
        check_logits("all empty", &logits(&model, &batch, &nothing), &batch.outputs, golden);
    }
}

fn check_gradients(golden: &BTreeMap<String, Tensor>, model: &TrainableMagic, sum: &Tensor, weight: f64) {
    let mut gradients = Gradients::default();
    gradients.add(&model.parameters, &(sum * (1.0 / weight)).unwrap().backward().unwrap()).unwrap();
    for (name, expected) in golden {
        let found = gradients.get(name).unwrap_or_else(|| panic!("{name} has no gradient"));
        assert_close(name, &values(found), &values(expected), |value| GRADIENTS + 1e-4 * value.abs());
    }
}

#[test]
fn golden_magic_published() {
    check(PUBLISHED);
}

#[test]
fn golden_magic_masked_without_motivation() {
    check(masked("masked_none", MotivationFusion::None, &[("grads_masked_none_pass2", 2)]));
}

#[test]
fn golden_magic_masked_with_motivation_beside() {
    check(masked("masked_concat", MotivationFusion::Concat, &[("grads_masked_concat_pass1", 1)]));
}

#[test]
fn golden_magic_masked_with_motivation_as_query() {
    check(masked("masked_query", MotivationFusion::Query, &[]));
}

/// Histories within histories, empty ones, equal ones and subsequences: what is remembered of each batch, by strategy.
#[test]
fn golden_magic_grouping() {
    let Some(family) = Family::open() else { return };
    for golden in family.histories["batches"].as_array().unwrap() {
        let name = golden["name"].as_str().unwrap();
        let Some(groups) = golden["grouped_responses"].as_object() else { continue };
        let batch = MagicBatch::new(&family.samples(name), None).unwrap();
        for (strategy, responses) in groups {
            let expected: Vec<String> = responses
                .as_array()
                .unwrap()
                .iter()
                .map(|ids| format!("{:?}", serde_json::from_value::<Vec<u32>>(ids.clone()).unwrap()))
                .collect();
            let found = batch.remembered.iter().filter(|(other, _)| other.to_string() == *strategy);
            assert_eq!(found.map(|(_, row)| row.text.clone()).collect::<Vec<_>>(), expected, "{name}, {strategy}");
        }
    }
    assert!(remembered::<u32>(&[]).is_empty());
}

/// Five AdamW updates: the losses on the way, and the memory at the end.
#[test]
fn golden_magic_trained() {
    let Some(family) = Family::open() else { return };
    let model = family.generator(PUBLISHED);
    let objective = family.objective(&model);
    let options = AdamWOptions { weight_decay: 0.01, ..AdamWOptions::default() };
    let mut adamw = AdamW::new(model.parameters.clone(), options).unwrap();
    let losses = json(&family.folder.join("losses.json"))["reference_trained"]["steps"].clone();
    let steps = losses.as_array().unwrap();
    for (number, expected) in (1..).zip(steps) {
        let batch = family.batch(&format!("batch{number}"), PUBLISHED);
        let parts = objective.loss(&batch, &training(number)).unwrap();
        let loss = (&parts.sum * (1.0 / parts.weight)).unwrap();
        close_loss(&format!("step {number}"), values(&loss)[0], &expected["loss"]);
        let mut gradients = Gradients::default();
        gradients.add(&model.parameters, &loss.backward().unwrap()).unwrap();
        adamw.step(&gradients, 1e-3).unwrap();
    }
    check_bank(&format!("step{}", steps.len()), &objective.bank(), &family.file("reference_trained"), Pool::All);
}

/// Where the published code makes numbers that are none, the published profile says which sample it is.
#[test]
fn golden_magic_an_empty_list_is_an_error_as_published() {
    let Some(family) = Family::open() else { return };
    let model = family.generator(PUBLISHED);
    let batch = family.batch("eval", PUBLISHED);
    let mut memories =
        vec![Some(Tensor::ones((2, family.config.width), candle_core::DType::F32, &Device::Cpu).unwrap()); batch.len()];
    memories[1] = None;
    let sources = Sources { inputs: &batch.inputs, motivations: &batch.motivations, memories: &memories };
    let told = model.generator.forward(&sources, &batch.outputs, &Pass::evaluation()).err().unwrap().to_string();
    assert!(told.starts_with("sample 1 of the batch finds no row of its strategy"), "{told}");
}
