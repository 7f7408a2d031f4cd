//! The training loop on real models: resume, accumulation, guards, early stopping; gradients of every trained parameter.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor, Var};
use golden_files::root;
use llm_runtime::{
    Checkpoints, DenseLinear, DropoutPass, Embedding, Error, Linear, LinearLoader, Llama, LlamaConfig, QuantLinear,
    RopeScaling, WeightOptions,
};
use lora::sft::SftExample;
use lora::{ALL_LINEAR, Adapters, LoraConfig, SftDataset, SftObjective, Targets};
use proptest::prelude::*;
use training::{
    Control, Dataset, End, FreshWeights, Mode, Objective, Parameters, Pass, RunDir, Schedule, TrainEvent, TrainSummary,
    Trainer, TrainerOptions, TrainingError, VariableLoader, Warmup, normal_values,
};

use crate::lora::{close, model, values};

fn config() -> LlamaConfig {
    LlamaConfig {
        hidden_size: 32,
        intermediate_size: 48,
        layers: 2,
        heads: 4,
        key_value_heads: 2,
        head_dim: 8,
        vocabulary_size: 40,
        context_length: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        sliding_window: None,
        tied_head: false,
        attention_bias: false,
        mlp_bias: false,
    }
}

/// Sequences with a rule to learn: each token is the one before plus three.
fn examples(count: usize) -> Vec<SftExample> {
    let example = |number: usize| {
        let length = 5 + number * 7 % 11;
        let ids = (0..length).map(|place| ((number * 5 + place * 3) % 40) as u32).collect();
        SftExample { ids, learned: (0..length).map(|place| place >= 2).collect() }
    };
    (0..count).map(example).collect()
}

/// A fresh model all of whose weights are trained.
fn trainable(config: LlamaConfig, deviation: f64) -> (Arc<Llama>, Parameters) {
    let fresh = FreshWeights::new(11, deviation, &Device::Cpu);
    let loader = VariableLoader::new(&fresh);
    let llama = Llama::load(&loader, config, &Device::Cpu).unwrap();
    (Arc::new(llama), loader.into_parameters())
}

/// A fresh adapter with dropout on the shipped model with random weights.
fn adapted(dropout: f64) -> (Arc<Llama>, Adapters, Parameters) {
    let (llama, adapters) = model(&root().join("fixtures/models/tiny-llama"), WeightOptions::default());
    let targets = Targets::Named(ALL_LINEAR.into());
    adapters.add("a", &LoraConfig { rank: 4, dropout, targets, ..LoraConfig::default() }, 5).unwrap();
    let parameters = adapters.parameters("a").unwrap();
    (llama, adapters, parameters)
}

fn bits(parameters: &Parameters) -> Vec<u32> {
    parameters.iter().flat_map(|(_, variable)| values(variable.as_tensor())).map(f32::to_bits).collect()
}

fn options() -> TrainerOptions {
    TrainerOptions {
        epochs: 3.0,
        batch: 2,
        accumulate: 2,
        by_length: true,
        learning_rate: 3e-3,
        schedule: Schedule::Cosine { cycles: 0.5 },
        warmup: Warmup::Ratio(0.1),
        evaluate_every: 3,
        evaluate_first: true,
        evaluation_batch: 4,
        save_every: 2,
        ..TrainerOptions::default()
    }
}

