//! Where a generator's parameters come from: a state dict, or BART and fresh values.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader, StateDict, seeded_stream};
use rand::RngExt;

use crate::HeadInit;
use crate::generator::HEAD_BIAS;

/// A new generator: BART's parameters for its three stacks (the second encoder begins as a copy of the first), the memory's attention and the
/// classifier as torch makes them, and a head by [`HeadInit`] (specification of MAGIC, "Modules and parameter names").
pub(crate) struct NewWeights<'a> {
    pub(crate) bart: &'a dyn LinearLoader,
    pub(crate) head: HeadInit,
    pub(crate) seed: u64,
    pub(crate) device: &'a Device,
}

impl NewWeights<'_> {
    /// Uniform between minus and plus `bound`, from the stream of a name.
    fn uniform(&self, name: &str, shape: &[usize], bound: f64) -> Result<Tensor, Error> {
        let mut generator = seeded_stream(self.seed, &format!("initial/{name}"));
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| ((2.0 * generator.random::<f64>() - 1.0) * bound) as f32).collect();
        Ok(Tensor::from_vec(values, shape, self.device)?)
    }

    fn zeros(&self, shape: &[usize]) -> Result<Tensor, Error> {
        Ok(Tensor::zeros(shape, DType::F32, self.device)?)
    }

    fn head(&self, name: &str, width: usize, vocabulary: usize) -> Result<(Tensor, Tensor), Error> {
        if self.head == HeadInit::Random {
            return self.as_torch(name, width, vocabulary);
        }
        let table = match self.bart.embedding("model.decoder.embed_tokens", vocabulary, width)? {
            Embedding::Dense(table) => table.to_dtype(DType::F32)?,
            Embedding::Quantised(table) => table.dequantize(self.device)?,
        };
        Ok((table, self.head_bias(vocabulary)?))
    }

    fn head_bias(&self, vocabulary: usize) -> Result<Tensor, Error> {
        Ok(self.bart.buffer("final_logits_bias", &[1, vocabulary])?.flatten_all()?)
    }

    /// A linear layer's weight and bias as torch begins them.
    fn as_torch(&self, name: &str, inputs: usize, outputs: usize) -> Result<(Tensor, Tensor), Error> {
        let bound = 1.0 / (inputs as f64).sqrt();
        let weight = self.uniform(&format!("{name}.weight"), &[outputs, inputs], bound)?;
        Ok((weight, self.uniform(&format!("{name}.bias"), &[outputs], bound)?))
    }
}

/// BART's name of a parameter of one of the stacks.
fn in_bart(name: &str) -> String {
    format!("model.{}", name.strip_prefix("strategy_").unwrap_or(name))
}

impl LinearLoader for NewWeights<'_> {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let (weight, bias) = match name {
            "generator.proj" => self.head(name, in_features, out_features)?,
            "strategy_cls.classifier" => self.as_torch(name, in_features, out_features)?,
            _ => return self.bart.linear(&in_bart(name), in_features, out_features),
        };
        Ok(Arc::new(DenseLinear::new(weight, Some(bias))?))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let width = shape.last().copied().unwrap_or(1) as f64;
        match name.strip_prefix("memory_enhance_module.") {
            // Xavier's bound of a matrix [3 · width, width].
            Some("multihead_attn.in_proj_weight") => self.uniform(name, shape, (6.0 / (4.0 * width)).sqrt()),
            Some("multihead_attn.out_proj.weight") => self.uniform(name, shape, 1.0 / width.sqrt()),
            Some(_) => self.zeros(shape),
            None if name == HEAD_BIAS => self.head_bias(shape.iter().product()),
            None => self.bart.tensor(&in_bart(name), shape),
        }
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        self.bart.embedding(&in_bart(name), vocabulary, width)
    }

    fn contains(&self, name: &str) -> bool {
        self.bart.contains(&in_bart(name))
    }
}

/// A trained generator's parameters, by name.
pub(crate) struct TrainedWeights<'a> {
    pub(crate) state: &'a StateDict,
    pub(crate) device: &'a Device,
}

impl TrainedWeights<'_> {
    fn value(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if !self.contains(name) {
            let problem = "the file is incomplete, or of a generator with other options";
            return Err(self.state.problem(format!("the tensor `{name}` is missing: {problem}")));
        }
        self.state.value_of_shape(name, shape, self.device)
    }
}

impl LinearLoader for TrainedWeights<'_> {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let weight = self.value(&format!("{name}.weight"), &[out_features, in_features])?;
        let bias = self.value(&format!("{name}.bias"), &[out_features])?;
        Ok(Arc::new(DenseLinear::new(weight, Some(bias))?))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.value(name, shape)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.value(&format!("{name}.weight"), &[vocabulary, width])?))
    }

    fn contains(&self, name: &str) -> bool {
        self.state.shape(name).is_some()
    }
}
