//! Rotary position embedding.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS_PER_TASK, f32_slice, has_device_kernel, has_kernel};

/// Rotates in the half-split layout. `x` is `[rows, heads, head_dim]`, `cos` and `sin` are `[rows, head_dim / 2]`.
pub(crate) fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    if has_kernel(x) {
        return x.apply_op3(cos, sin, Rope);
    }
    if has_device_kernel(&[x, cos, sin]) {
        return x.apply_op3_no_bwd(cos, sin, &Rope);
    }
    let half = x.dim(D::Minus1)? / 2;
    let (low, high) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?);
    let rotated_low = (low.broadcast_mul(&cos)? - high.broadcast_mul(&sin)?)?;
    let rotated_high = (high.broadcast_mul(&cos)? + low.broadcast_mul(&sin)?)?;
    Tensor::cat(&[rotated_low, rotated_high], D::Minus1)
}

struct Rope;

impl CustomOp3 for Rope {
    fn name(&self) -> &'static str {
        "rope-rows"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, heads, dim) = l1.shape().dims3()?;
        let half = dim / 2;
        let (x, cos, sin) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?, f32_slice(s3, l3)?);
        let mut out = vec![0f32; x.len()];
        let rows = out.par_chunks_exact_mut(heads * dim).zip(x.par_chunks_exact(heads * dim));
        let rows = rows.zip(cos.par_chunks_exact(half).zip(sin.par_chunks_exact(half))).with_min_len(ROWS_PER_TASK);
        rows.for_each(|((out, x), (cos, sin))| {
            for (out, x) in out.chunks_exact_mut(dim).zip(x.chunks_exact(dim)) {
                let (out_low, out_high) = out.split_at_mut(half);
                let (low, high) = x.split_at(half);
                for i in 0..half {
                    out_low[i] = low[i] * cos[i] - high[i] * sin[i];
                    out_high[i] = high[i] * cos[i] + low[i] * sin[i];
                }
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
        s3: &candle_core::CudaStorage,
        l3: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        Ok((crate::kernels::cuda::rope((s1, l1), (s2, l2), (s3, l3))?, l1.shape().clone()))
    }

    /// A rotation's transpose rotates back. Angles are constants.
    fn bwd(
        &self,
        _x: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok((Some(rope(&g.contiguous()?, cos, &sin.neg()?)?), None, None))
    }
}