fn fit(
    objective: &SftObjective,
    parameters: &Parameters,
    options: &TrainerOptions,
    run: Option<&Path>,
    stop_after: Option<u64>,
) -> Result<TrainSummary, TrainingError> {
    let (train, held_out) = (SftDataset::new(examples(23)), SftDataset::new(examples(31).split_off(23)));
    let trainer = Trainer { objective, train: &train, evaluation: vec![("dev".into(), &held_out)], options };
    let folder = run.map(|path| {
        RunDir::open(path).unwrap_or_else(|_| {
            let run = RunDir::create(path).unwrap();
            run.write_config(options).unwrap();
            run
        })
    });
    trainer.run(parameters, folder.as_ref(), true, &mut |event| match event {
        TrainEvent::Started { step: 0, .. } if stop_after == Some(0) => Ok(Control::Stop),
        TrainEvent::Step(step) if Some(step.step) == stop_after => Ok(Control::Stop),
        _ => Ok(Control::Continue),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Interrupted at any step (even twice) and resumed by a new process's worth of fresh objects: the same bits.
    #[test]
    fn an_interrupted_run_ends_like_an_uninterrupted_one(first in 0u64..17, second in 1u64..18) {
        let scratch = tempfile::tempdir().unwrap();
        let whole = {
            let (llama, adapters, parameters) = adapted(0.2);
            let objective = SftObjective::new(llama, Some(adapters));
            fit(&objective, &parameters, &options(), Some(&scratch.path().join("whole")), None).unwrap();
            bits(&parameters)
        };
        let folder = scratch.path().join("parts");
        for stop in [Some(first), Some(second), None] {
            let (llama, adapters, parameters) = adapted(0.2);
            let objective = SftObjective::new(llama, Some(adapters));
            let summary = fit(&objective, &parameters, &options(), Some(&folder), stop).unwrap();
            prop_assert_eq!(summary.total_steps, 18);
            if stop.is_none() {
                prop_assert_eq!(summary.end, End::Finished);
                prop_assert!(bits(&parameters) == whole, "resumed after {} and {} differs", first, second);
            }
        }
    }
}

/// Pruning a trial rests on it: what is seen in an evaluation ends the run there.
#[test]
fn an_evaluation_may_end_a_run() {
    let (llama, adapters, parameters) = adapted(0.0);
    let objective = SftObjective::new(llama, Some(adapters));
    let options = TrainerOptions { evaluate_every: 4, ..options() };
    let (train, held_out) = (SftDataset::new(examples(23)), SftDataset::new(examples(31).split_off(23)));
    let trainer = Trainer {
        objective: &objective,
        train: &train,
        evaluation: vec![("dev".into(), &held_out)],
        options: &options,
    };
    for stop_at in [0, 8] {
        let summary = trainer.run(&parameters, None, false, &mut |event| match event {
            TrainEvent::Evaluation(evaluation) if evaluation.step == stop_at => Ok(Control::Stop),
            _ => Ok(Control::Continue),
        });
        let summary = summary.unwrap();
        assert_eq!((summary.end, summary.steps), (End::Stopped, stop_at));
    }
}

/// Killed between the last step's checkpoint and the evaluation that ends the run: resumed, it is evaluated, and resumed once more nothing happens.
#[test]
fn a_run_that_was_killed_after_its_last_step_is_evaluated_yet() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = RunDir::create(&scratch.path().join("run")).unwrap();
    let options = TrainerOptions { evaluate_first: false, evaluate_every: 100, save_every: 18, ..options() };
    let (train, held_out) = (SftDataset::new(examples(23)), SftDataset::new(examples(31).split_off(23)));
    let run = |is_killed: bool| {
        let (llama, adapters, parameters) = adapted(0.0);
        let objective = SftObjective::new(llama, Some(adapters));
        let evaluation = vec![("dev".into(), &held_out)];
        let trainer = Trainer { objective: &objective, train: &train, evaluation, options: &options };
        let mut evaluated = Vec::new();
        let summary = trainer.run(&parameters, Some(&folder), true, &mut |event| match event {
            TrainEvent::Saved { step: 18, .. } if is_killed => Err(TrainingError::Objective("killed".into())),
            TrainEvent::Evaluation(evaluation) => {
                evaluated.push((evaluation.step, evaluation.examples, evaluation.batches));
                Ok(Control::Continue)
            }
            _ => Ok(Control::Continue),
        });
        (summary, evaluated)
    };
    assert!(run(true).0.is_err());
    let (resumed, evaluated) = run(false);
    let resumed = resumed.unwrap();
    assert_eq!((resumed.end, resumed.tokens_of_call, &evaluated[..]), (End::Finished, 0, &[(18, 8, 2)][..]));
    let (again, evaluated) = run(false);
    let again = again.unwrap();
    assert_eq!((again.loss, again.best, evaluated.len()), (resumed.loss, resumed.best, 0));
    assert!(again.loss.is_some() && again.best.is_some());
}

#[test]
fn a_run_of_all_weights_resumes_too() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |folder: &str, stops: &[Option<u64>]| {
        let mut last = Vec::new();
        for stop in stops {
            let (llama, parameters) = trainable(config(), 0.05);
            fit(&SftObjective::new(llama, None), &parameters, &options(), Some(&scratch.path().join(folder)), *stop)
                .unwrap();
            last = bits(&parameters);
        }
        last
    };
    assert_eq!(run("parts", &[Some(5), None]), run("whole", &[None]));
}

/// A resumed run keeps its settings and data.
#[test]
fn other_settings_do_not_resume() {
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("run");
    let (llama, parameters) = trainable(config(), 0.05);
    let objective = SftObjective::new(llama, None);
    fit(&objective, &parameters, &options(), Some(&run), Some(2)).unwrap();
    let other = TrainerOptions { learning_rate: 1e-3, ..options() };
    let error = fit(&objective, &parameters, &other, Some(&run), None).unwrap_err().to_string();
    assert!(error.starts_with("resume: the settings or the data"), "{error}");
}

