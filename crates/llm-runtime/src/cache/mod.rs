//! The key/value cache: blocks of positions, shared between sequences through a [`PrefixTree`].

mod prefix_tree;

pub(crate) use prefix_tree::{NodeId, PrefixTree, common_prefix};

use candle_core::{
    CpuStorage, CustomOp3, D, DType, Device, InplaceOp1, InplaceOp2, Layout, Result, Shape, Tensor, bail,
};

use crate::kernels::{PagedAttentionInputs, Segment, Watch, paged_attention};
use crate::llama::Attention;
use crate::ops::f32_slice;
use crate::{Error, LlamaConfig};

pub(crate) use crate::kernels::BLOCK_SIZE;

/// Keys and values of all layers in blocks of [`BLOCK_SIZE`] positions.
///
/// Each layer has two f32 tensors `[blocks · BLOCK_SIZE, key_value_heads, head_dim]`; on the CPU the keys are
/// `[blocks, key_value_heads, head_dim, BLOCK_SIZE]`, as the attention kernel wants them, and the system hands out memory
/// only when a block is first written.
pub(crate) struct KvCache {
    layers: Vec<(Tensor, Tensor)>,
    heads: usize,
    key_value_heads: usize,
    head_dim: usize,
    sliding_window: Option<usize>,
}

impl KvCache {
    /// Bytes of one block over all layers.
    pub(crate) fn block_bytes(config: &LlamaConfig) -> u64 {
        (config.layers * 2 * BLOCK_SIZE * config.key_value_heads * config.head_dim * size_of::<f32>()) as u64
    }

    pub(crate) fn new(config: &LlamaConfig, blocks: usize, device: &Device) -> std::result::Result<Self, Error> {
        let rows = (blocks * BLOCK_SIZE, config.key_value_heads, config.head_dim);
        let transposed = (blocks, config.key_value_heads, config.head_dim, BLOCK_SIZE);
        let keys = || match device.is_cpu() {
            true => Tensor::zeros(transposed, DType::F32, device),
            false => Tensor::zeros(rows, DType::F32, device),
        };
        let values = || Tensor::zeros(rows, DType::F32, device);
        let layers = (0..config.layers).map(|_| Ok((keys()?, values()?))).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            layers,
            heads: config.heads,
            key_value_heads: config.key_value_heads,
            head_dim: config.head_dim,
            sliding_window: config.sliding_window,
        })
    }

    /// Copies a block to another, in every layer.
    pub(crate) fn copy_block(&self, from: u32, to: u32) -> std::result::Result<(), Error> {
        let (from, to) = (from as usize, to as usize);
        for tensor in self.layers.iter().flat_map(|(keys, values)| [keys, values]) {
            if tensor.device().is_cpu() {
                tensor.inplace_op1(&CopyBlock {
                    from,
                    to,
                    values: BLOCK_SIZE * self.key_value_heads * self.head_dim,
                })?;
            } else {
                let block = tensor.narrow(0, from * BLOCK_SIZE, BLOCK_SIZE)?.copy()?;
                tensor.slice_set(&block, 0, to * BLOCK_SIZE)?;
            }
        }
        Ok(())
    }

    /// The cache as the attention of one step: row `i` of the step is written to `slots[i]`.
    pub(crate) fn step<'a>(
        &'a self,
        slots: &'a [u32],
        segments: &'a [Segment],
        watch: Option<&'a mut dyn Watch>,
    ) -> StepAttention<'a> {
        StepAttention { cache: self, slots, segments, watch }
    }
}

/// Attention of one step's rows over the cache, which it extends.
pub(crate) struct StepAttention<'a> {
    cache: &'a KvCache,
    slots: &'a [u32],
    segments: &'a [Segment],
    watch: Option<&'a mut dyn Watch>,
}

