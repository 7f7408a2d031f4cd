//! Attention over the cache: what the host plans for a step, and the launches for each layer.

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaView, PushKernelArg};
use candle_core::{CudaDevice, CudaStorage, Device, Layout, Result, Storage, Tensor, bail};

use super::cached::{Cached, CachedMut};
use super::{grid, ptx, room, values};
use crate::kernels::{BLOCK_SIZE, Segment};

/// Query vectors that a task can have; there is a kernel for each.
const VECTORS: [usize; 3] = [4, 8, 16];
/// Head widths that there are kernels for.
const HEAD_DIMS: [usize; 4] = [16, 32, 64, 128];
/// Rows of a segment up to which its keys are split. Long segments have tasks enough.
const SPLIT_ROWS: usize = 16;
/// Keys of a range, where they are split.
const SPLIT_KEYS: usize = 64;
/// As the kernel has it.
const WHOLE: u32 = u32::MAX;
const TASK_WORDS: usize = 8;
const MERGE_WORDS: usize = 3;

/// Heads of a model, as attention needs to know them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) key_value_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) sliding_window: Option<usize>,
}

/// What all layers of a step share: who attends to what, and where new rows are written. One copy to the device.
pub(crate) struct DevicePlan {
    heads: Heads,
    vectors: usize,
    tasks: usize,
    merges: usize,
    parts: usize,
    rows: usize,
    /// Tasks, merges, the slots of the step's rows, and the sequences' blocks.
    words: Tensor,
}

/// Collects a step's tasks, merges and tables.
struct Planner {
    heads: Heads,
    rows_of_task: usize,
    tasks: Vec<u32>,
    merges: Vec<u32>,
    tables: Vec<u32>,
    parts: usize,
}

impl DevicePlan {
    /// Plans a step; none where there is no kernel for such heads.
    pub(crate) fn new(heads: Heads, slots: &[u32], segments: &[Segment], device: &Device) -> Result<Option<Self>> {
        let group = heads.heads / heads.key_value_heads;
        let longest = segments.iter().map(|segment| segment.rows.len()).max().unwrap_or(0);
        let wanted = VECTORS.into_iter().find(|vectors| *vectors >= group * longest);
        let vectors = wanted.unwrap_or(VECTORS[VECTORS.len() - 1]);
        if vectors < group || !HEAD_DIMS.contains(&heads.head_dim) {
            return Ok(None);
        }
        let (tasks, merges, tables) = (Vec::new(), Vec::new(), Vec::new());
        let mut planner = Planner { heads, rows_of_task: vectors / group, tasks, merges, tables, parts: 0 };
        segments.iter().for_each(|segment| planner.add(segment));
        let Planner { tasks, merges, tables, parts, .. } = planner;
        let counts = (tasks.len() / TASK_WORDS, merges.len() / MERGE_WORDS);
        let words = Tensor::new([tasks, merges, slots.to_vec(), tables].concat(), device)?;
        Ok(Some(Self { heads, vectors, tasks: counts.0, merges: counts.1, parts, rows: slots.len(), words }))
    }
}

impl Planner {
    fn add(&mut self, segment: &Segment) {
        let table = self.tables.len();
        self.tables.extend(&segment.blocks);
        let rows = segment.rows.len();
        // The last rows see most: they come first.
        for first in (0..rows).step_by(self.rows_of_task).rev() {
            let count = self.rows_of_task.min(rows - first);
            let position = segment.first_position + first;
            let window = self.heads.sliding_window.unwrap_or(usize::MAX);
            let (from, to) = ((position + 1).saturating_sub(window), position + count);
            let splits = if rows > SPLIT_ROWS { 1 } else { (to - from).div_ceil(SPLIT_KEYS) };
            let row = segment.rows.start + first;
            let task = |keys: std::ops::Range<usize>, part: u32| {
                [row, count, position, table, keys.start, keys.end]
                    .map(|word| word as u32)
                    .into_iter()
                    .chain([part, splits as u32])
            };
            if splits == 1 {
                self.tasks.extend(task(from..to, WHOLE));
                continue;
            }
            for split in 0..splits {
                let start = from + split * SPLIT_KEYS;
                self.tasks.extend(task(start..to.min(start + SPLIT_KEYS), (self.parts + split) as u32));
            }
            for of_row in 0..count {
                let first_part = self.parts + of_row * splits;
                self.merges.extend([row + of_row, first_part, splits].map(|word| word as u32));
            }
            self.parts += count * splits;
        }
    }
}