/// Two micro-batches of four give the step of one batch of eight, as exactly as f32 sums in another order can.
#[test]
fn accumulated_micro_batches_are_one_batch() {
    let run = |batch, accumulate| {
        let (llama, parameters) = trainable(config(), 0.05);
        let options = TrainerOptions {
            batch,
            accumulate,
            shuffle: false,
            max_steps: Some(5),
            learning_rate: 1e-3,
            ..TrainerOptions::default()
        };
        fit(&SftObjective::new(llama, None), &parameters, &options, None, None).unwrap();
        parameters.iter().flat_map(|(_, variable)| values(variable.as_tensor())).collect::<Vec<f32>>()
    };
    close("2 x 4 and 1 x 8", &run(4, 2), &run(8, 1), 2e-6, 1e-5);
}

#[test]
fn a_loss_that_is_not_finite_names_step_and_batch() {
    let (llama, parameters) = trainable(config(), 0.05);
    let options = TrainerOptions { learning_rate: 1e30, clip: None, ..options() };
    let error = fit(&SftObjective::new(llama, None), &parameters, &options, None, None).unwrap_err();
    let TrainingError::NotFinite { step, micro_batch, ref examples, .. } = error else { panic!("{error}") };
    assert!(step >= 2 && (1..=2).contains(&micro_batch) && examples.len() <= 2);
    assert!(error.to_string().contains("lower the learning rate"), "{error}");
}

#[test]
fn a_parameter_without_gradient_is_an_error() {
    let (llama, mut parameters) = trainable(config(), 0.05);
    parameters.insert("stray", Var::zeros(3, DType::F32, &Device::Cpu).unwrap()).unwrap();
    let error = fit(&SftObjective::new(llama, None), &parameters, &options(), None, None).unwrap_err();
    assert!(error.to_string().contains("`stray`"), "{error}");
}

/// With a rate that soon makes things worse the run ends early, and the best values are put back.
#[test]
fn early_stopping_keeps_the_best() {
    let scratch = tempfile::tempdir().unwrap();
    let (llama, parameters) = trainable(config(), 0.05);
    let options = TrainerOptions {
        learning_rate: 0.3,
        clip: None,
        schedule: Schedule::Constant,
        warmup: Warmup::Steps(0),
        max_steps: Some(200),
        evaluate_every: 1,
        save_every: 10,
        patience: 4,
        keep: 1,
        divergence_factor: 0.0,
        ..options()
    };
    let objective = SftObjective::new(llama, None);
    let summary = fit(&objective, &parameters, &options, Some(&scratch.path().join("run")), None).unwrap();
    let best = summary.best.unwrap();
    assert_eq!(summary.end, End::Early);
    assert_eq!(summary.steps, best.step + 4);
    let held_out = SftDataset::new(examples(31).split_off(23));
    let trainer = Trainer { objective: &objective, train: &held_out, evaluation: Vec::new(), options: &options };
    assert_eq!(trainer.evaluate(&held_out).unwrap().loss, best.loss);
    let kept = std::fs::read_dir(scratch.path().join("run/checkpoints")).unwrap().count();
    assert_eq!(kept, 2, "the best and the last");
}

/// The loss falls, and a rule is learned.
#[test]
fn a_small_model_learns_a_rule() {
    let (llama, parameters) = trainable(config(), 0.05);
    let options = TrainerOptions { max_steps: Some(150), learning_rate: 1e-2, evaluate_every: 50, ..options() };
    let summary = fit(&SftObjective::new(llama, None), &parameters, &options, None, None).unwrap();
    assert!(summary.best.unwrap().loss < 0.3, "{summary:?}");
}

/// Gives the parameters of a model as f64 variables.
struct Wide {
    values: BTreeMap<String, Tensor>,
}

impl LinearLoader for Wide {
    fn linear(&self, name: &str, _: usize, _: usize) -> Result<Arc<dyn Linear>, Error> {
        Ok(Arc::new(DenseLinear::new(self.values[&format!("{name}.weight")].clone(), None)?))
    }

    fn tensor(&self, name: &str, _: &[usize]) -> Result<Tensor, Error> {
        Ok(self.values[name].clone())
    }

    fn embedding(&self, name: &str, _: usize, _: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.values[&format!("{name}.weight")].clone()))
    }

    fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

fn batch() -> lora::SftBatch {
    SftDataset::new(examples(6)).batch(&[0, 1, 2, 3, 4, 5]).unwrap()
}

