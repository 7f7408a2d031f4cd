//! The objective of crate `dpo` over a Llama with LoRA, against TRL: log-probabilities, losses, metrics, gradients, three steps. It stands here because it needs both
//! crates, and neither may import the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use dpo::{
    Divergence, EncodedPair, Loss, LossMix, PairBatch, PairDataset, Passes, Preference, PreferenceObjective,
    PreferenceOptions, ReferenceLogProbs, Rules, WeightedLoss,
};
use golden_files::family;
use llm_runtime::{Checkpoints, DropoutPass, Llama, WeightOptions};
use lora::{AdaptedLlama, Adapters};
use serde_json::Value;
use training::{
    AdamWOptions, Continuations, Control, Dataset, Gradients, Objective, Parameters, Pass, Schedule, SequenceModel,
    TrainEvent, Trainer, TrainerOptions, Warmup,
};

const ADAPTER: &str = "golden";

struct Golden {
    folder: PathBuf,
    pairs: Vec<Arc<EncodedPair>>,
    end_to_end: Value,
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    fn open() -> Option<Self> {
        let folder = family("dpo")?;
        let ids = |value: &Value| value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
        let pair = |value: &Value| {
            let (prompt, chosen, rejected) = (&value["prompt_ids"], &value["chosen_ids"], &value["rejected_ids"]);
            Arc::new(EncodedPair { prompt: ids(prompt), chosen: ids(chosen), rejected: ids(rejected) })
        };
        let pairs = json(&folder.join("pairs.json"))["pairs"].as_array().unwrap().iter().map(pair).collect();
        let end_to_end = json(&folder.join("e2e.json"));
        let tensors = candle_core::safetensors::load(folder.join("e2e.safetensors"), &Device::Cpu).unwrap();
        Some(Self { folder, pairs, end_to_end, tensors })
    }

    fn model(&self) -> (Arc<Llama>, Adapters) {
        let adapters = Adapters::new();
        let build = Llama::open_through(
            &self.folder.join("base"),
            WeightOptions::default(),
            &Device::Cpu,
            &|loader, config, device| Llama::load(&adapters.wrap(loader), config, device),
        );
        adapters.load(ADAPTER, &self.folder.join("adapter")).unwrap();
        (Arc::new(build.unwrap()), adapters)
    }

    /// The objective, and what is trained.
    fn objective(&self, options: PreferenceOptions) -> (PreferenceObjective<AdaptedLlama>, Parameters) {
        let (llama, adapters) = self.model();
        let policy = AdaptedLlama::new(llama.clone(), &adapters, &[ADAPTER]).unwrap();
        let reference = AdaptedLlama::new(llama, &adapters, &[]).unwrap();
        let objective = PreferenceObjective::new(policy, Some(Arc::new(reference)), options, &Device::Cpu).unwrap();
        (objective, adapters.parameters(ADAPTER).unwrap())
    }

    fn batch(&self) -> PairBatch {
        let set = PairDataset::new(self.pairs.clone());
        set.batch(&(0..self.pairs.len()).collect::<Vec<_>>()).unwrap()
    }

    fn beta(&self) -> f64 {
        self.end_to_end["beta"].as_f64().unwrap()
    }