impl Attention for StepAttention<'_> {
    fn attend(&mut self, layer: usize, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        let (cached_keys, cached_values) = &self.cache.layers[layer];
        let mixed = if queries.device().is_cpu() {
            cached_keys.inplace_op2(&keys.contiguous()?, &WriteKeys { slots: self.slots })?;
            cached_values.inplace_op2(&values.contiguous()?, &WriteRows { slots: self.slots })?;
            let op = PagedAttention { cache: self.cache, segments: self.segments, layer, watch: self.watch.as_deref() };
            queries.apply_op3_no_bwd(cached_keys, cached_values, &op)?
        } else {
            set_rows(cached_keys, keys, self.slots)?;
            set_rows(cached_values, values, self.slots)?;
            self.attend_composed(layer, queries, cached_keys, cached_values)?
        };
        if let Some(watch) = &mut self.watch {
            watch.finish_layer(layer);
        }
        mixed.reshape((queries.dim(0)?, self.cache.heads * self.cache.head_dim))
    }
}

impl StepAttention<'_> {
    /// The same attention from candle's operators, for devices without a kernel of ours.
    fn attend_composed(&self, layer: usize, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        let parts = self
            .segments
            .iter()
            .map(|segment| {
                let queries = queries.narrow(0, segment.rows.start, segment.rows.len())?;
                self.attend_segment(layer, segment, &queries, keys, values)
            })
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }

    fn attend_segment(
        &self,
        layer: usize,
        segment: &Segment,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor> {
        let (rows, heads, dim) = queries.dims3()?;
        let context = segment.first_position + rows;
        let groups = self.cache.key_value_heads;
        let slots: Vec<u32> = (0..context).map(|position| slot(&segment.blocks, position)).collect();
        let slots = Tensor::new(slots, queries.device())?;
        // [groups, context, dim]
        let keys = keys.index_select(&slots, 0)?.transpose(0, 1)?.contiguous()?;
        let values = values.index_select(&slots, 0)?.transpose(0, 1)?.contiguous()?;
        // [groups, heads of a group · rows, dim]
        let queries = queries.transpose(0, 1)?.contiguous()?.reshape((groups, heads / groups * rows, dim))?;
        let scores = (queries.matmul(&keys.t()?)? * (1.0 / (dim as f64).sqrt()))?;
        let mask = self.mask(segment.first_position, rows, context, queries.device())?;
        let scores = scores.reshape((heads, rows, context))?.broadcast_add(&mask)?;
        let scores = self.edited(layer, segment, scores)?;
        let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
        self.show(layer, segment, &weights)?;
        let mixed = weights.reshape((groups, heads / groups * rows, context))?.matmul(&values)?;
        mixed.reshape((heads, rows, dim))?.transpose(0, 1)?.contiguous()
    }

    /// Scores `[heads, rows, context]` after the edits of whoever watches.
    fn edited(&self, layer: usize, segment: &Segment, scores: Tensor) -> Result<Tensor> {
        let Some(watch) = self.watch.as_deref() else { return Ok(scores) };
        // Edits add to scores, so adding them to zeros gives what is to be added.
        let (heads, rows, context) = scores.dims3()?;
        let mut added = vec![0f32; heads * rows * context];
        for (at, added) in added.chunks_exact_mut(context).enumerate() {
            let seen = self.seen(segment, at % rows);
            watch.edit(layer, segment.rows.start + at % rows, at / rows, seen.start, &mut added[seen]);
        }
        match added.iter().all(|added| *added == 0.0) {
            true => Ok(scores),
            false => scores + Tensor::from_vec(added, (heads, rows, context), self.cache.layers[layer].0.device())?,
        }
    }

    /// Shows weights `[heads, rows, context]` to whoever watches.
    fn show(&self, layer: usize, segment: &Segment, weights: &Tensor) -> Result<()> {
        let Some(watch) = self.watch.as_deref() else { return Ok(()) };
        let (_, rows, _) = weights.dims3()?;
        for row in (0..rows).filter(|row| watch.sees(layer, segment.rows.start + row)) {
            let seen = self.seen(segment, row);
            for (head, weights) in weights.narrow(1, row, 1)?.squeeze(1)?.to_vec2::<f32>()?.iter().enumerate() {
                watch.see(layer, segment.rows.start + row, head, seen.start, &weights[seen.clone()]);
            }
        }
        Ok(())
    }

    /// Positions that a row of a segment, counted from its first, sees.
    fn seen(&self, segment: &Segment, row: usize) -> std::ops::Range<usize> {
        let end = segment.first_position + row + 1;
        self.cache.sliding_window.map_or(0, |window| end.saturating_sub(window))..end
    }

    /// `[rows, context]`: 0 where a row sees a position, -inf elsewhere.
    fn mask(&self, first_position: usize, rows: usize, context: usize, device: &Device) -> Result<Tensor> {
        let window = self.cache.sliding_window.unwrap_or(usize::MAX);
        let mask: Vec<f32> = (first_position..first_position + rows)
            .flat_map(|at| (0..context).map(move |seen| (at, seen)))
            .map(|(at, seen)| if seen <= at && at - seen < window { 0.0 } else { f32::NEG_INFINITY })
            .collect();
        Tensor::from_vec(mask, (rows, context), device)
    }
}

