//! Every trained weight gets its gradient, with dropout on.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use llm_runtime::{DenseLinear, DropoutPass, Embedding, Error, Linear, LinearLoader, ops};
use text_encoder::{Architecture, EncoderBatch, EncoderConfig, SequenceClassifier};
use training::Pass;

use crate::small::{config, sequence, trainable, values};

const CLASSES: usize = 5;

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

    fn embedding(&self, name: &str, _: usize, _: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.values[&format!("{name}.weight")].clone()))
    }

    fn contains(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

fn batch(config: &EncoderConfig) -> EncoderBatch {
    let mut batch = EncoderBatch::new();
    for (number, length) in [9, 4, 12, 1].into_iter().enumerate() {
        let kinds: Vec<u32> = (0..length).map(|place| u32::from(place > 3)).collect();
        let kinds = if config.type_vocabulary_size > 1 { kinds } else { Vec::new() };
        batch.push_segments(&sequence(number, length), &kinds);
    }
    batch
}

/// Mean cross-entropy with the dropout masks of one pass.
fn loss(model: &SequenceClassifier, config: &EncoderConfig) -> Tensor {
    let pass = Pass::training(DropoutPass { seed: 1, pass: 4 }, None);
    let logits = model.logits(&batch(config), &pass).unwrap();
    let labels = Tensor::new(&[3u32, 0, 4, 1], &Device::Cpu).unwrap();
    ops::log_probs_of(&logits, &labels).unwrap().mean_all().unwrap().neg().unwrap()
}

fn wide_loss(values: BTreeMap<String, Tensor>, config: &EncoderConfig) -> Tensor {
    loss(&SequenceClassifier::load(&Wide { values }, config, CLASSES, &Device::Cpu).unwrap(), config)
}

/// Our kernels' gradient, that of the f64 graph, and central differences of the f64 loss along a random direction agree; none is zero
/// but those of the keys' biases: they add the same number to all scores of a query, which softmax does not see.
#[test]
fn every_weight_gets_its_gradient() {
    for architecture in [Architecture::Bert, Architecture::Roberta] {
        let config = EncoderConfig { classifier_dropout: Some(0.2), ..config(architecture) };
        let (model, parameters) = trainable(&config, CLASSES);
        let store = loss(&model, &config).backward().unwrap();
        let wide: BTreeMap<String, Var> = parameters
            .iter()
            .map(|(name, variable)| {
                let value = variable.as_detached_tensor().to_dtype(DType::F64).unwrap();
                (name.to_owned(), Var::from_tensor(&value).unwrap())
            })
            .collect();
        let tensors = wide.iter().map(|(name, variable)| (name.clone(), variable.as_tensor().clone())).collect();
        let wide_store = wide_loss(tensors, &config).backward().unwrap();
        for (name, variable) in parameters.iter() {
            let narrow = values(store.get(variable).unwrap_or_else(|| panic!("{name} has no gradient")));
            let exact = wide_store.get(&wide[name]).unwrap().detach();
            let scale = values(&exact).iter().map(|value| value.abs()).fold(0.0, f64::max);
            match name.ends_with("key.bias") {
                true => assert!(scale < 1e-12, "{name}: {scale}"),
                false => assert!(scale > 1e-6, "the gradient of {name} is zero"),
            }
            for (narrow, exact) in narrow.iter().zip(values(&exact)) {
                assert!((narrow - exact).abs() <= 1e-6 + 1e-4 * scale, "{name}: {narrow} is not {exact}");
            }
            check_direction(name, &exact, &wide, &config);
        }
    }
}

fn check_direction(name: &str, gradient: &Tensor, parameters: &BTreeMap<String, Var>, config: &EncoderConfig) {
    const STEP: f64 = 1e-5;
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
    assert!((slope - expected).abs() <= 1e-7 + 1e-5 * expected.abs(), "{name}: {slope} is not {expected}");
}
