//! Mixed precision: products with half-precision weights, everything else in f32.

use std::sync::Arc;

use candle_core::{DType, Tensor};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader};

/// Gives linear layers their weights in half precision, and everything else as it is. Wrapped in a [`crate::VariableLoader`] it makes mixed-precision
/// training: products read and write half as much, while tables, norms, biases, softmax and losses stay in f32, and
/// [`crate::AdamW`] keeps an f32 master of each half-precision weight.
pub struct HalfLinears<'a> {
    inner: &'a dyn LinearLoader,
    dtype: DType,
}

impl<'a> HalfLinears<'a> {
    /// The weights of `inner` in `dtype`: bf16, whose range is that of f32, or f16.
    pub fn new(inner: &'a dyn LinearLoader, dtype: DType) -> Self {
        Self { inner, dtype }
    }
}

impl LinearLoader for HalfLinears<'_> {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let layer = self.inner.linear(name, in_features, out_features)?;
        Ok(Arc::new(DenseLinear::new(layer.weight()?.to_dtype(self.dtype)?, layer.bias().cloned())?))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.inner.tensor(name, shape)
    }

    fn buffer(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.inner.buffer(name, shape)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        self.inner.embedding(name, vocabulary, width)
    }

    fn contains(&self, name: &str) -> bool {
        self.inner.contains(name)
    }
}
