//! The exact GELU of the encoders' feed-forward layers.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{Values, f32_slice, has_kernel};
use crate::kernels;

/// Values per task.
const CHUNK: usize = 2048;

/// `x · Φ(x)` with the normal distribution function, not its tanh approximation (arXiv 1606.08415). Any shape.
///
/// # Errors
/// The device fails.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if has_kernel(x) {
        return x.contiguous()?.apply_op1(Gelu);
    }
    x.gelu_erf()
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(s, l)?;
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
            kernels::gelu(x, out);
        });
        Ok((CpuStorage::F32(out), l.shape().clone()))
    }

    /// `dx = g · (Φ(x) + x·φ(x))`.
    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let g = g.contiguous()?;
        let mut out = vec![0f32; x.elem_count()];
        {
            let (x, g) = (Values::of(x)?, Values::of(&g)?);
            let inputs = x.slice()?.par_chunks(CHUNK).zip(g.slice()?.par_chunks(CHUNK));
            out.par_chunks_mut(CHUNK).zip(inputs).for_each(|(out, (x, g))| {
                kernels::gelu_backward(x, g, out);
            });
        }
        Ok(Some(Tensor::from_vec(out, x.shape(), x.device())?))
    }
}