    /// A row of log-probabilities without its zeros outside the completion.
    fn row(&self, name: &str, row: usize) -> Vec<f32> {
        let values = self.tensors[name].to_vec2::<f32>().unwrap();
        values[row].iter().copied().filter(|value| *value != 0.0).collect()
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let bound = tolerance * (1.0 + expected.abs());
    assert!((found - expected).abs() <= bound, "{what}: {found}, expected {expected}");
}

fn training() -> Pass {
    Pass::training(DropoutPass { seed: 1, pass: 0 }, None)
}

/// Gradients of a batch's mean loss.
fn gradients(
    objective: &PreferenceObjective<AdaptedLlama>,
    parameters: &Parameters,
    batch: &PairBatch,
    pass: &Pass,
) -> Gradients {
    let parts = objective.loss(batch, pass).unwrap();
    let mut gradients = Gradients::default();
    gradients.add(parameters, &(parts.sum / parts.weight).unwrap().backward().unwrap()).unwrap();
    for store in pass.checkpoints.iter().chain([&pass.sections]).map(Checkpoints::take) {
        gradients.add(parameters, &store).unwrap();
    }
    gradients
}

#[test]
fn golden_dpo_token_log_probs() {
    let Some(golden) = Golden::open() else { return };
    let (llama, adapters) = golden.model();
    let pairs = golden.pairs.len();
    for (name, active) in [("policy_token_logps", &[ADAPTER][..]), ("ref_token_logps", &[])] {
        let view = AdaptedLlama::new(llama.clone(), &adapters, active).unwrap();
        for (number, pair) in golden.pairs.iter().enumerate() {
            let batch = [Continuations { context: &pair.prompt, sequences: vec![&pair.chosen, &pair.rejected] }];
            let found = view.token_log_probs(&batch, &Pass::evaluation()).unwrap().to_vec1::<f32>().unwrap();
            let expected = [golden.row(name, number), golden.row(name, pairs + number)].concat();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                close(name, f64::from(*found), f64::from(*expected), 1e-5);
            }
        }
    }
}

/// TRL divides by the number of micro-batches; here one batch is a step.
#[test]
fn golden_dpo_three_steps() {
    let Some(golden) = Golden::open() else { return };
    for passes in [Passes::One, Passes::ByPair, Passes::BySequence] {
        let preference = Preference { beta: golden.beta(), ..Preference::default() };
        let options = PreferenceOptions { preference, passes, ..PreferenceOptions::default() };
        let (objective, parameters) = golden.objective(options);
        let found = gradients(&objective, &parameters, &golden.batch(), &training());
        for (name, expected) in
            golden.tensors.iter().filter_map(|(key, value)| Some((key.strip_prefix("grad1.")?, value)))
        {
            compare(name, found.get(name).unwrap(), expected, 1e-5, 1e-4);
        }
        let settings = &golden.end_to_end;
        let trainer_options = TrainerOptions {
            max_steps: settings["steps"].as_u64(),
            batch: golden.pairs.len(),
            shuffle: false,
            learning_rate: number(&settings["lr"]),
            schedule: Schedule::Constant,
            warmup: Warmup::Steps(0),
            clip: Some(number(&settings["max_grad_norm"])),
            adamw: AdamWOptions { weight_decay: number(&settings["weight_decay"]), ..AdamWOptions::default() },
            log_every: 1,
            ..TrainerOptions::default()
        };
        let set = PairDataset::new(golden.pairs.clone());
        let trainer = Trainer { objective: &objective, train: &set, evaluation: Vec::new(), options: &trainer_options };
        let mut steps = Vec::new();
        trainer
            .run(&parameters, None, false, &mut |event| {
                if let TrainEvent::Step(step) = event {
                    steps.push(step.clone());
                }
                Ok(Control::Continue)
            })
            .unwrap();
        let result = &settings["result"];
        assert_eq!(steps.len(), result["losses"].as_array().unwrap().len());
        for (place, step) in steps.iter().enumerate() {
            close("loss", step.loss, number(&result["losses"][place]), 1e-5);
            close("norm", step.gradient_norm, number(&result["grad_norms_before_clip"][place]), 1e-4);
            let own: HashMap<&str, f64> = step.metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            for (name, values) in result["metrics"].as_object().unwrap() {
                match name.as_str() {
                    "num_tokens" => {}
                    "mean_token_accuracy" => {
                        let mean = (own["token_accuracy/chosen"] + own["token_accuracy/rejected"]) / 2.0;
                        close(name, mean, number(&values[place]), 1e-4);
                    }
                    name => close(name, own[name], number(&values[place]), 1e-4),
                }
            }
        }
        for (name, expected) in
            golden.tensors.iter().filter_map(|(key, value)| Some((key.strip_prefix("weight3.")?, value)))
        {
            let (_, variable) = parameters.iter().find(|(own, _)| *own == name).unwrap();
            compare(name, variable.as_tensor(), expected, 2e-5, 0.0);
        }
    }
}