impl DevicePlan {
    /// The words on the device, handed to a function as tasks, merges, slots and tables.
    fn with_words<R>(&self, then: impl FnOnce([CudaView<'_, u32>; 4]) -> Result<R>) -> Result<R> {
        let (storage, layout) = self.words.storage_and_layout();
        let (Storage::Cuda(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else {
            bail!("a plan for another device")
        };
        let words = storage.as_cuda_slice::<u32>()?;
        let merges = start + self.tasks * TASK_WORDS;
        let slots = merges + self.merges * MERGE_WORDS;
        let tables = slots + self.rows;
        then([
            words.slice(start..merges),
            words.slice(merges..slots),
            words.slice(slots..tables),
            words.slice(tables..end),
        ])
    }
}

fn function(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    Ok(device.get_or_load_custom_func(name, "solace-attention", ptx::ATTENTION)?.into_cuda_function())
}

/// Writes the step's rows `[rows, key_value_heads, head_dim]` to their slots of a cache.
pub(crate) fn write_rows(
    plan: &DevicePlan,
    cache: (&mut CudaStorage, &Layout),
    rows: (&CudaStorage, &Layout),
) -> Result<()> {
    let device = rows.0.device.clone();
    let rows = values(rows.0, rows.1)?;
    let Some((start, _)) = cache.1.contiguous_offsets() else { bail!("the cache is not contiguous") };
    let width = plan.heads.key_value_heads * plan.heads.head_dim;
    if rows.len() != plan.rows * width {
        bail!("{} values for {} rows of {width}", rows.len(), plan.rows)
    }
    let mut cache = CachedMut::of(cache.0, start)?;
    let kernel = super::function(&device, &format!("write_rows_{}", cache.type_name()))?;
    let stream = device.cuda_stream();
    let pieces = width / 4;
    let blocks = (plan.rows, pieces.div_ceil(super::THREADS as usize));
    plan.with_words(|[_, _, slots, _]| {
        let pieces = pieces as u32;
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&rows).arg(&slots);
        match &mut cache {
            CachedMut::F32(cache) => launch.arg(cache),
            CachedMut::F16(cache) => launch.arg(cache),
        };
        launch.arg(&pieces);
        // SAFETY: rows are as many as slots, which the scheduler gives and the cache has; a width of heads is a multiple of 4.
        unsafe { launch.launch(grid(blocks, super::THREADS)) }.w()?;
        Ok(())
    })
}

/// `softmax(q kᵀ / √d) v` of the step's rows over the cache; queries are `[rows, heads, head_dim]`, as is what it gives.
pub(crate) fn attend(
    plan: &DevicePlan,
    queries: (&CudaStorage, &Layout),
    keys: (&CudaStorage, &Layout),
    cached_values: (&CudaStorage, &Layout),
) -> Result<CudaStorage> {
    let Heads { heads, key_value_heads, head_dim, sliding_window } = plan.heads;
    let device = queries.0.device.clone();
    let queries = values(queries.0, queries.1)?;
    if queries.len() != plan.rows * heads * head_dim {
        bail!("{} values for {} rows of {heads} heads of {head_dim}", queries.len(), plan.rows)
    }
    let (keys, cached_values) = (Cached::of(keys.0, keys.1)?, Cached::of(cached_values.0, cached_values.1)?);
    if keys.type_name() != cached_values.type_name() {
        bail!("keys of {} and values of {}", keys.type_name(), cached_values.type_name())
    }
    let mut out = room(&device, queries.len())?;
    let mut parts = room(&device, plan.parts.max(1) * heads * head_dim)?;
    let mut part_sums = room(&device, plan.parts.max(1) * heads * 2)?;
    let kernel = function(&device, &format!("attend_{}_{head_dim}_{}", keys.type_name(), plan.vectors))?;
    let (key_heads, group) = (key_value_heads as u32, (heads / key_value_heads) as u32);
    let window = sliding_window.map_or(u32::MAX, |window| window as u32);
    let scale = 1.0 / (head_dim as f32).sqrt();
    let stream = device.cuda_stream();
    plan.with_words(|[tasks, merges, _, tables]| {
        let mut launch = stream.launch_builder(&kernel);
        launch.arg(&queries);
        for cached in [&keys, &cached_values] {
            match cached {
                Cached::F32(cached) => launch.arg(cached),
                Cached::F16(cached) => launch.arg(cached),
            };
        }
        launch.arg(&tasks).arg(&tables);
        launch.arg(&mut out).arg(&mut parts).arg(&mut part_sums).arg(&key_heads).arg(&group).arg(&window).arg(&scale);
        // SAFETY: tasks name rows of the queries, blocks of the cache and parts that there are room for; a task has at most as many vectors as the kernel.
        unsafe { launch.launch(grid((plan.tasks, key_value_heads), ATTEND_THREADS)) }.w()?;
        if plan.merges > 0 {
            let kernel = function(&device, "merge")?;
            let mut launch = stream.launch_builder(&kernel);
            launch.arg(&parts).arg(&part_sums).arg(&merges).arg(&mut out);
            // SAFETY: merges name rows of the output and parts that `attend` has written.
            unsafe { launch.launch(grid((plan.merges, heads), head_dim as u32)) }.w()?;
        }
        Ok(())
    })?;
    Ok(CudaStorage::wrap_cuda_slice(out, device))
}

/// As the kernel has it.
const ATTEND_THREADS: u32 = 128;

const _: () = assert!(BLOCK_SIZE == 16, "the kernel knows blocks of 16 positions");
