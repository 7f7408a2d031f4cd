//! Layer norm of rows.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS_PER_TASK, Values, f32_slice, has_kernel};

/// `(x − mean(x)) / √(var(x) + eps) · weight + bias` for each row, with the biased variance (arXiv 1607.06450). `x` is
/// `[rows, width]`, `weight` and `bias` are `[width]`. Differentiable in all three; means and variances are summed in f64.
///
/// # Errors
/// The shapes do not fit, or the device fails.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let (_, width) = x.dims2()?;
    if weight.dims1()? != width || bias.dims1()? != width {
        candle_core::bail!("a norm of {:?} and {:?} values for rows of {width}", weight.dims(), bias.dims())
    }
    if has_kernel(x) {
        return x.contiguous()?.apply_op3(weight, bias, LayerNorm { eps });
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    let normed = centred.broadcast_div(&(variance + eps)?.sqrt()?)?;
    normed.broadcast_mul(weight)?.broadcast_add(bias)
}

struct LayerNorm {
    eps: f64,
}

/// `Σ f(x)` in f64, in lanes: one running sum does not vectorise.
fn sum_of(x: &[f32], f: impl Fn(f32) -> f64) -> f64 {
    let (chunks, rest) = x.as_chunks::<8>();
    let mut lanes = [0f64; 8];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += f(*x));
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane += f(*x));
    lanes.iter().sum()
}

/// The mean of a row, and `1 / √(variance + eps)`.
fn moments(x: &[f32], eps: f64) -> (f32, f32) {
    let count = x.len() as f64;
    let mean = sum_of(x, f64::from) / count;
    let variance = sum_of(x, |x| (f64::from(x) - mean).powi(2)) / count;
    (mean as f32, (1.0 / (variance + eps).sqrt()) as f32)
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer-norm-rows"
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
        let (x, weight, bias) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?, f32_slice(s3, l3)?);
        let width = weight.len().max(1);
        let mut out = vec![0f32; x.len()];
        let rows = out.par_chunks_exact_mut(width).zip(x.par_chunks_exact(width)).with_min_len(ROWS_PER_TASK);
        rows.for_each(|(out, x)| {
            let (mean, scale) = moments(x, self.eps);
            for ((out, x), (weight, bias)) in out.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
                *out = (x - mean) * scale * weight + bias;
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (shape, g) = (x.shape().clone(), g.contiguous()?);
        let gradients = {
            let (x, weight, g) = (Values::of(x)?, Values::of(weight)?, Values::of(&g)?);
            backward(x.slice()?, weight.slice()?, g.slice()?, self.eps)
        };
        let of_parameter = |values, parameter: &Tensor| {
            parameter.track_op().then(|| Tensor::from_vec(values, parameter.shape(), x.device())).transpose()
        };
        let (dw, db) = (of_parameter(gradients.weight, weight)?, of_parameter(gradients.bias, bias)?);
        Ok((Some(Tensor::from_vec(gradients.x, shape, x.device())?), dw, db))
    }
}

struct LayerNormGradients {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Rows whose share of the parameters' gradients is summed by one task; fixed, so that sums do not depend on threads.
const ROWS_PER_SUM: usize = 64;

/// With `n = (x − mean) / σ` and `h = g·w`: `dx = (h − mean(h) − n·mean(h·n)) / σ`, `dw = Σ g·n`, `db = Σ g`.
fn backward(x: &[f32], weight: &[f32], g: &[f32], eps: f64) -> LayerNormGradients {
    let width = weight.len().max(1);
    let mut dx = vec![0f32; x.len()];
    let chunk = width * ROWS_PER_SUM;
    let parts: Vec<(Vec<f32>, Vec<f32>)> = dx
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk).zip(g.par_chunks(chunk)))
        .map(|(dx, (x, g))| {
            let (mut dw, mut db) = (vec![0f32; width], vec![0f32; width]);
            let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width).zip(g.chunks_exact(width)));
            for (dx, (x, g)) in rows {
                backward_row(x, weight, g, eps, dx, (&mut dw, &mut db));
            }
            (dw, db)
        })
        .collect();
    let (mut dw, mut db) = (vec![0f32; width], vec![0f32; width]);
    for (weight_part, bias_part) in parts {
        dw.iter_mut().zip(weight_part).for_each(|(sum, part)| *sum += part);
        db.iter_mut().zip(bias_part).for_each(|(sum, part)| *sum += part);
    }
    LayerNormGradients { x: dx, weight: dw, bias: db }
}

/// `Σ h·(x − mean)` in f64, as [`sum_of`].
fn dot(h: &[f32], x: &[f32], mean: f32) -> f64 {
    let (h, x) = (h.as_chunks::<8>(), x.as_chunks::<8>());
    let product = |(lane, (h, x)): (&mut f64, (&f32, &f32))| *lane += f64::from(*h) * f64::from(x - mean);
    let mut lanes = [0f64; 8];
    for (h, x) in h.0.iter().zip(x.0) {
        lanes.iter_mut().zip(h.iter().zip(x)).for_each(product);
    }
    lanes.iter_mut().zip(h.1.iter().zip(x.1)).for_each(product);
    lanes.iter().sum()
}

fn backward_row(x: &[f32], weight: &[f32], g: &[f32], eps: f64, dx: &mut [f32], sums: (&mut [f32], &mut [f32])) {
    let (mean, scale) = moments(x, eps);
    let (dw, db) = sums;
    // `dx` holds `h` at first.
    dx.iter_mut().zip(g).zip(weight).for_each(|((h, g), weight)| *h = g * weight);
    let level = sum_of(dx, f64::from);
    let along = dot(dx, x, mean) * f64::from(scale);
    let (level, along) = ((level / x.len() as f64) as f32, (along / x.len() as f64) as f32);
    for i in 0..x.len() {
        let normed = (x[i] - mean) * scale;
        dx[i] = scale * (dx[i] - level - normed * along);
        dw[i] += g[i] * normed;
        db[i] += g[i];
    }
}
