//! Every trained weight gets its gradient, with dropout on.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use llm_runtime::{Checkpoints, DenseLinear, DropoutPass, Embedding, Error, Linear, LinearLoader};
use seq2seq::{Activation, Decoder, Encoder, HiddenStates, Seq2SeqBatch, Seq2SeqConfig, Seq2SeqModel, Seq2SeqWeights};
use training::{Gradients, Pass, VariableLoader};

use crate::small::{BOTH, assert_close, batch, config, sequence, trainable, values};

/// Gives a model f64 values.
struct Wide {
    values: BTreeMap<String, Tensor>,
}

impl LinearLoader for Wide {
    fn linear(&self, name: &str, _: usize, _: usize) -> Result<Arc<dyn Linear>, Error> {
        let bias = self.values[&format!("{name}.bias")].clone();
        Ok(Arc::new(DenseLinear::new(self.values[&format!("{name}.weight")].clone(), Some(bias))?))
    }

    fn tensor(&self, name: &str, _: &[usize]) -> Result<Tensor, Error> {
        Ok(self.values[name].clone())
    }

    fn buffer(&self, _: &str, shape: &[usize]) -> Result<Tensor, Error> {
        Ok(Tensor::zeros(shape, DType::F64, &Device::Cpu)?)
    }

    fn embedding(&self, name: &str, _: usize, _: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.values[&format!("{name}.weight")].clone()))
    }

    fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// Ragged inputs and outputs; padding stands among the tokens of an output, as where nothing was asked for.
fn lesson(config: &Seq2SeqConfig) -> Seq2SeqBatch {
    let mut lesson = Seq2SeqBatch::new();
    for (number, (input, output)) in [(9, 6), (4, 1), (12, 8)].into_iter().enumerate() {
        let mut labels: Vec<Option<u32>> = sequence(number + 5, output).into_iter().map(Some).collect();
        if let [_, second, _, ..] = labels.as_mut_slice() {
            *second = None;
        }
        lesson.push(&sequence(number, input), &labels, config.generation.decoder_start_id, config.pad_id);
    }
    lesson
}

/// Mean smoothed cross-entropy with the dropout masks of one pass.
fn loss(model: &Seq2SeqModel, checkpoints: Option<Checkpoints>) -> Tensor {
    let pass = Pass::training(DropoutPass { seed: 1, pass: 4 }, checkpoints);
    model.label_log_probs(&lesson(model.config()), 0.1, &pass).unwrap().mean_all().unwrap().neg().unwrap()
}

fn wide_loss(values: BTreeMap<String, Tensor>, config: &Seq2SeqConfig) -> Tensor {
    loss(&Seq2SeqModel::load(&Wide { values }, config, &Device::Cpu).unwrap(), None)
}

/// Our kernels' gradient, that of the f64 graph, and central differences of the f64 loss along a random direction agree; none is zero
/// but those of the keys' biases: they add the same number to all scores of a query, which softmax does not see. Positions beyond the
/// longest sequence and tokens that nobody says learn from the head alone, or not at all.
#[test]
fn every_weight_gets_its_gradient() {
    for architecture in BOTH {
        for activation in [Activation::Gelu, Activation::Relu] {
            let config = Seq2SeqConfig {
                activation,
                dropout: 0.1,
                attention_dropout: 0.2,
                activation_dropout: 0.15,
                ..config(architecture)
            };
            let small = trainable(&config);
            let store = loss(&small.model, None).backward().unwrap();
            let wide: BTreeMap<String, Var> = small
                .parameters
                .iter()
                .map(|(name, variable)| {
                    let value = variable.as_detached_tensor().to_dtype(DType::F64).unwrap();
                    (name.to_owned(), Var::from_tensor(&value).unwrap())
                })
                .collect();
            let tensors = wide.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
            let wide_store = wide_loss(tensors, &config).backward().unwrap();
            for (name, variable) in small.parameters.iter() {
                let narrow = values(store.get(variable).unwrap_or_else(|| panic!("{name} has no gradient")));
                let exact = wide_store.get(&wide[name]).unwrap().detach();
                let scale = values(&exact).iter().map(|value| value.abs()).fold(0.0, f64::max);
                match name.ends_with("k_proj.bias") {
                    true => assert!(scale < 1e-12, "{name}: {scale}"),
                    false => assert!(scale > 1e-6, "the gradient of {name} is zero"),
                }
                assert_close(name, &narrow, &values(&exact), 1e-6 + 1e-4 * scale);
                // The padding token's row is an input here and gets no gradient as such: differences would see one.
                if name != "model.shared.weight" {
                    check_direction(name, &exact, &wide, &config);
                }
            }
        }
    }
}

