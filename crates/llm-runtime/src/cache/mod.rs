//! The key/value cache: blocks of positions, shared between sequences through a [`PrefixTree`].

mod cpu;
#[cfg(feature = "cuda")]
mod device;
mod kv_type;
mod prefix_tree;

pub use kv_type::KvType;
pub(crate) use prefix_tree::{NodeId, PrefixTree, common_prefix};

use std::cell::OnceCell;
use std::ops::Range;

use candle_core::{D, DType, Device, Result, Shape, Tensor};
use half::f16;
use half::vec::HalfBitsVecExt;

use crate::kernels::{Segment, Watch};
use crate::llama::Attention;
use crate::{Error, LlamaConfig};

pub(crate) use crate::kernels::BLOCK_SIZE;

/// Keys and values of all layers in blocks of [`BLOCK_SIZE`] positions.
///
/// Each layer has two tensors `[blocks · BLOCK_SIZE, key_value_heads, head_dim]` of f32 or f16; on the CPU they
/// have the shapes that the attention kernel wants, and the system hands out memory only when a block is first written.
pub(crate) struct KvCache {
    layers: Vec<(Tensor, Tensor)>,
    heads: usize,
    key_value_heads: usize,
    head_dim: usize,
    sliding_window: Option<usize>,
}

impl KvCache {
    /// Bytes of one block over all layers.
    pub(crate) fn block_bytes(config: &LlamaConfig, kv_type: KvType) -> u64 {
        let values = config.layers * 2 * BLOCK_SIZE * config.key_value_heads * config.head_dim;
        (values * kv_type.dtype().size_in_bytes()) as u64
    }

    pub(crate) fn new(
        config: &LlamaConfig,
        kv_type: KvType,
        blocks: usize,
        device: &Device,
    ) -> std::result::Result<Self, Error> {
        let rows = Shape::from((blocks * BLOCK_SIZE, config.key_value_heads, config.head_dim));
        let (keys, values) = match device.is_cpu() {
            true => cpu::shapes(blocks, config.key_value_heads, config.head_dim),
            false => (rows.clone(), rows),
        };
        let layer = |_| Ok((zeros(&keys, kv_type, device)?, zeros(&values, kv_type, device)?));
        let layers = (0..config.layers).map(layer).collect::<Result<Vec<_>>>()?;
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
                tensor.inplace_op1(&cpu::CopyBlock {
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
        StepAttention {
            cache: self,
            slots,
            segments,
            watch,
            composed: OnceCell::new(),
            #[cfg(feature = "cuda")]
            plan: OnceCell::new(),
        }
    }
}

/// Zeros, which take memory of the CPU only when they are first written: the system's own. A vector of `f16` would be written at once.
fn zeros(shape: &Shape, kv_type: KvType, device: &Device) -> Result<Tensor> {
    match kv_type {
        KvType::F16 if device.is_cpu() => {
            Tensor::from_vec(vec![0u16; shape.elem_count()].reinterpret_into::<f16>(), shape, device)
        }
        _ => Tensor::zeros(shape, kv_type.dtype(), device),
    }
}

/// Attention of one step's rows over the cache, which it extends.
pub(crate) struct StepAttention<'a> {
    cache: &'a KvCache,
    slots: &'a [u32],
    segments: &'a [Segment],
    watch: Option<&'a mut dyn Watch>,
    composed: OnceCell<Composed>,
    /// What CUDA kernels need, if there are any for this step.
    #[cfg(feature = "cuda")]
    plan: OnceCell<Option<crate::kernels::cuda::DevicePlan>>,
}

/// What attention from candle's operators needs in every layer of a step alike. A copy to a device waits for it, so there is one a step and not one a layer.
struct Composed {
    /// For each row of the step where it is written, `[rows, key_value_heads, head_dim]`, if the rows are few.
    slots: Option<Tensor>,
    groups: Vec<SegmentGroup>,
}

/// Neighbouring segments of as many rows each, which are attended to together.
struct SegmentGroup {
    segments: Range<usize>,
    /// Rows of each segment.
    rows: usize,
    /// Positions that the longest of them sees.
    context: usize,
    /// Where the positions of each segment lie, `[segments · context]`.
    slots: Tensor,
    /// `[segments, 1, rows, context]`: 0 where a row sees a position, -inf elsewhere.
    mask: Tensor,
}

/// Rows up to which a step writes them to the cache in one go: candle's scatter goes through them one after the other.
const SCATTERED_ROWS: usize = 64;

/// Scores of a group at most, in values: more segments than that are attended to one group after the other.
const GROUP_SCORES: usize = 1 << 26;

impl Attention for StepAttention<'_> {
    fn attend(&mut self, layer: usize, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        let (cached_keys, cached_values) = &self.cache.layers[layer];
        let mixed = if queries.device().is_cpu() {
            cached_keys.inplace_op2(&keys.contiguous()?, &cpu::WriteKeys { slots: self.slots })?;
            cached_values.inplace_op2(&values.contiguous()?, &cpu::WriteValues { slots: self.slots })?;
            let (cache, segments, watch) = (self.cache, self.segments, self.watch.as_deref());
            let op = cpu::PagedAttention { cache, segments, layer, watch };
            queries.apply_op3_no_bwd(cached_keys, cached_values, &op)?
        } else if let Some(mixed) =
            self.attend_by_device_kernel(queries, (cached_keys, keys), (cached_values, values))?
        {
            mixed
        } else {
            self.write_composed(cached_keys, keys)?;
            self.write_composed(cached_values, values)?;
            self.attend_composed(layer, queries, cached_keys, cached_values)?
        };
        if let Some(watch) = &mut self.watch {
            watch.finish_layer(layer);
        }
        mixed.reshape((queries.dim(0)?, self.cache.heads * self.cache.head_dim))
    }
}

