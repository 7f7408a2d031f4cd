//! The exact GELU of the encoders' feed-forward layers.

use std::f32::consts::{FRAC_1_SQRT_2, PI};

use candle_core::cpu::erf::erf_f32;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{Values, f32_slice, has_kernel};

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

/// Φ(x), the normal distribution function.
fn below(x: f32) -> f32 {
    0.5 * (1.0 + erf_f32(x * FRAC_1_SQRT_2))
}

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(s, l)?;
        let mut out = vec![0f32; x.len()];
        out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(out, x)| {
            out.iter_mut().zip(x).for_each(|(out, x)| *out = x * below(*x));
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
                for ((out, x), g) in out.iter_mut().zip(x).zip(g) {
                    let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
                    *out = g * (below(*x) + x * density);
                }
            });
        }
        Ok(Some(Tensor::from_vec(out, x.shape(), x.device())?))
    }
}
