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

    /// A value by the kind that its name tells: 0 for biases, 1 for the weights of norms, normal for everything else.
    ///
    /// # Errors
    /// The device fails.
    pub fn value(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if name.ends_with("bias") {
            return Ok(Tensor::zeros(shape, DType::F32, &self.device)?);
        }
        if NORMS.iter().any(|norm| name.ends_with(norm)) {
            return Ok(Tensor::ones(shape, DType::F32, &self.device)?);
        }
        self.normal(name, shape)
    }

    /// A table of token vectors `[rows, width]` as [`Self::value`] has it, but the row of the padding token is 0: it has no meaning of its own.
    ///
    /// # Errors
    /// The device fails.
    pub fn padded_table(&self, name: &str, shape: &[usize], padding: u32) -> Result<Tensor, Error> {
        let table = self.value(name, shape)?;
        let rows = table.dim(0)?;
        let kept: Vec<f32> = (0..rows).map(|row| if row == padding as usize { 0.0 } else { 1.0 }).collect();
        Ok(table.broadcast_mul(&Tensor::from_vec(kept, (rows, 1), &self.device)?)?)
    }

    fn normal(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let values = normal_values(self.seed, name, shape.iter().product(), self.deviation);
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }
}

/// How the names of norms' weights end, in Llama, BERT and BART.
const NORMS: [&str; 3] = ["norm.weight", "LayerNorm.weight", "layernorm_embedding.weight"];

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
        Ok(Arc::new(DenseLinear::new(self.normal(name, &[out_features, in_features])?, None)?))
    }

    fn tensor(&self, _name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        Ok(Tensor::ones(shape, DType::F32, &self.device)?)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.normal(name, &[vocabulary, width])?))
    }

    fn contains(&self, _name: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_kind_of_a_fresh_value() {
        let fresh = FreshWeights::new(5, 0.1, &Device::Cpu);
        let values = |name: &str| fresh.value(name, &[2, 3]).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for name in ["bert.pooler.dense.bias", "final_logits_bias", "embeddings.LayerNorm.bias"] {
            assert_eq!(values(name), [0.0; 6], "{name}");
        }
        let norms = ["model.norm.weight", "self_attn_layer_norm.weight", "output.LayerNorm.weight"];
        for name in norms.into_iter().chain(["encoder.layernorm_embedding.weight"]) {
            assert_eq!(values(name), [1.0; 6], "{name}");
        }
        assert_eq!(values("fc1.weight"), normal_values(5, "fc1.weight", 6, 0.1));
    }

    #[test]
    fn only_the_row_of_padding_is_zero() {
        let fresh = FreshWeights::new(5, 0.1, &Device::Cpu);
        let table = |padding| fresh.padded_table("shared.weight", &[3, 2], padding).unwrap().to_vec2::<f32>().unwrap();
        let drawn = normal_values(5, "shared.weight", 6, 0.1);
        assert_eq!(table(1), [&drawn[..2], &[0.0, 0.0], &drawn[4..]]);
        assert_eq!(table(3).concat(), drawn, "padding outside the table");
    }
}