impl StepAttention<'_> {
    /// Gives nothing where this build or device has no kernel.
    #[cfg(not(feature = "cuda"))]
    fn attend_by_device_kernel(
        &self,
        _queries: &Tensor,
        _keys: (&Tensor, &Tensor),
        _values: (&Tensor, &Tensor),
    ) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn write_composed(&self, cache: &Tensor, rows: &Tensor) -> Result<()> {
        let rows = rows.to_dtype(cache.dtype())?;
        match &self.composed(rows.device())?.slots {
            Some(slots) => cache.scatter_set(slots, &rows.contiguous()?, 0),
            None => set_rows(cache, &rows, self.slots),
        }
    }

    /// The same attention from candle's operators, for devices without a kernel of ours.
    fn attend_composed(&self, layer: usize, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        let groups = &self.composed(queries.device())?.groups;
        let parts = groups.iter().map(|group| self.attend_group(layer, group, queries, keys, values));
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
    }

    fn attend_group(
        &self,
        layer: usize,
        group: &SegmentGroup,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor> {
        let (_, heads, dim) = queries.dims3()?;
        let (segments, rows, context) = (group.segments.len(), group.rows, group.context);
        let key_groups = self.cache.key_value_heads;
        // [segments · key groups, context, dim]
        let of_group = |cache: &Tensor| {
            let rows = cache.index_select(&group.slots, 0)?.to_dtype(DType::F32)?;
            rows.reshape((segments, context, key_groups, dim))?.transpose(1, 2)?.contiguous()?.reshape((
                segments * key_groups,
                context,
                dim,
            ))
        };
        let (keys, values) = (of_group(keys)?, of_group(values)?);
        // [segments · key groups, heads of a group · rows, dim]
        let first_row = self.segments[group.segments.start].rows.start;
        let queries = queries.narrow(0, first_row, segments * rows)?.reshape((segments, rows, heads, dim))?;
        let shape = (segments * key_groups, heads / key_groups * rows, dim);
        let queries = queries.transpose(1, 2)?.contiguous()?.reshape(shape)?;
        let scores = (queries.matmul(&keys.t()?)? * (1.0 / (dim as f64).sqrt()))?;
        let scores = scores.reshape((segments, heads, rows, context))?.broadcast_add(&group.mask)?;
        let scores = self.edited(layer, group, scores)?;
        let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let weights = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
        self.show(layer, group, &weights)?;
        let mixed = weights.reshape((shape.0, shape.1, context))?.matmul(&values)?;
        mixed.reshape((segments, heads, rows, dim))?.transpose(1, 2)?.contiguous()?.reshape((
            segments * rows,
            heads,
            dim,
        ))
    }

    fn composed(&self, device: &Device) -> Result<&Composed> {
        if let Some(composed) = self.composed.get() {
            return Ok(composed);
        }
        let composed = Composed { slots: self.scattered(device)?, groups: self.groups(device)? };
        Ok(self.composed.get_or_init(|| composed))
    }

    fn scattered(&self, device: &Device) -> Result<Option<Tensor>> {
        let (rows, shape) = (self.slots.len(), (self.slots.len(), self.cache.key_value_heads, self.cache.head_dim));
        let slots = || Tensor::new(self.slots, device)?.reshape((rows, 1, 1))?.broadcast_as(shape)?.contiguous();
        (rows <= SCATTERED_ROWS).then(slots).transpose()
    }

    fn groups(&self, device: &Device) -> Result<Vec<SegmentGroup>> {
        let mut groups = Vec::new();
        let mut start = 0;
        while let Some(first) = self.segments.get(start) {
            let (rows, mut context) = (first.rows.len(), 0);
            let fitting = self.segments[start..].iter().enumerate().take_while(|(at, segment)| {
                context = context.max(segment.first_position + rows);
                let scores = (at + 1) * self.cache.heads * rows * context;
                segment.rows.len() == rows && (*at == 0 || scores <= GROUP_SCORES)
            });
            let segments = start..start + fitting.count();
            start = segments.end;
            groups.push(self.group(segments, rows, device)?);
        }
        Ok(groups)
    }

    fn group(&self, segments: Range<usize>, rows: usize, device: &Device) -> Result<SegmentGroup> {
        let members = &self.segments[segments.clone()];
        let context = members.iter().map(|segment| segment.first_position + rows).max().unwrap_or(0);
        let (mut slots, mut mask) = (Vec::new(), Vec::new());
        for segment in members {
            let positions = segment.first_position + rows;
            // Behind its end a segment reads, and does not see, its own first position.
            let position = |at| if at < positions { at } else { 0 };
            slots.extend((0..context).map(|at| slot(&segment.blocks, position(at))));
            for row in 0..rows {
                let seen = self.seen(segment, row);
                mask.extend((0..context).map(|at| if seen.contains(&at) { 0.0 } else { f32::NEG_INFINITY }));
            }
        }
        let slots = Tensor::new(slots, device)?;
        let mask = Tensor::from_vec(mask, (segments.len(), 1, rows, context), device)?;
        Ok(SegmentGroup { segments, rows, context, slots, mask })
    }

    /// Scores `[segments, heads, rows, context]` after the edits of whoever watches.
    fn edited(&self, layer: usize, group: &SegmentGroup, scores: Tensor) -> Result<Tensor> {
        let Some(watch) = self.watch.as_deref() else { return Ok(scores) };
        // Edits add to scores, so adding them to zeros gives what is to be added.
        let mut added = vec![0f32; scores.elem_count()];
        let of_segments = added.chunks_exact_mut(self.cache.heads * group.rows * group.context);
        for (segment, added) in self.segments[group.segments.clone()].iter().zip(of_segments) {
            for (at, added) in added.chunks_exact_mut(group.context).enumerate() {
                let (head, row) = (at / group.rows, at % group.rows);
                let seen = self.seen(segment, row);
                watch.edit(layer, segment.rows.start + row, head, seen.start, &mut added[seen]);
            }
        }
        match added.iter().all(|added| *added == 0.0) {
            true => Ok(scores),
            false => &scores + Tensor::from_vec(added, scores.dims(), scores.device())?,
        }
    }

    /// Shows weights `[segments, heads, rows, context]` to whoever watches.
    fn show(&self, layer: usize, group: &SegmentGroup, weights: &Tensor) -> Result<()> {
        let Some(watch) = self.watch.as_deref() else { return Ok(()) };
        for (at, segment) in self.segments[group.segments.clone()].iter().enumerate() {
            for row in (0..group.rows).filter(|row| watch.sees(layer, segment.rows.start + row)) {
                let seen = self.seen(segment, row);
                let weights = weights.get(at)?.narrow(1, row, 1)?.squeeze(1)?.to_vec2::<f32>()?;
                for (head, weights) in weights.iter().enumerate() {
                    watch.see(layer, segment.rows.start + row, head, seen.start, &weights[seen.clone()]);
                }
            }
        }
        Ok(())
    }

    /// Positions that a row of a segment, counted from its first, sees.
    fn seen(&self, segment: &Segment, row: usize) -> Range<usize> {
        let end = segment.first_position + row + 1;
        self.cache.sliding_window.map_or(0, |window| end.saturating_sub(window))..end
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

    fn cache(sliding_window: Option<usize>, kv_type: KvType) -> KvCache {
        let (keys, values) = cpu::shapes(4, 2, 8);
        let layers = vec![[keys, values].map(|shape| zeros(&shape, kv_type, &Device::Cpu).unwrap()).into()];
        KvCache { layers, heads: 4, key_value_heads: 2, head_dim: 8, sliding_window }
    }

    /// Devices without a kernel of ours attend, show and edit like the kernel; segments of as many rows do so together, whatever their lengths.
    #[test]
    fn composed_attention_is_watched_and_edited_like_the_kernel() {
        for (window, kv_type) in [(None, KvType::F32), (Some(6), KvType::F32), (None, KvType::F16)] {
            let cache = cache(window, kv_type);
            let random = |shape: (usize, usize, usize)| Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap();
            let rows = 24;
            let (queries, keys, values) = (random((rows, 4, 8)), random((rows, 2, 8)), random((rows, 2, 8)));
            let segment =
                |rows: Range<usize>, blocks: &[u32]| Segment { rows, first_position: 0, blocks: blocks.into() };
            let later = Segment { rows: 20..22, first_position: 18, blocks: vec![2, 0] };
            let segments = [segment(0..18, &[2, 0]), segment(18..20, &[1]), later, segment(22..24, &[3])];
            let slots: Vec<u32> = segments
                .iter()
                .flat_map(|segment| {
                    let positions = segment.first_position..segment.first_position + segment.rows.len();
                    positions.map(|position| slot(&segment.blocks, position))
                })
                .collect();
            let (mut kernel, mut composed) = (Note::default(), Note::default());
            let mixed = cache.step(&slots, &segments, Some(&mut kernel)).attend(0, &queries, &keys, &values).unwrap();

            let step = cache.step(&slots, &segments, Some(&mut composed));
            let grouped: Vec<_> = step.groups(&Device::Cpu).unwrap().into_iter().map(|group| group.segments).collect();
            assert_eq!(grouped, [0..1, 1..4]);
            let flat = || zeros(&Shape::from((64, 2, 8)), kv_type, &Device::Cpu).unwrap();
            let (flat_keys, flat_values, in_runs) = (flat(), flat(), flat());
            step.write_composed(&flat_keys, &keys).unwrap();
            step.write_composed(&flat_values, &values).unwrap();
            set_rows(&in_runs, &values.to_dtype(kv_type.dtype()).unwrap(), &slots).unwrap();
            let other = step.attend_composed(0, &queries, &flat_keys, &flat_values).unwrap();
            drop(step);
            composed.finish_layer(0);

            let close = |left: &[f32], right: &[f32]| {
                assert_eq!(left.len(), right.len());
                assert!(left.iter().zip(right).all(|(left, right)| (left - right).abs() < 1e-5));
            };
            let values =
                |tensor: &Tensor| tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&in_runs), values(&flat_values));
            close(&values(&mixed), &values(&other));
            let (kernel, composed) = (kernel.0.into_inner().unwrap(), composed.0.into_inner().unwrap());
            assert_eq!(kernel.len(), 23 * 4);
            for (left, right) in kernel.iter().zip(&composed) {
                assert_eq!((left.0, left.1, left.2), (right.0, right.1, right.2));
                close(&left.3, &right.3);
            }
        }
    }
}
