//! Softmax over the keys that a sequence may see, where batches are padded: on devices without a kernel, and to show weights.

use candle_core::{CpuStorage, CustomOp2, D, DType, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{ROWS_PER_TASK, Values, f32_slice, has_kernel};
use crate::kernels;

/// `softmax(scores + mask)` over the last dimension. `scores` are `[batch, heads, queries, keys]`, `mask` is `[batch, keys]`: 0
/// for a key that is seen and −∞ for one that does not exist, or the lowest finite number as transformers has it; then a query none
/// of whose keys is seen sees all of them alike. At least one key of each sequence must be above −∞. The mask gets no gradient.
///
/// # Errors
/// The shapes do not fit, or the device fails.
pub fn masked_softmax(scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let (batch, _, _, keys) = scores.dims4()?;
    if mask.dims2()? != (batch, keys) {
        candle_core::bail!("a mask of {:?} for scores of {:?}", mask.dims(), scores.dims())
    }
    if has_kernel(scores) {
        return scores.contiguous()?.apply_op2(&mask.to_dtype(DType::F32)?.contiguous()?, MaskedSoftmax);
    }
    let scores = scores.broadcast_add(&mask.to_dtype(scores.dtype())?.reshape((batch, 1, 1, keys))?)?;
    let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)
}

/// The mask of keys in sequences of these lengths, `[sequences, longest]` f32: 0 for those that are seen, the lowest finite number for those
/// that are not, −∞ where a sequence has ended. `seen` goes through the sequences one after the other.
///
/// # Errors
/// There is not one value for each key, or the device fails.
pub fn key_mask(lengths: &[usize], seen: &[bool], device: &Device) -> Result<Tensor> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    if lengths.iter().sum::<usize>() != seen.len() {
        candle_core::bail!("{} values of a mask for sequences of {lengths:?} keys", seen.len())
    }
    let mut mask = vec![f32::NEG_INFINITY; lengths.len() * longest];
    let mut seen = seen.iter();
    for (sequence, length) in lengths.iter().enumerate() {
        let places = &mut mask[sequence * longest..sequence * longest + length];
        places.iter_mut().zip(seen.by_ref()).for_each(|(place, seen)| *place = if *seen { 0.0 } else { f32::MIN });
    }
    Tensor::from_vec(mask, (lengths.len(), longest), device)
}

struct MaskedSoftmax;

impl CustomOp2 for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked-softmax"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, heads, queries, keys) = l1.shape().dims4()?;
        let mut out = f32_slice(s1, l1)?.to_vec();
        let mask = f32_slice(s2, l2)?;
        let (keys, per_sequence) = (keys.max(1), (heads * queries * keys).max(1));
        let sequences = out.par_chunks_exact_mut(per_sequence).zip(mask.par_chunks_exact(keys));
        sequences.for_each(|(scores, mask)| {
            scores.par_chunks_exact_mut(keys).with_min_len(ROWS_PER_TASK).for_each(|row| {
                row.iter_mut().zip(mask).for_each(|(score, mask)| *score += mask);
                kernels::softmax(row);
            });
        });
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    /// `ds = p · (g − Σ g·p)`.
    fn bwd(&self, scores: &Tensor, _mask: &Tensor, p: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (keys, g) = (scores.dim(D::Minus1)?.max(1), g.contiguous()?);
        let mut out = vec![0f32; p.elem_count()];
        {
            let (p, g) = (Values::of(p)?, Values::of(&g)?);
            let rows = p.slice()?.par_chunks_exact(keys).zip(g.slice()?.par_chunks_exact(keys));
            out.par_chunks_exact_mut(keys).zip(rows).with_min_len(ROWS_PER_TASK).for_each(|(out, (p, g))| {
                let along = p.iter().zip(g).map(|(p, g)| p * g).sum::<f32>();
                for ((out, p), g) in out.iter_mut().zip(p).zip(g) {
                    *out = p * (g - along);
                }
            });
        }
        Ok((Some(Tensor::from_vec(out, scores.shape(), scores.device())?), None))
    }
}
