//! Attention of query rows over keys and values that lie in cache blocks.
//!
//! For query row `i` of head `h` at position `p`: `Σ_j softmax_j(q_i · k_j / √d) · v_j` over positions `j ≤ p` (with a sliding
//! window of `w` positions: `p - w < j ≤ p`). A head's keys or values of a block lie together. Keys lie transposed there, so that sixteen scores come from
//! one pass over the head's dimensions. A task takes a few neighbouring rows of one key head and all query heads that
//! share it. It takes one block of keys, and later of values, after the other and lets all its query vectors meet it, in
//! tiles of up to four, while it lies in the first-level cache. Every score is summed over ascending dimensions and every
//! output over ascending positions, whatever the tile. Where the cache has values of 16 bits, a block is widened when the task
//! comes to it: all arithmetic is in 32 bits.

use std::ops::Range;

use half::f16;
use rayon::prelude::*;

use super::SharedOut;
use super::dot::{Simd, multiply_add, prefetch};
use super::exp::softmax_in_place;
use super::half_precision::widen;

/// Positions per cache block, and lanes of a score vector.
pub(crate) const BLOCK_SIZE: usize = 16;

/// Consecutive query rows of one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Rows of the query tensor.
    pub(crate) rows: Range<usize>,
    /// Position of the first row; the cache holds all positions up to the last row's.
    pub(crate) first_position: usize,
    /// Cache blocks of the sequence, in order of position.
    pub(crate) blocks: Vec<u32>,
}

/// Looks at single rows of attention, and may change them, while they are computed. Called from many threads at a time, once
/// for each row and head.
pub(crate) trait Watch: Send + Sync {
    /// May change a row's scores before the softmax. `scores[i]` is that of position `start + i`; the last is the row's own.
    fn edit(&self, layer: usize, row: usize, head: usize, start: usize, scores: &mut [f32]);

    /// Whether a row is looked at in this layer.
    fn sees(&self, layer: usize, row: usize) -> bool;

    /// Sees a row's weights after the softmax, laid out like the scores.
    fn see(&self, layer: usize, row: usize, head: usize, start: usize, weights: &[f32]);

    /// All rows and heads of a layer were seen.
    fn finish_layer(&mut self, layer: usize);
}

/// Keys or values of a cache.
#[derive(Clone, Copy)]
pub(crate) enum Cached<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

impl<'a> Cached<'a> {
    /// Its part of that number; `widened` is as long as one.
    #[inline(always)]
    fn part<'b>(self, number: usize, widened: &'b mut [f32]) -> &'b [f32]
    where
        'a: 'b,
    {
        let length = widened.len();
        match self {
            Self::F32(values) => &values[number * length..][..length],
            Self::F16(values) => {
                widen(&values[number * length..][..length], widened);
                widened
            }
        }
    }

    /// Asks for a part that will be needed soon.
    #[inline(always)]
    fn ask_for(self, number: usize, length: usize) {
        let places = number * length..(number + 1) * length;
        match self {
            Self::F32(values) => ask_for(values, places),
            Self::F16(values) => ask_for(values, places),
        }
    }
}

/// One value of each line of the cache: the lines of 64 bytes come whole.
#[inline(always)]
fn ask_for<T>(values: &[T], places: Range<usize>) {
    places.step_by(64 / size_of::<T>()).for_each(|at| prefetch(values, at));
}

/// What [`paged_attention`] reads.
pub(crate) struct PagedAttentionInputs<'a> {
    /// `[rows, heads, head_dim]`
    pub(crate) queries: &'a [f32],
    /// `[blocks, key_value_heads, head_dim, BLOCK_SIZE]`
    pub(crate) keys: Cached<'a>,
    /// `[blocks, key_value_heads, BLOCK_SIZE, head_dim]`
    pub(crate) values: Cached<'a>,
    pub(crate) segments: &'a [Segment],
    pub(crate) heads: usize,
    pub(crate) key_value_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) sliding_window: Option<usize>,
    pub(crate) layer: usize,
    pub(crate) watch: Option<&'a dyn Watch>,
}

