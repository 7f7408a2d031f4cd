//! Products with quantised weight matrices that are not trained (QLoRA's frozen base).

use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};

use super::{Values, f32_slice};
use crate::kernels;

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

/// `y = x Wᵀ` with the dequantised matrix, which lives only as long as the product, in both directions; `x` is `[rows, in]` f32. On the CPU a row gives the same
/// bits whatever rows are beside it.
#[derive(Clone)]
pub(crate) struct DequantisedMatMul(pub(crate) Arc<QTensor>);

impl CustomOp1 for DequantisedMatMul {
    fn name(&self) -> &'static str {
        "dequantised-matmul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, in_features) = layout.shape().dims2()?;
        let (out_features, weight_in) = self.0.shape().dims2()?;
        if in_features != weight_in {
            candle_core::bail!("the input has {in_features} features, the weight matrix {weight_in}")
        }
        let weight = self.0.dequantize(&Device::Cpu)?.detach();
        let weight = Values::of(&weight)?;
        let mut out = vec![0f32; rows * out_features];
        let weights = kernels::Weights::F32(weight.slice()?);
        kernels::matmul(f32_slice(storage, layout)?, weights, in_features, out_features, &mut out);
        Ok((CpuStorage::F32(out), Shape::from((rows, out_features))))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        self.0.cuda_fwd(storage, layout)
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        FrozenQMatMul(self.0.clone()).bwd(x, y, g)
    }
}
