//! Root-mean-square norm of rows.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS_PER_TASK, Values, f32_slice, has_device_kernel, has_kernel};

/// `x / √(mean(x²) + eps) · weight` for each row. `x` is `[rows, width]`, `weight` `[width]`.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    if has_kernel(x) {
        return x.apply_op2(weight, RmsNorm { eps });
    }
    if has_device_kernel(&[x, weight]) && weight.elem_count().is_multiple_of(4) {
        return x.apply_op2_no_bwd(weight, &RmsNorm { eps });
    }
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean_square + f64::from(eps))?.sqrt()?)?.broadcast_mul(weight)
}

struct RmsNorm {
    eps: f32,
}

/// `1 / √(mean(x²) + eps)`; the sum of squares is in f64.
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let mean_square = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / x.len() as f64;
    1.0 / (mean_square as f32 + eps).sqrt()
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm-rows"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?);
        let width = weight.len();
        let mut out = vec![0f32; x.len()];
        let rows = out.par_chunks_exact_mut(width).zip(x.par_chunks_exact(width)).with_min_len(ROWS_PER_TASK);
        rows.for_each(|(out, x)| {
            let scale = inverse_rms(x, self.eps);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
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
    ) -> Result<(candle_core::CudaStorage, Shape)> {
        Ok((crate::kernels::cuda::rms_norm((s1, l1), (s2, l2), self.eps)?, l1.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _y: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (shape, g) = (x.shape().clone(), g.contiguous()?);
        let (dx, dw) = {
            let (x, weight, g) = (Values::of(x)?, Values::of(weight)?, Values::of(&g)?);
            backward(x.slice()?, weight.slice()?, g.slice()?, self.eps)
        };
        let dw = weight.track_op().then(|| Tensor::from_vec(dw, weight.shape(), x.device())).transpose()?;
        Ok((Some(Tensor::from_vec(dx, shape, x.device())?), dw))
    }
}

/// Rows whose share of the weight's gradient is summed by one task; fixed, so that the sum does not depend on threads.
const ROWS_PER_SUM: usize = 64;

/// Gradients of `x` and of the weight. With `r = 1/rms`, `n = x·r`: `dx = r·(g·w − n·mean(g·w·n))`, `dw = Σ g·n`.
fn backward(x: &[f32], weight: &[f32], g: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let width = weight.len();
    let mut dx = vec![0f32; x.len()];
    let chunk = width * ROWS_PER_SUM;
    let parts: Vec<Vec<f32>> = dx
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk).zip(g.par_chunks(chunk)))
        .map(|(dx, (x, g))| {
            let mut dw = vec![0f32; width];
            let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width).zip(g.chunks_exact(width)));
            for (dx, (x, g)) in rows {
                backward_row(x, weight, g, eps, dx, &mut dw);
            }
            dw
        })
        .collect();
    let mut dw = vec![0f32; width];
    for part in parts {
        for (sum, part) in dw.iter_mut().zip(part) {
            *sum += part;
        }
    }
    (dx, dw)
}

fn backward_row(x: &[f32], weight: &[f32], g: &[f32], eps: f32, dx: &mut [f32], dw: &mut [f32]) {
    let r = inverse_rms(x, eps);
    let along = x.iter().zip(weight).zip(g).map(|((x, w), g)| f64::from(g * w) * f64::from(x * r)).sum::<f64>();
    let along = (along / x.len() as f64) as f32;
    for i in 0..x.len() {
        let normed = x[i] * r;
        dx[i] = r * (g[i] * weight[i] - normed * along);
        dw[i] += g[i] * normed;
    }
}
