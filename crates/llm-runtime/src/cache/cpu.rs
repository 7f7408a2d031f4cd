//! The cache in the CPU's memory: writing to it, and attention over it by our kernel.

use candle_core::{CpuStorage, CustomOp3, InplaceOp1, InplaceOp2, Layout, Result, Shape, bail};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{BLOCK_SIZE, KvCache};
use crate::kernels::{Cached, PagedAttentionInputs, Segment, Watch, paged_attention};
use crate::ops::f32_slice;

/// Of a layer's keys and of its values.
pub(super) fn shapes(blocks: usize, heads: usize, dim: usize) -> (Shape, Shape) {
    (Shape::from((blocks, heads, dim, BLOCK_SIZE)), Shape::from((blocks, heads, BLOCK_SIZE, dim)))
}

fn cached<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Cached<'a>> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(values)) => Ok(Cached::F32(&values[start..end])),
        (Some((start, end)), CpuStorage::F16(values)) => Ok(Cached::F16(&values[start..end])),
        _ => bail!("the cache must be a contiguous tensor of f32 or f16"),
    }
}

/// As [`Cached`].
enum CachedMut<'a> {
    F32(&'a mut [f32]),
    F16(&'a mut [f16]),
}

fn cached_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<CachedMut<'a>> {
    match (layout.contiguous_offsets(), storage) {
        (Some((start, end)), CpuStorage::F32(values)) => Ok(CachedMut::F32(&mut values[start..end])),
        (Some((start, end)), CpuStorage::F16(values)) => Ok(CachedMut::F16(&mut values[start..end])),
        _ => bail!("the cache must be a contiguous tensor of f32 or f16"),
    }
}

fn narrow(values: &[f32]) -> Vec<f16> {
    let mut narrow = vec![f16::ZERO; values.len()];
    narrow.convert_from_f32_slice(values);
    narrow
}

/// Writes value rows `[key_value_heads, head_dim]` into blocks `[key_value_heads, BLOCK_SIZE, head_dim]`.
pub(super) struct WriteValues<'a> {
    pub(super) slots: &'a [u32],
}

impl InplaceOp2 for WriteValues<'_> {
    fn name(&self) -> &'static str {
        "cache-write-values"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (_, heads, _, dim) = l1.shape().dims4()?;
        let rows = f32_slice(s2, l2)?;
        match cached_mut(s1, l1)? {
            CachedMut::F32(cache) => write_values(cache, rows, (heads, dim), self.slots),
            CachedMut::F16(cache) => write_values(cache, &narrow(rows), (heads, dim), self.slots),
        }
        Ok(())
    }
}

fn write_values<T: Copy>(cache: &mut [T], rows: &[T], (heads, dim): (usize, usize), slots: &[u32]) {
    for (row, slot) in rows.chunks_exact(heads * dim).zip(slots) {
        let (block, offset) = (*slot as usize / BLOCK_SIZE, *slot as usize % BLOCK_SIZE);
        for (head, row) in row.chunks_exact(dim).enumerate() {
            cache[((block * heads + head) * BLOCK_SIZE + offset) * dim..][..dim].copy_from_slice(row);
        }
    }
}

/// Writes key rows `[key_value_heads, head_dim]` into transposed blocks.
pub(super) struct WriteKeys<'a> {
    pub(super) slots: &'a [u32],
}

impl InplaceOp2 for WriteKeys<'_> {
    fn name(&self) -> &'static str {
        "cache-write-keys"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (_, heads, dim, _) = l1.shape().dims4()?;
        let rows = f32_slice(s2, l2)?;
        match cached_mut(s1, l1)? {
            CachedMut::F32(cache) => write_keys(cache, rows, heads * dim, self.slots),
            CachedMut::F16(cache) => write_keys(cache, &narrow(rows), heads * dim, self.slots),
        }
        Ok(())
    }
}

fn write_keys<T: Copy>(cache: &mut [T], rows: &[T], width: usize, slots: &[u32]) {
    for (row, slot) in rows.chunks_exact(width).zip(slots) {
        let (block, offset) = (*slot as usize / BLOCK_SIZE, *slot as usize % BLOCK_SIZE);
        let block = &mut cache[block * width * BLOCK_SIZE..][..width * BLOCK_SIZE];
        for (lanes, value) in block.chunks_exact_mut(BLOCK_SIZE).zip(row) {
            lanes[offset] = *value;
        }
    }
}

/// Copies a block of so many values to the place of another.
pub(super) struct CopyBlock {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) values: usize,
}

impl InplaceOp1 for CopyBlock {
    fn name(&self) -> &'static str {
        "cache-copy-block"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (from, to) = (self.from * self.values..(self.from + 1) * self.values, self.to * self.values);
        match cached_mut(storage, layout)? {
            CachedMut::F32(cache) => cache.copy_within(from, to),
            CachedMut::F16(cache) => cache.copy_within(from, to),
        }
        Ok(())
    }
}

/// Attention of a step's queries over a layer's keys and values.
pub(super) struct PagedAttention<'a> {
    pub(super) cache: &'a KvCache,
    pub(super) segments: &'a [Segment],
    pub(super) layer: usize,
    pub(super) watch: Option<&'a dyn Watch>,
}

impl CustomOp3 for PagedAttention<'_> {
    fn name(&self) -> &'static str {
        "paged-attention"
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
        let queries = f32_slice(s1, l1)?;
        let mut out = vec![0f32; queries.len()];
        let inputs = PagedAttentionInputs {
            queries,
            keys: cached(s2, l2)?,
            values: cached(s3, l3)?,
            segments: self.segments,
            heads: self.cache.heads,
            key_value_heads: self.cache.key_value_heads,
            head_dim: self.cache.head_dim,
            sliding_window: self.cache.sliding_window,
            layer: self.layer,
            watch: self.watch,
        };
        paged_attention(&inputs, &mut out);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}