/// Query vectors of one task, at most, unless one row has more.
const VECTORS: usize = 32;
/// Query vectors that meet a block together.
const TILE: usize = 4;

/// A task: rows of a segment (counted from its first), one key head.
struct Task<'a> {
    segment: &'a Segment,
    rows: Range<usize>,
    key_head: usize,
}

/// Fills `out` (`[rows, heads, head_dim]`).
pub(crate) fn paged_attention(inputs: &PagedAttentionInputs<'_>, out: &mut [f32]) {
    let simd = Simd::detect();
    let out = SharedOut::new(out, inputs.head_dim);
    let tasks: Vec<Task<'_>> = inputs.segments.iter().flat_map(|segment| tasks(segment, inputs)).collect();
    tasks.par_iter().for_each_init(Scratch::default, |scratch, task| match simd {
        // SAFETY: the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { run_avx512(inputs, task, scratch, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { run_avx2(inputs, task, scratch, out) },
        Simd::Portable => run::<false, 8>(inputs, task, scratch, out),
    });
}

/// The longest tasks, those at the end of a prompt, come first, so that no thread is left alone with one.
fn tasks<'a>(segment: &'a Segment, inputs: &PagedAttentionInputs<'_>) -> impl Iterator<Item = Task<'a>> + use<'a> {
    let (count, key_heads) = (segment.rows.len(), inputs.key_value_heads);
    let size = (VECTORS * key_heads / inputs.heads).max(1);
    (0..count.div_ceil(size)).rev().flat_map(move |number| {
        let rows = number * size..count.min((number + 1) * size);
        (0..key_heads).map(move |key_head| Task { segment, rows: rows.clone(), key_head })
    })
}