/// Mean loss of the batch for f64 values of all parameters.
fn wide_loss(values: BTreeMap<String, Tensor>, config: &LlamaConfig) -> Tensor {
    let llama = Llama::load(&Wide { values }, config.clone(), &Device::Cpu).unwrap();
    let batch = batch();
    let objective = SftObjective::new(Arc::new(llama), None);
    let log_probs = objective.log_probs(&batch, &Pass::evaluation()).unwrap();
    log_probs.mean_all().unwrap().neg().unwrap()
}

/// Every parameter of the Llama, with tied and with untied head: our kernels' gradient, that of the f64 graph, and central differences
/// of the f64 loss along a random direction agree; none is zero. Gradient checkpointing gives the same bits.
#[test]
fn every_parameter_of_the_llama_gets_its_gradient() {
    for tied_head in [false, true] {
        let config = LlamaConfig { tied_head, sliding_window: Some(6), ..config() };
        let (llama, parameters) = trainable(config.clone(), 0.3);
        let objective = SftObjective::new(llama, None);
        let batch = batch();
        let narrow = gradients(&objective, &parameters, &batch, false);
        assert_eq!(narrow, gradients(&objective, &parameters, &batch, true), "checkpointed");

        let wide: BTreeMap<String, Var> = parameters
            .iter()
            .map(|(name, variable)| {
                let value = variable.as_detached_tensor().to_dtype(DType::F64).unwrap();
                (name.to_owned(), Var::from_tensor(&value).unwrap())
            })
            .collect();
        let tensors = wide.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        let store = wide_loss(tensors, &config).backward().unwrap();
        for (name, variable) in &wide {
            let exact = store.get(variable).unwrap_or_else(|| panic!("{name} has no gradient")).detach();
            let scale = values(&exact).iter().map(|value| value.abs()).fold(0.0, f32::max);
            assert!(scale > 0.0, "the gradient of {name} is zero");
            close(name, &narrow[name], &values(&exact), 2e-4 * scale, 1e-3);
            check_direction(name, &exact, &wide, &config);
        }
    }
}

fn check_direction(name: &str, gradient: &Tensor, parameters: &BTreeMap<String, Var>, config: &LlamaConfig) {
    const STEP: f64 = 1e-5;
    let direction: Vec<f64> = normal_values(3, name, gradient.elem_count(), 1.0).into_iter().map(f64::from).collect();
    let direction = Tensor::from_vec(direction, gradient.shape(), &Device::Cpu).unwrap();
    let at = |step: f64| {
        let moved = parameters.iter().map(|(other, variable)| {
            let value = variable.as_detached_tensor();
            let value = if other == name { (value + (&direction * step).unwrap()).unwrap() } else { value };
            (other.clone(), value)
        });
        wide_loss(moved.collect(), config).to_scalar::<f64>().unwrap()
    };
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    let expected = (gradient * direction).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
    assert!((slope - expected).abs() <= 1e-6 + 1e-5 * expected.abs(), "{name}: {slope} is not {expected}");
}

fn gradients(
    objective: &SftObjective,
    parameters: &Parameters,
    batch: &lora::SftBatch,
    checkpointed: bool,
) -> BTreeMap<String, Vec<f32>> {
    let checkpoints = checkpointed.then(Checkpoints::default);
    let pass = Pass::training(DropoutPass { seed: 1, pass: 4 }, checkpoints);
    let parts = objective.loss(batch, &pass).unwrap();
    let mut sums = training::Gradients::default();
    sums.add(parameters, &parts.sum.backward().unwrap()).unwrap();
    for store in pass.checkpoints.iter().map(Checkpoints::take) {
        sums.add(parameters, &store).unwrap();
    }
    sums.scale(1.0 / parts.weight).unwrap();
    parameters.iter().map(|(name, _)| (name.to_owned(), values(sums.get(name).unwrap()))).collect()
}

