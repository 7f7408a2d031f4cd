//! Linear layers behind one trait, and the loader through which a model obtains them.
//!
//! A model never builds a layer itself: it asks a [`LinearLoader`] by the layer's Hugging Face name. That is how
//! adapters get into a model that does not know them.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{DType, Device, Tensor};

use crate::ops::{Precision, QuantisedMatrix};
use crate::{Error, ops};

/// `y = x Wᵀ (+ b)`.
pub trait Linear: Send + Sync {
    /// Applies the layer to `[rows, in_features]` f32 and gives `[rows, out_features]` f32. Differentiable in `x`, and in
    /// the weight where that is trained.
    ///
    /// # Errors
    /// The shapes do not fit, or the device fails.
    fn forward(&self, x: &Tensor) -> Result<Tensor, candle_core::Error>;

    /// As [`Self::forward`], in a training step: layers that are faster so may let the last bits of a row depend on the rows beside it.
    ///
    /// # Errors
    /// As [`Self::forward`].
    fn forward_in_training(&self, x: &Tensor) -> Result<Tensor, candle_core::Error> {
        self.forward(x)
    }

    /// As [`Self::forward`], with a quantised weight dequantised for the product, so that activations stay f32 and the gradient is that of
    /// what is computed; for many rows it is faster. Whole sequences go this way in training; an engine's cache does not.
    ///
    /// # Errors
    /// As [`Self::forward`].
    fn forward_dequantised(&self, x: &Tensor) -> Result<Tensor, candle_core::Error> {
        self.forward(x)
    }

    /// Width of the input.
    fn in_features(&self) -> usize;

    /// Width of the output.
    fn out_features(&self) -> usize;

    /// The weight as a dense `[out_features, in_features]` f32 matrix, without history; dequantised for the call if need be.
    ///
    /// # Errors
    /// The device fails.
    fn weight(&self) -> Result<Tensor, candle_core::Error>;

    /// The `[out_features]` bias, if there is one.
    fn bias(&self) -> Option<&Tensor>;
}

/// Gives a model its parameters by their Hugging Face names, e.g. `model.layers.0.self_attn.q_proj`.
pub trait LinearLoader {
    /// The linear layer `name`, whose weight must be `[out_features, in_features]`.
    ///
    /// # Errors
    /// It is missing, has another shape, or can't be read.
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error>;

    /// A plain f32 tensor (a norm's weight) of this shape.
    ///
    /// # Errors
    /// As [`Self::linear`].
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error>;

    /// A plain f32 tensor of this shape that belongs to the model but is never trained.
    ///
    /// # Errors
    /// As [`Self::linear`].
    fn buffer(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.tensor(name, shape)
    }

    /// The token embedding `name`, `[vocabulary, width]`.
    ///
    /// # Errors
    /// As [`Self::linear`].
    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error>;

    /// Whether a tensor of this name exists.
    fn contains(&self, name: &str) -> bool;
}

/// A dense weight matrix in f32, f16 or bf16. Sums are in f32 whatever the storage. Built from a [`candle_core::Var`] it is
/// trained, from any other tensor it is frozen.
pub struct DenseLinear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl DenseLinear {
    /// From a `[out_features, in_features]` weight and an optional `[out_features]` bias in f32.
    ///
    /// # Errors
    /// The weight is not a contiguous matrix.
    pub fn new(weight: Tensor, bias: Option<Tensor>) -> Result<Self, candle_core::Error> {
        weight.dims2()?;
        Ok(Self { weight: weight.contiguous()?, bias })
    }
}

impl Linear for DenseLinear {
    fn forward(&self, x: &Tensor) -> Result<Tensor, candle_core::Error> {
        ops::dense(x, &self.weight, self.bias.as_ref(), Precision::Exact)
    }

    fn forward_in_training(&self, x: &Tensor) -> Result<Tensor, candle_core::Error> {
        ops::dense(x, &self.weight, self.bias.as_ref(), Precision::General)
    }