fn check_direction(name: &str, gradient: &Tensor, parameters: &BTreeMap<String, Var>, config: &Seq2SeqConfig) {
    const STEP: f64 = 1e-6;
    let direction = training::normal_values(3, &format!("direction/{name}"), gradient.elem_count(), 1.0);
    let direction = Tensor::from_vec(direction, gradient.shape(), &Device::Cpu).unwrap().to_dtype(DType::F64).unwrap();
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
    assert!((slope - expected).abs() <= 1e-6 + 1e-4 * expected.abs(), "{name}: {slope} is not {expected}");
}

/// With dropout on: sections that are computed twice drop the same values twice, and the memory's gradient reaches the encoder.
#[test]
fn checkpointed_layers_give_the_same_gradients() {
    for architecture in BOTH {
        let small = trainable(&Seq2SeqConfig { dropout: 0.1, attention_dropout: 0.2, ..config(architecture) });
        let mut plain = Gradients::default();
        plain.add(&small.parameters, &loss(&small.model, None).backward().unwrap()).unwrap();
        let checkpoints = Checkpoints::default();
        let mut twice = Gradients::default();
        let store = loss(&small.model, Some(checkpoints.clone())).backward().unwrap();
        twice.add(&small.parameters, &store).unwrap();
        twice.add(&small.parameters, &checkpoints.take()).unwrap();
        for (name, _) in small.parameters.iter() {
            assert_close(name, &values(twice.get(name).unwrap()), &values(plain.get(name).unwrap()), 1e-6);
        }
    }
}

/// Three stacks with token tables of their own and no head, as a memory-augmented model has them: each weight of each gets a gradient.
#[test]
fn stacks_alone_are_trained_whole() {
    for architecture in BOTH {
        let config = config(architecture);
        let weights = Seq2SeqWeights::fresh(&config, &Device::Cpu, 7);
        let variables = VariableLoader::new(&weights);
        let encoder = Encoder::load(&variables, &config, "encoder", &Device::Cpu).unwrap();
        let other = Encoder::load(&variables, &config, "strategy_encoder", &Device::Cpu).unwrap();
        let decoder = Decoder::load(&variables, &config, "decoder", &Device::Cpu).unwrap();
        let parameters = variables.into_parameters();
        let pass = Pass::training(DropoutPass { seed: 1, pass: 4 }, None);
        let (context, mask) = encoder.forward(&batch(0, &[4, 7]), &pass).unwrap().padded().unwrap();
        let extra = other.forward(&batch(5, &[3, 3]), &pass).unwrap().first().unwrap().unsqueeze(1).unwrap();
        let both = Tensor::cat(&[&context, &extra], 1).unwrap();
        let mask: Vec<bool> = mask.chunks(7).flat_map(|row| [row, &[true]].concat()).collect();
        let memory = HiddenStates::from_padded(&both, &mask).unwrap();
        let states = decoder.forward(&batch(9, &[5, 2]), &memory, &pass).unwrap();
        // A plain sum would be that of a norm's biases: no gradient would go through.
        let store = states.states().sqr().unwrap().sqr().unwrap().sum_all().unwrap().backward().unwrap();
        assert!(parameters.get("strategy_encoder.embed_tokens.weight").is_some());
        for (name, variable) in parameters.iter() {
            let gradient = store.get(variable).unwrap_or_else(|| panic!("{name} has no gradient"));
            let largest = values(gradient).into_iter().map(f64::abs).fold(0.0, f64::max);
            assert!(largest > 1e-6 || name.ends_with("k_proj.bias"), "the gradient of {name} is zero");
        }
    }
}
