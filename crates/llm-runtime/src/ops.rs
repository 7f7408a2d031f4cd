//! The element-wise and row-wise operators of the models, for inference.
//!
//! On the CPU each is one pass over the data (a custom operator over our own kernels); on other devices it is
//! composed of candle's operators. A test holds the two against each other. Norms and softmax are always in f32.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::kernels;

/// Root-mean-square norm of each row: `x / √(mean(x²) + eps) · weight`. `x` is `[rows, width]` f32, `weight` `[width]` f32.
pub(crate) fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.apply_op2_no_bwd(weight, &RmsNorm { eps });
    }
    let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean_square + f64::from(eps))?.sqrt()?)?.broadcast_mul(weight)
}

/// Rotary embedding in the half-split layout. `x` is `[rows, heads, head_dim]`, `cos` and `sin` are `[rows, head_dim / 2]`.
pub(crate) fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.apply_op3_no_bwd(cos, sin, &Rope);
    }
    let half = x.dim(D::Minus1)? / 2;
    let (low, high) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let (cos, sin) = (cos.unsqueeze(1)?, sin.unsqueeze(1)?);
    let rotated_low = (low.broadcast_mul(&cos)? - high.broadcast_mul(&sin)?)?;
    let rotated_high = (high.broadcast_mul(&cos)? + low.broadcast_mul(&sin)?)?;
    Tensor::cat(&[rotated_low, rotated_high], D::Minus1)
}

/// `silu(gate) · up`; both `[rows, width]` f32.
pub(crate) fn silu_mul(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.device().is_cpu() {
        return gate.apply_op2_no_bwd(up, &SiluMul);
    }
    gate.silu()? * up
}

/// `x Wᵀ` with dense weights `[out, in]` of any float type; `x` is `[rows, in]` f32. Sums in f32.
pub(crate) fn dense_matmul(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.apply_op2_no_bwd(weight, &DenseMatmul);
    }
    x.to_dtype(weight.dtype())?.matmul(&weight.t()?)?.to_dtype(DType::F32)
}

/// The contiguous f32 values of a CPU tensor.
pub(crate) fn f32_slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("the operator needs a contiguous tensor") };
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Rows per task: small enough to share out, large enough to be worth a task.
const ROWS_PER_TASK: usize = 4;

struct RmsNorm {
    eps: f32,
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
            let mean_square = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / width as f64;
            let scale = 1.0 / (mean_square as f32 + self.eps).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
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
}

struct DenseMatmul;

impl CustomOp2 for DenseMatmul {
    fn name(&self) -> &'static str {
        "dense-matmul-rows"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = f32_slice(s1, l1)?;
        let (rows, in_features) = l1.shape().dims2()?;
        let (out_features, weight_in) = l2.shape().dims2()?;
        let Some((start, end)) = l2.contiguous_offsets() else { bail!("the weight matrix is not contiguous") };
        if in_features != weight_in {
            bail!("the input has {in_features} features, the weight matrix {weight_in}")
        }
        let weights = match s2 {
            CpuStorage::F32(all) => kernels::Weights::F32(&all[start..end]),
            CpuStorage::F16(all) => kernels::Weights::F16(&all[start..end]),
            CpuStorage::BF16(all) => kernels::Weights::Bf16(&all[start..end]),
            _ => bail!("weights must be f32, f16 or bf16"),
        };
        let mut out = vec![0f32; rows * out_features];
        kernels::matmul(x, weights, in_features, out_features, &mut out);
        Ok((CpuStorage::F32(out), Shape::from((rows, out_features))))
    }
}