fn compare(name: &str, found: &Tensor, expected: &Tensor, absolute: f32, relative: f32) {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (found, expected) in values(found).iter().zip(&values(expected)) {
        let bound = absolute + relative * expected.abs();
        assert!((found - expected).abs() <= bound, "{name}: {found}, expected {expected}");
    }
}

/// The loss of one batch with other objectives, as TRL 1 gives it.
#[test]
fn golden_dpo_variants_of_the_batch() {
    let Some(golden) = Golden::open() else { return };
    for variant in golden.end_to_end["variants"].as_array().unwrap() {
        let config = &variant["config"];
        let names = config["loss_types"].as_array().unwrap();
        let part = |(place, name): (usize, &Value)| WeightedLoss {
            loss: trl_loss(name.as_str().unwrap()),
            weight: config["loss_weights"].get(place).map_or(1.0, number),
        };
        let preference = Preference {
            losses: LossMix::new(names.iter().enumerate().map(part).collect()).unwrap(),
            beta: number(&variant["beta"]),
            label_smoothing: config.get("label_smoothing").map_or(0.0, number),
            divergence: config.get("f_divergence_type").map_or(Divergence::ReverseKl, divergence),
            rules: Rules::Trl1,
            ..Preference::default()
        };
        let options = PreferenceOptions {
            preference,
            ld_alpha: config.get("ld_alpha").map(number),
            wpo: config.get("use_weighting").is_some_and(|value| value.as_bool().unwrap()),
            ..PreferenceOptions::default()
        };
        let (objective, _) = golden.objective(options);
        let parts = objective.loss(&golden.batch(), &Pass::evaluation()).unwrap();
        let loss = f64::from(parts.sum.to_scalar::<f32>().unwrap()) / parts.weight;
        close(&config.to_string(), loss, number(&variant["loss"]), 1e-5);
    }
}

/// Losses and metrics of the batch by TRL 0.11.1, whose rules are the default. Its `logits` are means over prompts and padding too, which do not exist here.
#[test]
fn golden_dpo_batch_of_the_older_version() {
    let Some(golden) = Golden::open() else { return };
    for result in json(&golden.folder.join("e2e_trl0.11.1.json"))["results"].as_array().unwrap() {
        let loss = trl_loss(result["loss_type"].as_str().unwrap());
        let preference = Preference {
            beta: number(&result["beta"]),
            label_smoothing: number(&result["label_smoothing"]),
            rpo_alpha: result["rpo_alpha"].as_f64(),
            ..Preference::from(loss)
        };
        let (objective, _) = golden.objective(PreferenceOptions { preference, ..PreferenceOptions::default() });
        let parts = objective.loss(&golden.batch(), &Pass::evaluation()).unwrap();
        let what = format!("{} {}", result["loss_type"], result["rpo_alpha"]);
        let found = f64::from(parts.sum.to_scalar::<f32>().unwrap()) / parts.weight;
        close(&what, found, number(&result["loss"]), 1e-5);
        for (name, expected) in result["metrics"].as_object().unwrap() {
            if name.starts_with("logits/") {
                continue;
            }
            let metric = parts.metrics.iter().find(|metric| metric.name == name).unwrap();
            close(&format!("{what} {name}"), metric.sum / metric.weight, number(expected), 1e-4);
        }
    }
}

