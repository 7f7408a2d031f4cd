//! The element-wise and row-wise operators of the models, for inference and training alike.
//!
//! On the CPU each is one pass over f32 data (a custom operator over our own kernels) with a backward pass of its own;
//! on other devices, and for f64, it is composed of candle's differentiable operators, but for those that inference needs most, which
//! have kernels for CUDA devices where no gradient is asked for. Tests hold the two against each other, values and gradients. Norms, softmax and losses are always in f32 or wider.
//!
//! Candle records history only where an input has one, so inference pays nothing for the backward passes.
//!
//! Public are those that other models than the [`crate::Llama`] are made of.

mod causal_attention;
mod dense;
mod gathered_attention;
mod gelu;
mod layer_norm;
mod log_prob;
mod masked_softmax;
mod packed_attention;
mod product;
mod quantised;
mod rms_norm;
mod rope;
mod silu;

use std::ops::Deref;

use candle_core::{CpuStorage, DType, Layout, Result, Storage, Tensor, bail};

pub(crate) use causal_attention::causal_attention;
pub(crate) use dense::{Precision, dense};
pub use gathered_attention::{KeyGroup, KeyRows, gathered_attention};
pub use gelu::gelu;
pub use layer_norm::layer_norm;
pub use log_prob::{log_probs_of, smoothed_log_probs_of};
pub use masked_softmax::{key_mask, masked_softmax};
pub use packed_attention::{AttentionDropout, AttentionLayout, packed_attention, packed_attention_weights};
pub(crate) use quantised::QuantisedMatrix;
pub(crate) use rms_norm::rms_norm;
pub(crate) use rope::rope;
pub(crate) use silu::silu_mul;

/// Rows per task: small enough to share out, large enough to be worth a task.
const ROWS_PER_TASK: usize = 4;

/// Whether our own kernels compute on this tensor.
fn has_kernel(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Whether our CUDA kernels, which have no gradients, compute on these tensors.
fn has_device_kernel(tensors: &[&Tensor]) -> bool {
    let is_served = |tensor: &&Tensor| {
        let is_plain = tensor.is_contiguous() && tensor.layout().start_offset().is_multiple_of(4);
        tensor.device().is_cuda() && tensor.dtype() == DType::F32 && is_plain && !tensor.track_op()
    };
    cfg!(feature = "cuda") && tensors.iter().all(is_served)
}

/// The contiguous f32 values of a CPU tensor.
pub(crate) fn f32_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("the operator needs a contiguous tensor") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// The values of a contiguous f32 CPU tensor, for backward passes. `G` is a guard of the tensor's storage.
struct Values<G> {
    storage: G,
    range: (usize, usize),
}

impl<'a> Values<&'a ()> {
    fn of(tensor: &'a Tensor) -> Result<Values<impl Deref<Target = Storage> + 'a>> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some(range) = layout.contiguous_offsets() else { bail!("a backward pass needs contiguous tensors") };
        Ok(Values { storage, range })
    }
}

impl<G: Deref<Target = Storage>> Values<G> {
    fn slice(&self) -> Result<&[f32]> {
        let Storage::Cpu(storage) = &*self.storage else { bail!("a CPU backward pass got a tensor of another device") };
        Ok(&storage.as_slice::<f32>()?[self.range.0..self.range.1])
    }
}

#[cfg(test)]
mod tests;