/// Where a position of a sequence lies in the cache.
pub(crate) fn slot(blocks: &[u32], position: usize) -> u32 {
    blocks[position / BLOCK_SIZE] * BLOCK_SIZE as u32 + (position % BLOCK_SIZE) as u32
}

/// Writes rows to their slots; consecutive slots go in one copy.
fn set_rows(cache: &Tensor, rows: &Tensor, slots: &[u32]) -> Result<()> {
    let rows = rows.contiguous()?;
    let mut start = 0;
    while start < slots.len() {
        let run = slots[start..].windows(2).take_while(|pair| pair[1] == pair[0] + 1).count() + 1;
        cache.slice_set(&rows.narrow(0, start, run)?, 0, slots[start] as usize)?;
        start += run;
    }
    Ok(())
}

fn f32_slice_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let (Some((start, end)), CpuStorage::F32(values)) = (layout.contiguous_offsets(), storage) else {
        bail!("the cache must be a contiguous f32 tensor")
    };
    Ok(&mut values[start..end])
}

struct WriteRows<'a> {
    slots: &'a [u32],
}

impl InplaceOp2 for WriteRows<'_> {
    fn name(&self) -> &'static str {
        "cache-write-rows"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let width: usize = l1.shape().dims()[1..].iter().product();
        let (cache, rows) = (f32_slice_mut(s1, l1)?, f32_slice(s2, l2)?);
        for (row, slot) in rows.chunks_exact(width).zip(self.slots) {
            cache[*slot as usize * width..][..width].copy_from_slice(row);
        }
        Ok(())
    }
}

/// Writes key rows `[key_value_heads, head_dim]` into transposed blocks.
struct WriteKeys<'a> {
    slots: &'a [u32],
}

impl InplaceOp2 for WriteKeys<'_> {
    fn name(&self) -> &'static str {
        "cache-write-keys"
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let (_, heads, dim, _) = l1.shape().dims4()?;
        let width = heads * dim;
        let (cache, rows) = (f32_slice_mut(s1, l1)?, f32_slice(s2, l2)?);
        for (row, slot) in rows.chunks_exact(width).zip(self.slots) {
            let (block, offset) = (*slot as usize / BLOCK_SIZE, *slot as usize % BLOCK_SIZE);
            let block = &mut cache[block * width * BLOCK_SIZE..][..width * BLOCK_SIZE];
            for (lanes, value) in block.chunks_exact_mut(BLOCK_SIZE).zip(row) {
                lanes[offset] = *value;
            }
        }
        Ok(())
    }
}

struct CopyBlock {
    from: usize,
    to: usize,
    values: usize,
}

