//! Products with dense weight matrices.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::product::{Matrix, multiply_in_parallel};
use super::{ROWS_PER_TASK, Values, f32_slice, has_kernel};
use crate::kernels;

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// A row gives the same bits whatever rows are beside it.
    Exact,
    /// By the general product where there are many rows: faster, but the last bits of a row depend on the number of rows beside it.
    General,
}

/// `x Wᵀ (+ b)` with dense weights `[out, in]` of any float type; `x` is `[rows, in]` f32, the bias `[out]`. Sums in f32.
///
/// A weight or bias with a history (a [`candle_core::Var`] above all) receives a gradient, any other is frozen and costs none.
pub(crate) fn dense(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, precision: Precision) -> Result<Tensor> {
    let op = Dense { weight_gradient: weight.track_op(), precision };
    match bias {
        None if has_kernel(x) => return x.apply_op2(weight, op),
        Some(bias) if has_kernel(x) && has_kernel(bias) => return x.apply_op3(weight, bias, op),
        _ => {}
    }
    let dtype = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let y = x.to_dtype(weight.dtype())?.matmul(&weight.t()?)?.to_dtype(dtype)?;
    match bias {
        Some(bias) => y.broadcast_add(bias),
        None => Ok(y),
    }
}

/// Rows from which the general product pays: it packs the weights first.
const GENERAL_ROWS: usize = 16;

/// Rows whose gradients of the bias are summed by one task; fixed, so that sums do not depend on threads.
const ROWS_PER_SUM: usize = 64;

struct Dense {
    weight_gradient: bool,
    precision: Precision,
}

impl Dense {
    fn multiply(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(Vec<f32>, Shape)> {
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
        let is_general = self.precision == Precision::General && rows >= GENERAL_ROWS;
        match weights {
            kernels::Weights::F32(all) if is_general && !all.is_empty() => {
                multiply_in_parallel(&mut out, Matrix::new(x, in_features), Matrix::new(all, in_features).t());
            }
            _ => kernels::matmul(x, weights, in_features, out_features, &mut out),
        }
        Ok((out, Shape::from((rows, out_features))))
    }

    fn backward(&self, x: &Tensor, weight: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
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

impl CustomOp2 for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (out, shape) = self.multiply(s1, l1, s2, l2)?;
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _y: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(x, weight, &g.contiguous()?)
    }
}

impl CustomOp3 for Dense {
    fn name(&self) -> &'static str {
        "dense-with-bias"
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
        let bias = f32_slice(s3, l3)?;
        let (mut out, shape) = self.multiply(s1, l1, s2, l2)?;
        let (_, out_features) = shape.dims2()?;
        if bias.len() != out_features {
            bail!("a bias of {} values for {out_features} features", bias.len())
        }
        out.par_chunks_exact_mut(out_features.max(1)).with_min_len(ROWS_PER_TASK).for_each(|row| {
            row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
        });
        Ok((CpuStorage::F32(out), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = g.contiguous()?;
        let (dx, dw) = self.backward(x, weight, &g)?;
        let db = bias.track_op().then(|| sum_of_rows(&g)).transpose()?;
        Ok((dx, dw, db))
    }
}

/// `[rows, width]` to `[width]`.
fn sum_of_rows(rows: &Tensor) -> Result<Tensor> {
    let (_, width) = rows.dims2()?;
    let mut sum = vec![0f32; width];
    let add = |sum: &mut [f32], row: &[f32]| sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    {
        let values = Values::of(rows)?;
        let parts = values.slice()?.par_chunks(width.max(1) * ROWS_PER_SUM).map(|part| {
            let mut sum = vec![0f32; width];
            part.chunks_exact(width.max(1)).for_each(|row| add(&mut sum, row));
            sum
        });
        parts.collect::<Vec<Vec<f32>>>().iter().for_each(|part| add(&mut sum, part));
    }
    Tensor::from_vec(sum, width, rows.device())
}
