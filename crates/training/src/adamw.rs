//! AdamW with decoupled weight decay (arXiv 1711.05101), groups, and a state that is saved by name.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::TrainingError;
use crate::adamw_arithmetic::Arithmetic;
use crate::parameter::{Gradients, Parameters, load_tensors, save_tensors};

/// Constants of the optimiser. The defaults are torch's, but for the weight decay, which is transformers' 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWOptions {
    /// Decay of the running mean of gradients.
    pub beta1: f64,
    /// Decay of the running mean of squared gradients.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay per step, as a share of the learning rate.
    pub weight_decay: f64,
    /// Whose arithmetic.
    #[serde(skip_serializing_if = "AdamWRule::is_torch")]
    pub rule: AdamWRule,
    /// Exceptions for some parameters; the first group that matches counts.
    pub groups: Vec<ParameterGroup>,
}

/// The two ways in which AdamW is computed. With `m` and `v` the running means and `c₁`, `c₂` their corrections:
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdamWRule {
    /// torch's: decay first, then `rate / c₁ · m / (√v / √c₂ + eps)`.
    #[default]
    Torch,
    /// That of the class that transformers had of its own: `rate · √c₂ / c₁ · m / (√v + eps)` first, then decay of what came out. Its usual
    /// `eps` is 1e-6.
    Transformers,
}

impl AdamWRule {
    fn is_torch(&self) -> bool {
        *self == Self::Torch
    }
}

/// Parameters that are treated in another way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// Parameters whose name contains this text.
    pub contains: String,
    /// Weight decay of the group; none keeps the general one.
    #[serde(default)]
    pub weight_decay: Option<f64>,
    /// Factor on the learning rate.
    #[serde(default = "one")]
    pub learning_rate_factor: f64,
}

fn one() -> f64 {
    1.0
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, rule: AdamWRule::Torch, groups: Vec::new() }
    }
}

impl AdamWOptions {
    /// Says which constant is out of range.
    ///
    /// # Errors
    /// A constant is out of range.
    pub fn check(&self) -> Result<(), TrainingError> {
        let within = |setting, value: f64, ok: bool, range: &str| match ok {
            true => Ok(()),
            false => Err(TrainingError::Setting { setting, problem: format!("{value} is not {range}") }),
        };
        within("beta1", self.beta1, (0.0..1.0).contains(&self.beta1), "in [0, 1)")?;
        within("beta2", self.beta2, (0.0..1.0).contains(&self.beta2), "in [0, 1)")?;
        within("eps", self.eps, self.eps.is_finite() && self.eps > 0.0, "a positive number")?;
        let decays = self.groups.iter().filter_map(|group| group.weight_decay).chain([self.weight_decay]);
        for decay in decays {
            within("weight decay", decay, decay.is_finite() && decay >= 0.0, "a number of at least 0")?;
        }
        Ok(())
    }

    fn of(&self, name: &str) -> (f64, f64) {
        let group = self.groups.iter().find(|group| name.contains(&group.contains));
        let decay = group.and_then(|group| group.weight_decay).unwrap_or(self.weight_decay);
        (decay, group.map_or(1.0, |group| group.learning_rate_factor))
    }
}

/// The optimiser with its state: two f32 moments per parameter, and an f32 copy of each half-precision parameter.
pub struct AdamW {
    parameters: Parameters,
    options: AdamWOptions,
    states: BTreeMap<String, Moments>,
    step: u64,
}

struct Moments {
    mean: Tensor,
    square: Tensor,
    /// What is really updated where the variable itself is f16 or bf16: small updates would be rounded away there.
    master: Option<Tensor>,
}

impl Moments {
    fn new(variable: &Var) -> Result<Self, TrainingError> {
        // Each has a storage of its own: they are changed in place.
        let zeros = || Tensor::zeros(variable.shape(), DType::F32, variable.device());
        let half = variable.dtype() != DType::F32;
        let master = half.then(|| variable.as_detached_tensor().to_dtype(DType::F32)).transpose()?;
        Ok(Self { mean: zeros()?, square: zeros()?, master })
    }

