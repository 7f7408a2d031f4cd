//! Attention of query rows over keys and values that lie in cache blocks.
//!
//! For query row `i` of head `h` at position `p`: `Σ_j softmax_j(q_i · k_j / √d) · v_j` over positions `j ≤ p` (with a sliding
//! window of `w` positions: `p - w < j ≤ p`). Keys lie transposed within their block, so that sixteen scores come from
//! one pass over the head's dimensions. A task takes a few neighbouring rows of one key head and all query heads that
//! share it, and works on tiles of up to four query vectors. Every score is summed over ascending dimensions and every
//! output over ascending positions, whatever the tile.

use std::ops::Range;

use rayon::prelude::*;

use super::SharedOut;
use super::dot::{Simd, multiply_add};
use super::exp::softmax_in_place;

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
pub(crate) trait Watch: Sync {
    /// May change a row's scores before the softmax. `scores[i]` is that of position `start + i`; the last is the row's own.
    fn edit(&self, layer: usize, row: usize, head: usize, start: usize, scores: &mut [f32]);

    /// Whether a row is looked at in this layer.
    fn sees(&self, layer: usize, row: usize) -> bool;

    /// Sees a row's weights after the softmax, laid out like the scores.
    fn see(&self, layer: usize, row: usize, head: usize, start: usize, weights: &[f32]);

    /// All rows and heads of a layer were seen.
    fn finish_layer(&mut self, layer: usize);
}

/// What [`paged_attention`] reads.
pub(crate) struct PagedAttentionInputs<'a> {
    /// `[rows, heads, head_dim]`
    pub(crate) queries: &'a [f32],
    /// `[blocks, key_value_heads, head_dim, BLOCK_SIZE]`
    pub(crate) keys: &'a [f32],
    /// `[blocks, BLOCK_SIZE, key_value_heads, head_dim]`
    pub(crate) values: &'a [f32],
    pub(crate) segments: &'a [Segment],
    pub(crate) heads: usize,
    pub(crate) key_value_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) sliding_window: Option<usize>,
    pub(crate) layer: usize,
    pub(crate) watch: Option<&'a dyn Watch>,
}

/// Rows of one task.
const ROWS: usize = 4;

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
    tasks.par_iter().for_each_init(Vec::new, |scores, task| match simd {
        // SAFETY: the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { run_avx512(inputs, task, scores, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { run_avx2(inputs, task, scores, out) },
        Simd::Portable => run::<false>(inputs, task, scores, out),
    });
}

