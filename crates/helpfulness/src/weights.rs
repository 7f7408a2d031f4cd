//! Where the values of what is trained come from: a file, or fresh ones.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader, StateDict};
use training::normal_values;

use crate::preference::NAME;
use crate::{HelpfulnessError, NetworkOptions};

/// Gives a model's trained part its values.
///
/// Files of the published code are read too, those of its other variants included (`multi_prefix.prediction`). Fresh values are normal with
/// the deviation of torch's own (1 for places, `1 / √(3 · inputs)` for matrices, 0 for biases).
pub struct TrainedWeights {
    stored: Option<StateDict>,
    seed: u64,
    device: Device,
}

impl TrainedWeights {
    /// From a file or folder, as [`StateDict::open`] has it.
    ///
    /// # Errors
    /// There is no file of weights, or it can't be read.
    pub fn open(path: &Path, device: &Device) -> Result<Self, Error> {
        Ok(Self { stored: Some(StateDict::open(path)?), seed: 0, device: device.clone() })
    }

    /// Fresh values, drawn from `seed`.
    pub fn fresh(seed: u64, device: &Device) -> Self {
        Self { stored: None, seed, device: device.clone() }
    }

    /// The options of the network that a file of the published code holds; `base` says what no tensor does.
    pub(crate) fn published_shape(
        &self,
        base: &NetworkOptions,
        classes: usize,
    ) -> Result<NetworkOptions, HelpfulnessError> {
        let Some(stored) = &self.stored else { return Ok(base.clone()) };
        let rows = |part: &str| -> Result<usize, HelpfulnessError> {
            let name = stored_name(stored, &format!("{NAME}.{part}.weight"));
            let shape = stored.shape(&name).and_then(|shape| shape.first().copied());
            shape.ok_or_else(|| {
                let problem =
                    format!("the tensor `{name}` is missing: expected the weights of a published preference model");
                HelpfulnessError::file(stored.path(), problem)
            })
        };
        let (found, prefix_length, hidden) = (rows("mlp.2")?, rows("wte_enc")?, rows("mlp.0")?);
        if found != classes {
            let problem = format!("it was trained with {found} classes, the table of labels has {classes}");
            return Err(HelpfulnessError::file(stored.path(), problem));
        }
        Ok(NetworkOptions { prefix_length, hidden, ..base.clone() })
    }

    fn value(&self, name: &str, shape: &[usize], deviation: f64) -> Result<Tensor, Error> {
        match &self.stored {
            Some(stored) => stored.value_of_shape(&stored_name(stored, name), shape, &self.device),
            None if deviation == 0.0 => Ok(Tensor::zeros(shape, DType::F32, &self.device)?),
            None => {
                let values = normal_values(self.seed, name, shape.iter().product(), deviation);
                Ok(Tensor::from_vec(values, shape, &self.device)?)
            }
        }
    }
}

/// A tensor's name, or that which the published code's other variants have for it.
fn stored_name(stored: &StateDict, name: &str) -> String {
    let other = name.replacen(".posterior.", ".prediction.", 1);
    if stored.shape(name).is_none() && stored.shape(&other).is_some() { other } else { name.to_owned() }
}

impl LinearLoader for TrainedWeights {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let deviation = 1.0 / (3.0 * in_features as f64).sqrt();
        let weight = self.value(&format!("{name}.weight"), &[out_features, in_features], deviation)?;
        let bias = self.value(&format!("{name}.bias"), &[out_features], 0.0)?;
        Ok(Arc::new(DenseLinear::new(weight, Some(bias))?))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.value(name, shape, 0.0)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.value(&format!("{name}.weight"), &[vocabulary, width], 1.0)?))
    }

    fn contains(&self, name: &str) -> bool {
        self.stored.as_ref().is_some_and(|stored| stored.shape(name).is_some())
    }
}