    fn update(&mut self, variable: &Var, gradient: &Tensor, arithmetic: Arithmetic) -> Result<(), TrainingError> {
        if self.master.is_none() && Arithmetic::works_in_place(variable, gradient) {
            return Ok(arithmetic.update_in_place(variable, &self.mean, &self.square, gradient)?);
        }
        (self.mean, self.square) = arithmetic.means(&self.mean, &self.square, gradient)?;
        let weight = self.master.clone().unwrap_or_else(|| variable.as_detached_tensor());
        let weight = arithmetic.updated(&weight, &self.mean, &self.square)?;
        variable.set(&weight.to_dtype(variable.dtype())?)?;
        if self.master.is_some() {
            self.master = Some(weight);
        }
        Ok(())
    }
}

impl AdamW {
    /// An optimiser that has made no step.
    ///
    /// # Errors
    /// A constant is out of range, or the device fails.
    pub fn new(parameters: Parameters, options: AdamWOptions) -> Result<Self, TrainingError> {
        options.check()?;
        let states = parameters
            .iter()
            .map(|(name, variable)| Ok((name.to_owned(), Moments::new(variable)?)))
            .collect::<Result<_, TrainingError>>()?;
        Ok(Self { parameters, options, states, step: 0 })
    }

    /// What it updates.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Steps made so far.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Updates every parameter that has a gradient.
    ///
    /// # Errors
    /// The device fails.
    pub fn step(&mut self, gradients: &Gradients, learning_rate: f64) -> Result<(), TrainingError> {
        self.step += 1;
        let options = &self.options;
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        let (correction1, correction2) = (correction(options.beta1), correction(options.beta2));
        for (name, variable) in self.parameters.iter() {
            let (Some(gradient), Some(state)) = (gradients.get(name), self.states.get_mut(name)) else { continue };
            let (decay, factor) = options.of(name);
            let rate = learning_rate * factor;
            let arithmetic = Arithmetic {
                rule: options.rule,
                beta1: options.beta1,
                beta2: options.beta2,
                root_correction: correction2.sqrt(),
                // The older rule adds eps before v is corrected: as if it were larger in the first steps.
                eps: match options.rule {
                    AdamWRule::Torch => options.eps,
                    AdamWRule::Transformers => options.eps / correction2.sqrt(),
                },
                scale: rate / correction1,
                kept: 1.0 - rate * decay,
            };
            state.update(variable, gradient, arithmetic)?;
        }
        Ok(())
    }

    /// Writes the state to a safetensors file: `mean.NAME`, `square.NAME`, `master.NAME` and the number of steps.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainingError> {
        let tensors = self.states.iter().flat_map(|(name, state)| {
            let parts =
                [("mean", Some(&state.mean)), ("square", Some(&state.square)), ("master", state.master.as_ref())];
            parts.into_iter().filter_map(move |(part, tensor)| Some((format!("{part}.{name}"), tensor?.clone())))
        });
        save_tensors(path, tensors, &[("steps", self.step.to_string())])
    }

    /// Reads a state that [`Self::save`] wrote for the same parameters.
    ///
    /// # Errors
    /// The file can't be read or belongs to other parameters; then nothing was changed.
    pub fn restore(&mut self, path: &Path) -> Result<(), TrainingError> {
        let (mut tensors, metadata) = load_tensors(path)?;
        let step = metadata.get("steps").and_then(|steps| steps.parse().ok());
        let step = step.ok_or_else(|| TrainingError::format(path, "the number of steps is missing"))?;
        let mut take = |name: String, variable: &Var| {
            let tensor = tensors.remove(&name).filter(|tensor| tensor.dims() == variable.dims());
            let tensor = tensor.ok_or_else(|| {
                TrainingError::format(path, format!("there is no `{name}` of the shape {:?}", variable.dims()))
            })?;
            Ok::<_, TrainingError>(tensor.to_device(variable.device())?)
        };
        let mut states = BTreeMap::new();
        for (name, variable) in self.parameters.iter() {
            let mean = take(format!("mean.{name}"), variable)?;
            let square = take(format!("square.{name}"), variable)?;
            let half = variable.dtype() != DType::F32;
            let master = half.then(|| take(format!("master.{name}"), variable)).transpose()?;
            states.insert(name.to_owned(), Moments { mean, square, master });
        }
        (self.states, self.step) = (states, step);
        Ok(())
    }
}