#[test]
fn golden_dpo_perplexities() {
    let Some(golden) = Golden::open() else { return };
    let (objective, _) = golden.objective(PreferenceOptions::default());
    let scores = objective.evaluate(&mut std::iter::once(Ok(golden.batch()))).unwrap();
    let own = |name: &str| scores.metrics.iter().find(|(own, _)| own == name).unwrap().1;
    for (name, expected) in golden.end_to_end["perplexity_completion_tokens"].as_object().unwrap() {
        let (model, side) = name.split_once('_').unwrap();
        let model = if model == "ref" { "reference" } else { model };
        close(name, own(&format!("perplexity_{model}/{side}")), number(expected), 1e-4);
        close(name, own(&format!("perplexity_{model}_tokens/{side}")), number(expected), 1e-4);
    }
}

/// What the reference said before, kept in a file, is what it says now.
#[test]
fn golden_dpo_reference_from_a_file() {
    let Some(golden) = Golden::open() else { return };
    let (llama, adapters) = golden.model();
    let reference = AdaptedLlama::new(llama, &adapters, &[]).unwrap();
    let computed = ReferenceLogProbs::compute(&reference, &golden.pairs, 3, &mut |_| {}).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let path = ReferenceLogProbs::file(scratch.path(), "golden", &golden.pairs);
    assert_eq!(ReferenceLogProbs::read(&path, &golden.pairs).unwrap(), None);
    computed.write(&path).unwrap();
    let read = ReferenceLogProbs::read(&path, &golden.pairs).unwrap().unwrap();
    assert_eq!(read, computed);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    let error = ReferenceLogProbs::read(&path, &golden.pairs[1..]).unwrap_err().to_string();
    assert!(error.contains("are not those of the pairs"), "{error}");

    let (objective, parameters) = golden.objective(PreferenceOptions::default());
    let known = PairDataset::new(golden.pairs.clone()).with_reference(read);
    let known = known.batch(&(0..golden.pairs.len()).collect::<Vec<_>>()).unwrap();
    let live = gradients(&objective, &parameters, &golden.batch(), &training());
    let kept = gradients(&objective, &parameters, &known, &training());
    for (name, _) in parameters.iter() {
        compare(name, kept.get(name).unwrap(), live.get(name).unwrap(), 1e-6, 1e-5);
    }
}

/// Checkpointed layers within sections, and dropout: gradients are those of one pass with all kept where masks are the same.
#[test]
fn golden_dpo_sections_with_checkpointed_layers() {
    let Some(golden) = Golden::open() else { return };
    let of = |passes, is_checkpointed: bool| {
        let options = PreferenceOptions { passes, ..PreferenceOptions::default() };
        let (objective, parameters) = golden.objective(options);
        let pass = Pass::training(DropoutPass { seed: 1, pass: 0 }, is_checkpointed.then(Checkpoints::default));
        (gradients(&objective, &parameters, &golden.batch(), &pass), parameters)
    };
    let (plain, parameters) = of(Passes::One, false);
    for passes in [Passes::One, Passes::ByPair, Passes::BySequence] {
        let (found, _) = of(passes, true);
        for (name, _) in parameters.iter() {
            compare(name, found.get(name).unwrap(), plain.get(name).unwrap(), 1e-6, 1e-4);
        }
    }
}

fn trl_loss(name: &str) -> Loss {
    // TRL 0.11.1 calls `aot_pair` what is `aot_unpaired` later.
    let name = match name {
        "aot_pair" => "aot_unpaired",
        name => name,
    };
    let own = |loss: &Loss| {
        let own = loss.name().replace('-', "_");
        own == name || format!("{own}_pair") == name || format!("{own}_hard") == name
    };
    Loss::ALL.into_iter().find(own).unwrap_or_else(|| panic!("no loss for {name}"))
}

fn divergence(value: &Value) -> Divergence {
    match value.as_str().unwrap() {
        "js_divergence" => Divergence::Js,
        "forward_kl" => Divergence::ForwardKl,
        "alpha_divergence" => Divergence::Alpha(0.5),
        other => panic!("{other}"),
    }
}
