//! Products with quantised weight matrices that are not trained (QLoRA's frozen base).

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// `y = x Wᵀ` with a quantised `W` of `[out, in]`; `x` is `[rows, in]` f32.
///
/// The backward pass is `dx = g W` with the dequantised matrix, which lives only as long as the product: one matrix at a
/// time. The forward pass quantises activations to 8 bits per block, so it differs a little from the dense product; the
/// gradient is that of the dense one (a straight-through estimate, as in QLoRA, arXiv 2305.14314).
#[derive(Clone)]
pub(crate) struct FrozenQMatMul(pub(crate) Arc<QTensor>);

impl CustomOp1 for FrozenQMatMul {
    fn name(&self) -> &'static str {
        "frozen-qmatmul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.cpu_fwd(storage, layout)
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.0.cuda_fwd(storage, layout)
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let weight = self.0.dequantize(g.device())?;
        Ok(Some(g.contiguous()?.matmul(&weight)?))
    }
}