/// LoRA and DoRA on every linear layer: coverage after the first step (before it `A` has none, as `B` is 0), and central differences in
/// f32 along random directions; with dropout, whose masks repeat.
#[test]
fn every_parameter_of_an_adapter_gets_its_gradient() {
    for use_dora in [false, true] {
        let (llama, adapters) = model(&root().join("fixtures/models/tiny-llama"), WeightOptions::default());
        let targets = Targets::Named(ALL_LINEAR.into());
        let config = LoraConfig { rank: 4, dropout: 0.1, targets, use_dora, ..LoraConfig::default() };
        adapters.add("a", &config, 5).unwrap();
        let parameters = adapters.parameters("a").unwrap();
        for (name, variable) in parameters.iter().filter(|(name, _)| name.contains("lora_B")) {
            let value = normal_values(1, name, variable.elem_count(), 0.3);
            variable.set(&Tensor::from_vec(value, variable.shape(), &Device::Cpu).unwrap()).unwrap();
        }
        let objective = SftObjective::new(llama, Some(adapters));
        let batch = batch();
        let exact = gradients(&objective, &parameters, &batch, false);
        assert_eq!(exact, gradients(&objective, &parameters, &batch, true), "checkpointed");
        for (name, variable) in parameters.iter() {
            assert!(exact[name].iter().any(|value| *value != 0.0), "{name}");
            // DoRA holds the norms constant in the backward pass, so A and B there are not the slope of the loss.
            if !use_dora || name.contains("magnitude") {
                check_slope(&objective, name, variable, &exact[name], &batch);
            }
        }
    }
}

fn check_slope(objective: &SftObjective, name: &str, variable: &Var, gradient: &[f32], batch: &lora::SftBatch) {
    let before = variable.as_detached_tensor().copy().unwrap();
    let direction =
        Tensor::from_vec(normal_values(2, name, gradient.len(), 1.0), variable.shape(), &Device::Cpu).unwrap();
    let step = 2e-4;
    let at = |step: f64| {
        variable.set(&(&before + (&direction * step).unwrap()).unwrap()).unwrap();
        let pass = Pass::training(DropoutPass { seed: 1, pass: 4 }, None);
        let log_probs = objective.log_probs(batch, &pass).unwrap();
        values(&log_probs).iter().map(|value| -f64::from(*value)).sum::<f64>() / batch.targets.len() as f64
    };
    let slope = (at(step) - at(-step)) / (2.0 * step);
    variable.set(&before).unwrap();
    let expected: f64 = values(&direction).iter().zip(gradient).map(|(d, g)| f64::from(d * g)).sum();
    assert!((slope - expected).abs() <= 2e-3 * (1.0 + expected.abs()), "{name}: {slope} is not {expected}");
}

/// One linear layer of any kind.
struct One(Arc<dyn Linear>);

impl LinearLoader for One {
    fn linear(&self, _: &str, _: usize, _: usize) -> Result<Arc<dyn Linear>, Error> {
        Ok(self.0.clone())
    }

    fn tensor(&self, name: &str, _: &[usize]) -> Result<Tensor, Error> {
        Err(Error::Invalid(name.into()))
    }

    fn embedding(&self, name: &str, _: usize, _: usize) -> Result<Embedding, Error> {
        Err(Error::Invalid(name.into()))
    }

    fn contains(&self, _: &str) -> bool {
        false
    }
}

/// QLoRA: over a quantised base all gradients (input, A, B, magnitude's norms) equal those over the dense dequantised weight.
#[test]
fn gradients_over_a_quantised_base_are_those_over_the_dequantised_one() {
    let device = Device::Cpu;
    let random = |name: &str, shape: (usize, usize)| {
        Tensor::from_vec(normal_values(9, name, shape.0 * shape.1, 0.5), shape, &device).unwrap()
    };
    for dtype in [GgmlDType::Q4_0, GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q8_0] {
        let quantised = Arc::new(QTensor::quantize(&random("weight", (64, 256)), dtype).unwrap());
        let dense = quantised.dequantize(&device).unwrap();
        let run = |base: Arc<dyn Linear>| {
            let adapters = Adapters::new();
            let layer = adapters.wrap(&One(base)).linear("q_proj", 256, 64).unwrap();
            adapters.add("a", &LoraConfig::default(), 1).unwrap();
            let parameters = adapters.parameters("a").unwrap();
            let b = parameters.get("base_model.model.q_proj.lora_B.weight").unwrap();
            b.set(&random("b", (64, 8))).unwrap();
            adapters.set_mode(Mode::Train(DropoutPass { seed: 1, pass: 1 }));
            let x = Var::from_tensor(&random("x", (7, 256))).unwrap();
            let y = layer.forward(x.as_tensor()).unwrap();
            let store = (y * random("g", (7, 64))).unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = vec![values(store.get(&x).unwrap())];
            all.extend(parameters.iter().map(|(_, variable)| values(store.get(variable).unwrap())));
            all
        };
        let over_quantised = run(Arc::new(QuantLinear::new(quantised, None).unwrap()));
        let over_dense = run(Arc::new(DenseLinear::new(dense, None).unwrap()));
        for (left, right) in over_quantised.iter().zip(&over_dense) {
            close(&format!("{dtype:?}"), left, right, 1e-5, 1e-5);
        }
    }
}