/// What a task works in; kept for the thread's next task.
#[derive(Default)]
struct Scratch {
    /// Scores, then weights, of each query vector over the positions of all blocks. What no query of a tile sees is not written.
    scores: Vec<f32>,
    /// `[query vectors, head_dim]`
    sums: Vec<f32>,
    /// A block's keys or values of one head.
    widened: Vec<f32>,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
fn run_avx512(inputs: &PagedAttentionInputs<'_>, task: &Task<'_>, scratch: &mut Scratch, out: SharedOut) {
    run::<true, 32>(inputs, task, scratch, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(inputs: &PagedAttentionInputs<'_>, task: &Task<'_>, scratch: &mut Scratch, out: SharedOut) {
    run::<true, 16>(inputs, task, scratch, out);
}

/// Of a head's dimensions `W` are mixed at a time: with a tile's sums they fill half of the registers.
#[inline(always)]
fn run<const FUSED: bool, const W: usize>(
    inputs: &PagedAttentionInputs<'_>,
    task: &Task<'_>,
    scratch: &mut Scratch,
    out: SharedOut,
) {
    let vectors = Vectors::new(inputs, task);
    let Scratch { scores, sums, widened } = scratch;
    if scores.len() < vectors.count * vectors.width {
        scores.resize(vectors.count * vectors.width, 0.0);
    }
    sums.clear();
    sums.resize(vectors.count * inputs.head_dim, 0.0);
    widened.resize(BLOCK_SIZE * inputs.head_dim, 0.0);
    vectors.score::<FUSED>(widened, scores);
    vectors.weigh(scores);
    vectors.mix::<FUSED, W>(widened, scores, sums);
    for (number, sums) in sums.chunks_exact(inputs.head_dim).enumerate() {
        let index = vectors.index(number);
        for (lane, sum) in sums.iter().enumerate() {
            // SAFETY: each query vector belongs to one task.
            unsafe { out.write(index, lane, *sum) };
        }
    }
}

/// The query vectors of a task, row by row and head by head, and the blocks that hold everything one of them sees.
struct Vectors<'a> {
    inputs: &'a PagedAttentionInputs<'a>,
    task: &'a Task<'a>,
    count: usize,
    /// Query heads that share the key head.
    group: usize,
    blocks: &'a [u32],
    /// The first of them, counted in the sequence.
    first_block: usize,
    /// Positions in them.
    width: usize,
}

// No closures on the way to the arithmetic: they would not have the vectors of their surroundings.
impl<'a> Vectors<'a> {
    #[inline(always)]
    fn new(inputs: &'a PagedAttentionInputs<'a>, task: &'a Task<'a>) -> Self {
        let group = inputs.heads / inputs.key_value_heads;
        let count = task.rows.len() * group;
        let none = Self { inputs, task, count, group, blocks: &[], first_block: 0, width: 0 };
        let first_block = none.seen(0).start / BLOCK_SIZE;
        let end_block = none.seen(count - 1).end.div_ceil(BLOCK_SIZE);
        let blocks = &task.segment.blocks[first_block..end_block];
        Self { blocks, first_block, width: blocks.len() * BLOCK_SIZE, ..none }
    }

    /// Which vector of the query tensor it is.
    #[inline(always)]
    fn index(&self, number: usize) -> usize {
        let row = self.task.segment.rows.start + self.task.rows.start + number / self.group;
        row * self.inputs.heads + self.task.key_head * self.group + number % self.group
    }

    #[inline(always)]
    fn vector(&self, number: usize) -> &'a [f32] {
        let dim = self.inputs.head_dim;
        &self.inputs.queries[self.index(number) * dim..][..dim]
    }

    /// Positions that a vector sees; both ends ascend with its number.
    #[inline(always)]
    fn seen(&self, number: usize) -> Range<usize> {
        let position = self.task.segment.first_position + self.task.rows.start + number / self.group;
        let start = self.inputs.sliding_window.map_or(0, |window| (position + 1).saturating_sub(window));
        start..position + 1
    }

    /// Whether one of the vectors up to `last` sees something of a block.
    #[inline(always)]
    fn reaches(&self, last: usize, block: usize) -> bool {
        (self.first_block + block) * BLOCK_SIZE < self.seen(last).end
    }

    /// What of the cache the key head has in a block of the task, if there is one.
    #[inline(always)]
    fn part(&self, at: usize) -> Option<usize> {
        let block = *self.blocks.get(at)? as usize;
        Some(block * self.inputs.key_value_heads + self.task.key_head)
    }

    /// A block's keys or values, and asks for the next block's.
    #[inline(always)]
    fn block<'b>(&self, cached: Cached<'b>, at: usize, widened: &'b mut [f32]) -> &'b [f32] {
        if let Some(next) = self.part(at + 1) {
            cached.ask_for(next, widened.len());
        }
        self.part(at).map_or(&[], |part| cached.part(part, widened))
    }

    /// `scores[number][j] = q · k_j / √d`
    #[inline(always)]
    fn score<const FUSED: bool>(&self, widened: &mut [f32], scores: &mut [f32]) {
        for at in 0..self.blocks.len() {
            let (keys, _) = self.block(self.inputs.keys, at, widened).as_chunks();
            let mut number = 0;
            while number + TILE <= self.count {
                if self.reaches(number + TILE - 1, at) {
                    self.score_tile::<TILE, FUSED>(number, at, keys, scores);
                }
                number += TILE;
            }
            while number < self.count {
                if self.reaches(number, at) {
                    self.score_tile::<1, FUSED>(number, at, keys, scores);
                }
                number += 1;
            }
        }
    }

    #[inline(always)]
    fn score_tile<const Q: usize, const FUSED: bool>(
        &self,
        first: usize,
        block: usize,
        keys: &[[f32; BLOCK_SIZE]],
        scores: &mut [f32],
    ) {
        let scale = 1.0 / (self.inputs.head_dim as f32).sqrt();
        let mut queries: [&[f32]; Q] = [&[]; Q];
        for (q, query) in queries.iter_mut().enumerate() {
            *query = &self.vector(first + q)[..keys.len()];
        }
        let mut sums = [[0f32; BLOCK_SIZE]; Q];
        for (d, keys) in keys.iter().enumerate() {
            for (sums, query) in sums.iter_mut().zip(&queries) {
                let value = query[d];
                for lane in 0..BLOCK_SIZE {
                    sums[lane] = multiply_add::<FUSED>(value, keys[lane], sums[lane]);
                }
            }
        }
        for (q, sums) in sums.iter().enumerate() {
            let scores = &mut scores[(first + q) * self.width + block * BLOCK_SIZE..][..BLOCK_SIZE];
            for lane in 0..BLOCK_SIZE {
                scores[lane] = sums[lane] * scale;
            }
        }
    }

    /// Makes weights of scores; what a vector does not see weighs 0.
    #[inline(always)]
    fn weigh(&self, scores: &mut [f32]) {
        let inputs = self.inputs;
        for (number, scores) in scores.chunks_exact_mut(self.width).take(self.count).enumerate() {
            let (seen, start) = (self.seen(number), self.first_block * BLOCK_SIZE);
            let (index, seen_here) = (self.index(number), seen.start - start..seen.end - start);
            scores[..seen_here.start].fill(0.0);
            scores[seen_here.end..].fill(0.0);
            let scores = &mut scores[seen_here];
            let (row, head) = (index / inputs.heads, index % inputs.heads);
            if let Some(watch) = inputs.watch {
                watch.edit(inputs.layer, row, head, seen.start, scores);
            }
            softmax_in_place(scores);
            if let Some(watch) = inputs.watch
                && watch.sees(inputs.layer, row)
            {
                watch.see(inputs.layer, row, head, seen.start, scores);
            }
        }
    }

    /// `sums[number] = Σ_j weights[number][j] · v_j`
    #[inline(always)]
    fn mix<const FUSED: bool, const W: usize>(&self, widened: &mut [f32], weights: &[f32], sums: &mut [f32]) {
        let dim = self.inputs.head_dim;
        for at in 0..self.blocks.len() {
            let values = self.block(self.inputs.values, at, widened);
            let mut from = 0;
            while from + W <= dim {
                self.mix_strip::<W, FUSED>(at, values, from, weights, sums);
                from += W;
            }
            while from + 8 <= dim {
                self.mix_strip::<8, FUSED>(at, values, from, weights, sums);
                from += 8;
            }
            while from < dim {
                self.mix_strip::<1, FUSED>(at, values, from, weights, sums);
                from += 1;
            }
        }
    }

    /// Some dimensions of a block's values, and all vectors.
    #[inline(always)]
    fn mix_strip<const W: usize, const FUSED: bool>(
        &self,
        block: usize,
        values: &[f32],
        from: usize,
        weights: &[f32],
        sums: &mut [f32],
    ) {
        let mut number = 0;
        while number + TILE <= self.count {
            if self.reaches(number + TILE - 1, block) {
                self.mix_tile::<TILE, W, FUSED>(number, block, values, from, weights, sums);
            }
            number += TILE;
        }
        while number < self.count {
            if self.reaches(number, block) {
                self.mix_tile::<1, W, FUSED>(number, block, values, from, weights, sums);
            }
            number += 1;
        }
    }

    #[inline(always)]
    fn mix_tile<const Q: usize, const W: usize, const FUSED: bool>(
        &self,
        first: usize,
        block: usize,
        values: &[f32],
        from: usize,
        weights: &[f32],
        sums: &mut [f32],
    ) {
        let dim = self.inputs.head_dim;
        let mut own = [&[0f32; BLOCK_SIZE]; Q];
        let mut mixed = [[0f32; W]; Q];
        for (q, (own, mixed)) in own.iter_mut().zip(&mut mixed).enumerate() {
            *own = &weights[(first + q) * self.width..].as_chunks().0[block];
            mixed.copy_from_slice(&sums[(first + q) * dim + from..][..W]);
        }
        for offset in 0..BLOCK_SIZE {
            let values = &values[offset * dim + from..][..W];
            for (mixed, own) in mixed.iter_mut().zip(&own) {
                let weight = own[offset];
                for lane in 0..W {
                    mixed[lane] = multiply_add::<FUSED>(weight, values[lane], mixed[lane]);
                }
            }
        }
        for (q, mixed) in mixed.iter().enumerate() {
            sums[(first + q) * dim + from..][..W].copy_from_slice(mixed);
        }
    }
}
