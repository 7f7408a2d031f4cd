//! Training all weights of a model, from its own values or from fresh ones.

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader, seeded_stream};
use rand::RngExt;

use crate::Parameters;

/// Makes every parameter that a model asks for a variable: pass it between loader and model, build the model, then train
/// [`Self::into_parameters`].
pub struct VariableLoader<'a> {
    inner: &'a dyn LinearLoader,
    linears: DType,
    parameters: RefCell<Parameters>,
}

impl<'a> VariableLoader<'a> {
    /// Variables that begin with the values of `inner`.
    pub fn new(inner: &'a dyn LinearLoader) -> Self {
        Self { inner, linears: DType::F32, parameters: RefCell::default() }
    }

    /// With the weights of linear layers in this type, bf16 or f16: mixed precision. Products then read and write half as much, while tables, norms, biases, softmax
    /// and losses stay in f32, and [`crate::AdamW`] keeps an f32 master of each such weight.
    pub fn with_linears_in(self, dtype: DType) -> Self {
        Self { linears: dtype, ..self }
    }

    /// The variables, under their tensors' names (`model.norm.weight`).
    pub fn into_parameters(self) -> Parameters {
        self.parameters.into_inner()
    }

    fn variable(&self, name: String, value: &Tensor) -> Result<Tensor, Error> {
        let variable = Var::from_tensor(&value.contiguous()?)?;
        let tensor = variable.as_tensor().clone();
        self.parameters.borrow_mut().insert(name, variable).map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(tensor)
    }
}

impl LinearLoader for VariableLoader<'_> {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let layer = self.inner.linear(name, in_features, out_features)?;
        let weight = self.variable(format!("{name}.weight"), &layer.weight()?.to_dtype(self.linears)?)?;
        let bias = layer.bias().map(|bias| self.variable(format!("{name}.bias"), bias)).transpose()?;
        Ok(Arc::new(DenseLinear::new(weight, bias)?))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.variable(name.to_owned(), &self.inner.tensor(name, shape)?)
    }

    /// No variable: as the loader has it.
    fn buffer(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.inner.buffer(name, shape)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        let table = match self.inner.embedding(name, vocabulary, width)? {
            Embedding::Dense(table) => table.to_dtype(DType::F32)?,
            Embedding::Quantised(table) => table.dequantize(&table.device())?,
        };
        Ok(Embedding::Dense(self.variable(format!("{name}.weight"), &table)?))
    }

    fn contains(&self, name: &str) -> bool {
        self.inner.contains(name)
    }
}

/// Fresh weights: normal with a standard deviation for matrices, 1 for norms. Each tensor is drawn from a stream of its own name.
pub struct FreshWeights {
    seed: u64,
    deviation: f64,
    device: Device,
}

impl FreshWeights {
    /// Weights drawn from `seed`; 0.02 is the usual deviation.
    pub fn new(seed: u64, deviation: f64, device: &Device) -> Self {
        Self { seed, deviation, device: device.clone() }
    }

    fn normal(&self, name: &str, shape: (usize, usize)) -> Result<Tensor, Error> {
        let values = normal_values(self.seed, name, shape.0 * shape.1, self.deviation);
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }
}

/// `count` normal values (mean 0) from the stream of a name, by Box and Muller's transform.
pub fn normal_values(seed: u64, name: &str, count: usize, deviation: f64) -> Vec<f32> {
    let mut generator = seeded_stream(seed, &format!("initial/{name}"));
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 − u is in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt() * deviation;
        let (sin, cos) = (std::f64::consts::TAU * generator.random::<f64>()).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    values
}

impl LinearLoader for FreshWeights {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        Ok(Arc::new(DenseLinear::new(self.normal(name, (out_features, in_features))?, None)?))
    }

    fn tensor(&self, _name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        Ok(Tensor::ones(shape, candle_core::DType::F32, &self.device)?)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.normal(name, (vocabulary, width))?))
    }

    fn contains(&self, _name: &str) -> bool {
        false
    }
}
