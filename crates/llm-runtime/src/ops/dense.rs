//! Products with dense weight matrices.

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use super::product::{Matrix, multiply_in_parallel};
use super::{f32_slice, has_kernel};
use crate::kernels;

/// `x Wᵀ` with dense weights `[out, in]` of any float type; `x` is `[rows, in]` f32. Sums in f32.
///
/// A weight with a history (a [`candle_core::Var`] above all) receives a gradient, any other is frozen and costs none.
pub(crate) fn dense_matmul(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    matmul(x, weight, false)
}

/// As [`dense_matmul`], by the general product where there are many rows: twice as fast, but the last bits of a row depend on the number of
/// rows beside it.
pub(crate) fn general_matmul(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    matmul(x, weight, true)
}

fn matmul(x: &Tensor, weight: &Tensor, general: bool) -> Result<Tensor> {
    if has_kernel(x) {
        return x.apply_op2(weight, DenseMatmul { weight_gradient: weight.track_op(), general });
    }
    let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    x.to_dtype(weight.dtype())?.matmul(&weight.t()?)?.to_dtype(dtype)
}

/// Rows from which the general product pays: it packs the weights first.
const GENERAL_ROWS: usize = 16;

struct DenseMatmul {
    weight_gradient: bool,
    general: bool,
}

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
        match weights {
            kernels::Weights::F32(all) if self.general && rows >= GENERAL_ROWS && !all.is_empty() => {
                multiply_in_parallel(&mut out, Matrix::new(x, in_features), Matrix::new(all, in_features).t());
            }
            _ => kernels::matmul(x, weights, in_features, out_features, &mut out),
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, out_features))))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _y: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let g = g.contiguous()?;
        // Constants: no history is to be recorded in a backward pass.
        let (x, weight) = (x.detach(), weight.detach());
        let dx = g.matmul(&weight.to_dtype(DType::F32)?)?;
        let dw = match self.weight_gradient {
            true => Some(g.t()?.matmul(&x)?.to_dtype(weight.dtype())?),
            false => None,
        };
        Ok((Some(dx), dw))
    }
}