    fn in_features(&self) -> usize {
        self.weight.dims()[1]
    }

    fn out_features(&self) -> usize {
        self.weight.dims()[0]
    }

    fn weight(&self) -> Result<Tensor, candle_core::Error> {
        self.weight.detach().to_dtype(DType::F32)
    }

    fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

/// A quantised weight matrix that is not trained. Activations are quantised to 8 bits per block, products are summed in
/// integers; the gradient of the input is that of the product with the dequantised matrix.
///
/// On processors with AVX2, Q4_0, Q4_K and Q6_K matrices whose width is a multiple of 256 are packed for kernels of our own; everything else is computed by candle.
pub struct QuantLinear {
    weight: QuantisedMatrix,
    bias: Option<Tensor>,
    device: Device,
    in_features: usize,
    out_features: usize,
}

impl QuantLinear {
    /// From a `[out_features, in_features]` quantised weight and an optional `[out_features]` bias in f32.
    ///
    /// # Errors
    /// The weight is not a matrix.
    pub fn new(weight: Arc<QTensor>, bias: Option<Tensor>) -> Result<Self, candle_core::Error> {
        Self::of(weight.device(), QuantisedMatrix::packed(weight)?, bias)
    }

    /// As [`Self::new`], computed by candle whatever the processor.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn plain(weight: Arc<QTensor>, bias: Option<Tensor>) -> Result<Self, candle_core::Error> {
        Self::of(weight.device(), QuantisedMatrix::Stock(weight), bias)
    }

    fn of(device: Device, weight: QuantisedMatrix, bias: Option<Tensor>) -> Result<Self, candle_core::Error> {
        let (out_features, in_features) = weight.shape()?;
        Ok(Self { weight, bias, device, in_features, out_features })
    }

    fn with_bias(&self, y: Tensor) -> Result<Tensor, candle_core::Error> {
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

impl Linear for QuantLinear {
    fn forward(&self, x: &Tensor) -> Result<Tensor, candle_core::Error> {
        self.with_bias(self.weight.product(x)?)
    }

    fn forward_dequantised(&self, x: &Tensor) -> Result<Tensor, candle_core::Error> {
        self.with_bias(self.weight.dequantised_product(x)?)
    }

    fn in_features(&self) -> usize {
        self.in_features
    }

    fn out_features(&self) -> usize {
        self.out_features
    }

    fn weight(&self) -> Result<Tensor, candle_core::Error> {
        self.weight.dequantise(&self.device)
    }

    fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}

/// Rows of a token embedding, dense or quantised.
pub enum Embedding {
    /// `[vocabulary, width]` in any float type.
    Dense(Tensor),
    /// `[vocabulary, width]`, dequantised row by row.
    Quantised(Arc<QTensor>),
}

impl Embedding {
    /// The rows of `ids`, `[ids.len(), width]` in f32 (f64 if the table is). A table that is a [`candle_core::Var`] is trained.
    ///
    /// # Errors
    /// An id is outside the vocabulary, or the device fails.
    pub fn forward(&self, ids: &[u32], device: &Device) -> Result<Tensor, candle_core::Error> {
        let ids = Tensor::new(ids, device)?;
        match self {
            Self::Dense(table) if table.dtype() == DType::F64 => table.index_select(&ids, 0),
            Self::Dense(table) => table.index_select(&ids, 0)?.to_dtype(DType::F32),
            Self::Quantised(table) => table.embedding(&ids)?.to_dtype(DType::F32),
        }
    }

    /// The output head of a model that shares it with the embedding.
    ///
    /// # Errors
    /// The table is not a matrix.
    pub fn tied_head(&self) -> Result<Arc<dyn Linear>, candle_core::Error> {
        Ok(match self {
            Self::Dense(table) => Arc::new(DenseLinear::new(table.clone(), None)?),
            Self::Quantised(table) => Arc::new(QuantLinear::new(table.clone(), None)?),
        })
    }
}