/// The longest tasks, those at the end of a prompt, come first, so that no thread is left alone with one.
fn tasks<'a>(segment: &'a Segment, inputs: &PagedAttentionInputs<'_>) -> impl Iterator<Item = Task<'a>> + use<'a> {
    let (count, key_heads) = (segment.rows.len(), inputs.key_value_heads);
    (0..count.div_ceil(ROWS)).rev().flat_map(move |tile| {
        let rows = tile * ROWS..count.min((tile + 1) * ROWS);
        (0..key_heads).map(move |key_head| Task { segment, rows: rows.clone(), key_head })
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
fn run_avx512(inputs: &PagedAttentionInputs<'_>, task: &Task<'_>, scores: &mut Vec<f32>, out: SharedOut) {
    run::<true>(inputs, task, scores, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(inputs: &PagedAttentionInputs<'_>, task: &Task<'_>, scores: &mut Vec<f32>, out: SharedOut) {
    run::<true>(inputs, task, scores, out);
}

#[inline(always)]
fn run<const FUSED: bool>(inputs: &PagedAttentionInputs<'_>, task: &Task<'_>, scores: &mut Vec<f32>, out: SharedOut) {
    let group = inputs.heads / inputs.key_value_heads;
    // Query vectors of the task: row by row, head by head. Each is `head_dim` values of the query tensor.
    let first_row = task.segment.rows.start + task.rows.start;
    let vectors = task.rows.len() * group;
    let vector_at =
        |number: usize| (first_row + number / group) * inputs.heads + task.key_head * group + number % group;
    let position_of = |number: usize| task.segment.first_position + task.rows.start + number / group;
    let mut number = 0;
    while number + 4 <= vectors {
        let tile = std::array::from_fn(|i| Query::new(inputs, vector_at(number + i), position_of(number + i)));
        attend::<4, FUSED>(inputs, task, &tile, scores, out);
        number += 4;
    }
    while number < vectors {
        attend::<1, FUSED>(inputs, task, &[Query::new(inputs, vector_at(number), position_of(number))], scores, out);
        number += 1;
    }
}

/// One query vector: which it is in the output, what it sees.
struct Query<'a> {
    index: usize,
    vector: &'a [f32],
    seen: Range<usize>,
}

impl<'a> Query<'a> {
    #[inline(always)]
    fn new(inputs: &PagedAttentionInputs<'a>, index: usize, position: usize) -> Self {
        let start = inputs.sliding_window.map_or(0, |window| (position + 1).saturating_sub(window));
        let vector = &inputs.queries[index * inputs.head_dim..(index + 1) * inputs.head_dim];
        Self { index, vector, seen: start..position + 1 }
    }
}

#[inline(always)]
fn attend<const Q: usize, const FUSED: bool>(
    inputs: &PagedAttentionInputs<'_>,
    task: &Task<'_>,
    queries: &[Query<'_>; Q],
    scores: &mut Vec<f32>,
    out: SharedOut,
) {
    // Whole blocks around everything that one of the queries sees.
    let first_block = queries.iter().map(|query| query.seen.start).min().unwrap_or(0) / BLOCK_SIZE;
    let end_block = queries.iter().map(|query| query.seen.end).max().unwrap_or(0).div_ceil(BLOCK_SIZE);
    let blocks = &task.segment.blocks[first_block..end_block];
    let width = blocks.len() * BLOCK_SIZE;
    scores.clear();
    scores.resize(Q * width, 0.0);
    score_blocks::<Q, FUSED>(inputs, task.key_head, queries, blocks, width, scores);
    for (query, scores) in queries.iter().zip(scores.chunks_exact_mut(width)) {
        let seen = query.seen.start - first_block * BLOCK_SIZE..query.seen.end - first_block * BLOCK_SIZE;
        scores[..seen.start].fill(0.0);
        scores[seen.end..].fill(0.0);
        let scores = &mut scores[seen];
        let (row, head) = (query.index / inputs.heads, query.index % inputs.heads);
        if let Some(watch) = inputs.watch {
            watch.edit(inputs.layer, row, head, query.seen.start, scores);
        }
        softmax_in_place(scores);
        if let Some(watch) = inputs.watch
            && watch.sees(inputs.layer, row)
        {
            watch.see(inputs.layer, row, head, query.seen.start, scores);
        }
    }
    mix_values::<Q, FUSED>(inputs, task.key_head, queries, blocks, width, scores, out);
}

/// `scores[q][j] = q · k_j / √d` for all positions of the blocks.
#[inline(always)]
fn score_blocks<const Q: usize, const FUSED: bool>(
    inputs: &PagedAttentionInputs<'_>,
    key_head: usize,
    queries: &[Query<'_>; Q],
    blocks: &[u32],
    width: usize,
    scores: &mut [f32],
) {
    let dim = inputs.head_dim;
    let scale = 1.0 / (dim as f32).sqrt();
    for (number, block) in blocks.iter().enumerate() {
        let start = (*block as usize * inputs.key_value_heads + key_head) * dim * BLOCK_SIZE;
        let (keys, _) = inputs.keys[start..start + dim * BLOCK_SIZE].as_chunks::<BLOCK_SIZE>();
        let mut sums = [[0f32; BLOCK_SIZE]; Q];
        for (d, keys) in keys.iter().enumerate() {
            for (sums, query) in sums.iter_mut().zip(queries) {
                let q = query.vector[d];
                for lane in 0..BLOCK_SIZE {
                    sums[lane] = multiply_add::<FUSED>(q, keys[lane], sums[lane]);
                }
            }
        }
        for (q, sums) in sums.iter().enumerate() {
            let scores = &mut scores[q * width + number * BLOCK_SIZE..][..BLOCK_SIZE];
            for lane in 0..BLOCK_SIZE {
                scores[lane] = sums[lane] * scale;
            }
        }
    }
}

/// `out[q] = Σ_j weights[q][j] · v_j`, in strips of the head's dimensions.
#[inline(always)]
fn mix_values<const Q: usize, const FUSED: bool>(
    inputs: &PagedAttentionInputs<'_>,
    key_head: usize,
    queries: &[Query<'_>; Q],
    blocks: &[u32],
    width: usize,
    weights: &[f32],
    out: SharedOut,
) {
    let mut from = 0;
    while from < inputs.head_dim {
        let strip = Strip { inputs, key_head, blocks, width, weights, from };
        match inputs.head_dim - from {
            32.. => from += strip.mix::<Q, 32, FUSED>(queries, out),
            8.. => from += strip.mix::<Q, 8, FUSED>(queries, out),
            _ => from += strip.mix::<Q, 1, FUSED>(queries, out),
        }
    }
}

/// Some of a head's dimensions, over all positions of the blocks.
struct Strip<'a> {
    inputs: &'a PagedAttentionInputs<'a>,
    key_head: usize,
    blocks: &'a [u32],
    width: usize,
    weights: &'a [f32],
    from: usize,
}

impl Strip<'_> {
    /// Mixes `W` dimensions and gives `W`.
    #[inline(always)]
    fn mix<const Q: usize, const W: usize, const FUSED: bool>(
        &self,
        queries: &[Query<'_>; Q],
        out: SharedOut,
    ) -> usize {
        let row = self.inputs.key_value_heads * self.inputs.head_dim;
        let mut sums = [[0f32; W]; Q];
        for (number, block) in self.blocks.iter().enumerate() {
            let start = *block as usize * BLOCK_SIZE * row + self.key_head * self.inputs.head_dim + self.from;
            for offset in 0..BLOCK_SIZE {
                let at = start + offset * row;
                let Some(values) = self.inputs.values[at..].first_chunk::<W>() else { return W };
                for (q, sums) in sums.iter_mut().enumerate() {
                    let weight = self.weights[q * self.width + number * BLOCK_SIZE + offset];
                    for lane in 0..W {
                        sums[lane] = multiply_add::<FUSED>(weight, values[lane], sums[lane]);
                    }
                }
            }
        }
        for (query, sums) in queries.iter().zip(&sums) {
            for (lane, sum) in sums.iter().enumerate() {
                // SAFETY: each query vector belongs to one task, and each of its dimensions to one strip.
                unsafe { out.write(query.index, self.from + lane, *sum) };
            }
        }
        W
    }
}