impl InplaceOp1 for CopyBlock {
    fn name(&self) -> &'static str {
        "cache-copy-block"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let from = self.from * self.values..(self.from + 1) * self.values;
        f32_slice_mut(storage, layout)?.copy_within(from, self.to * self.values);
        Ok(())
    }
}

struct PagedAttention<'a> {
    cache: &'a KvCache,
    segments: &'a [Segment],
    layer: usize,
    watch: Option<&'a dyn Watch>,
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
            keys: f32_slice(s2, l2)?,
            values: f32_slice(s3, l3)?,
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Weakens one position for one head, and keeps what it sees.
    #[derive(Default)]
    struct Note(Mutex<Vec<Seen>>);

    /// Row, head, first position and weights.
    type Seen = (usize, usize, usize, Vec<f32>);

    impl Watch for Note {
        fn edit(&self, _layer: usize, row: usize, head: usize, start: usize, scores: &mut [f32]) {
            if row == 9 && head == 1 {
                scores[5 - start] += f32::ln(0.25);
            }
        }
        fn sees(&self, layer: usize, row: usize) -> bool {
            layer == 0 && row != 1
        }
        fn see(&self, _layer: usize, row: usize, head: usize, start: usize, weights: &[f32]) {
            self.0.lock().unwrap().push((row, head, start, weights.to_vec()));
        }
        fn finish_layer(&mut self, _layer: usize) {
            self.0.get_mut().unwrap().sort_by_key(|(row, head, ..)| (*row, *head));
        }
    }

    fn cache(sliding_window: Option<usize>) -> KvCache {
        let zeros = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let layers = vec![(zeros((4, 2, 8, BLOCK_SIZE)), zeros((1, 4 * BLOCK_SIZE, 2, 8)).squeeze(0).unwrap())];
        KvCache { layers, heads: 4, key_value_heads: 2, head_dim: 8, sliding_window }
    }

    /// Devices without a kernel of ours attend, show and edit like the kernel.
    #[test]
    fn composed_attention_is_watched_and_edited_like_the_kernel() {
        for window in [None, Some(6)] {
            let cache = cache(window);
            let random = |shape: (usize, usize, usize)| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
            let rows = 20;
            let (queries, keys, values) = (random((rows, 4, 8)), random((rows, 2, 8)), random((rows, 2, 8)));
            let blocks = vec![2, 0];
            let slots: Vec<u32> = (0..rows).map(|position| slot(&blocks, position)).collect();
            let segments = [Segment { rows: 0..rows, first_position: 0, blocks }];
            let (mut kernel, mut composed) = (Note::default(), Note::default());
            let mixed = cache.step(&slots, &segments, Some(&mut kernel)).attend(0, &queries, &keys, &values).unwrap();

            let flat = || Tensor::zeros((64, 2, 8), DType::F32, &Device::Cpu).unwrap();
            let (flat_keys, flat_values) = (flat(), flat());
            set_rows(&flat_keys, &keys, &slots).unwrap();
            set_rows(&flat_values, &values, &slots).unwrap();
            let step = cache.step(&slots, &segments, Some(&mut composed));
            let other = step.attend_composed(0, &queries, &flat_keys, &flat_values).unwrap();
            composed.finish_layer(0);

            let close = |left: &[f32], right: &[f32]| {
                assert_eq!(left.len(), right.len());
                assert!(left.iter().zip(right).all(|(left, right)| (left - right).abs() < 1e-5));
            };
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            close(&values(&mixed), &values(&other));
            let (kernel, composed) = (kernel.0.into_inner().unwrap(), composed.0.into_inner().unwrap());
            assert_eq!(kernel.len(), 19 * 4);
            for (left, right) in kernel.iter().zip(&composed) {
                assert_eq!((left.0, left.1, left.2), (right.0, right.1, right.2));
                close(&left.3, &right.3);
            }
        }
    }
}
