//! The gate of the feed-forward layers.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS_PER_TASK, Values, f32_slice, has_device_kernel, has_kernel};
use crate::kernels;

/// `silu(gate) · up`; both `[rows, width]`.
pub(crate) fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if has_kernel(gate) {
        return gate.apply_op2(up, SiluMul);
    }
    if has_device_kernel(&[gate, up]) {
        return gate.apply_op2_no_bwd(up, &SiluMul);
    }
    gate.silu()? * up
}

struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?);
        let width = l1.shape().dims().last().copied().unwrap_or(1).max(1);
        let mut out = vec![0f32; gate.len()];
        out.par_chunks_mut(width)
            .zip(gate.par_chunks(width).zip(up.par_chunks(width)))
            .with_min_len(ROWS_PER_TASK)
            .for_each(|(out, (gate, up))| kernels::silu(gate, up, out));
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        Ok((kernels::cuda::silu_mul((s1, l1), (s2, l2))?, l1.shape().clone()))
    }

    fn bwd(&self, gate: &Tensor, up: &Tensor, _y: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (shape, width, g) = (gate.shape(), gate.dims().last().copied().unwrap_or(1).max(1), g.contiguous()?);
        let mut dgate = vec![0f32; shape.elem_count()];
        let mut dup = vec![0f32; shape.elem_count()];
        {
            let (gate, up, g) = (Values::of(gate)?, Values::of(up)?, Values::of(&g)?);
            let inputs =
                gate.slice()?.par_chunks(width).zip(up.slice()?.par_chunks(width)).zip(g.slice()?.par_chunks(width));
            let outputs = dgate.par_chunks_mut(width).zip(dup.par_chunks_mut(width));
            outputs.zip(inputs).with_min_len(ROWS_PER_TASK).for_each(|((dgate, dup), ((gate, up), g))| {
                kernels::silu_backward(gate, up, g, dgate, dup);
            });
        }
        let tensor = |values| Tensor::from_vec(values, shape, gate.device());
        Ok((Some(tensor(dgate)?), Some(tensor(dup)?)))
    }
}
