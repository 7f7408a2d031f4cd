//! Attention of query rows over keys and values that lie in cache blocks.
//!
//! For query row `i` of head `h` at position `p`: `softmax_j(q_i · k_j / √d) · v_j` over positions `j ≤ p` (with a sliding
//! window of `w` positions: `p - w < j ≤ p`). Query heads of one group read the same key head, so a key row is loaded
//! once for the group.

use std::ops::Range;

use rayon::prelude::*;

use super::dot::{Simd, dot_tile};
use super::exp::softmax_in_place;

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

/// What [`paged_attention`] reads.
pub(crate) struct PagedAttentionInputs<'a> {
    /// `[rows, heads, head_dim]`
    pub(crate) queries: &'a [f32],
    /// `[slots, key_value_heads, head_dim]`; slot = block · block size + offset.
    pub(crate) keys: &'a [f32],
    /// As `keys`.
    pub(crate) values: &'a [f32],
    pub(crate) segments: &'a [Segment],
    pub(crate) heads: usize,
    pub(crate) key_value_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) block_size: usize,
    pub(crate) sliding_window: Option<usize>,
}

/// Fills `out` (`[rows, heads, head_dim]`).
pub(crate) fn paged_attention(inputs: &PagedAttentionInputs<'_>, out: &mut [f32]) {
    let simd = Simd::detect();
    let width = inputs.heads * inputs.head_dim;
    let group = inputs.heads / inputs.key_value_heads * inputs.head_dim;
    let positions = row_positions(inputs);
    out.par_chunks_exact_mut(group).enumerate().for_each_init(Vec::new, |scores, (index, out)| {
        let (row, key_head) = (index * group / width, index * group % width / group);
        let Some((segment, position)) = positions[row] else {
            out.fill(0.0);
            return;
        };
        let queries = &inputs.queries[index * group..(index + 1) * group];
        attend_group(simd, inputs, segment, position, key_head, queries, scores, out);
    });
}

fn row_positions<'a>(inputs: &PagedAttentionInputs<'a>) -> Vec<Option<(&'a Segment, usize)>> {
    let rows = inputs.queries.len() / (inputs.heads * inputs.head_dim);
    let mut positions = vec![None; rows];
    for segment in inputs.segments {
        for (i, row) in segment.rows.clone().enumerate() {
            positions[row] = Some((segment, segment.first_position + i));
        }
    }
    positions
}

/// One query row, one key head, all query heads of its group.
#[allow(clippy::too_many_arguments)]
fn attend_group(
    simd: Simd,
    inputs: &PagedAttentionInputs<'_>,
    segment: &Segment,
    position: usize,
    key_head: usize,
    queries: &[f32],
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let dim = inputs.head_dim;
    let start = inputs.sliding_window.map_or(0, |window| (position + 1).saturating_sub(window));
    let context = position + 1 - start;
    let heads = queries.len() / dim;
    scores.resize(heads * context, 0.0);
    let row_of = |position: usize| {
        let slot = segment.blocks[position / inputs.block_size] as usize * inputs.block_size
            + position % inputs.block_size;
        let start = (slot * inputs.key_value_heads + key_head) * dim;
        start..start + dim
    };
    score_keys(simd, inputs.keys, queries, dim, start, context, &row_of, scores);
    let scale = 1.0 / (dim as f32).sqrt();
    for (scores, out) in scores.chunks_exact_mut(context).zip(out.chunks_exact_mut(dim)) {
        for score in &mut *scores {
            *score *= scale;
        }
        softmax_in_place(scores);
        weighted_sum(simd, inputs.values, scores, start, &row_of, out);
    }
}

/// `scores[h][j] = q_h · k_(start + j)`
#[allow(clippy::too_many_arguments)]
fn score_keys(
    simd: Simd,
    keys: &[f32],
    queries: &[f32],
    dim: usize,
    start: usize,
    context: usize,
    row_of: &impl Fn(usize) -> Range<usize>,
    scores: &mut [f32],
) {
    const KEYS: usize = 4;
    let whole = context - context % KEYS;
    for j in (0..whole).step_by(KEYS) {
        let keys: [&[f32]; KEYS] = std::array::from_fn(|i| &keys[row_of(start + j + i)]);
        for (h, query) in queries.chunks_exact(dim).enumerate() {
            let [tile] = dot_tile(simd, &[query], &keys);
            scores[h * context + j..][..KEYS].copy_from_slice(&tile);
        }
    }
    for j in whole..context {
        let key = &keys[row_of(start + j)];
        for (h, query) in queries.chunks_exact(dim).enumerate() {
            scores[h * context + j] = dot_tile(simd, &[query], &[key])[0][0];
        }
    }
}

/// `out = Σ_j weights[j] · v_(start + j)`, j ascending.
fn weighted_sum(
    simd: Simd,
    values: &[f32],
    weights: &[f32],
    start: usize,
    row_of: &impl Fn(usize) -> Range<usize>,
    out: &mut [f32],
) {
    out.fill(0.0);
    for (j, weight) in weights.iter().enumerate() {
        add_scaled(simd, *weight, &values[row_of(start + j)], out);
    }
}

/// `out += weight · values`
fn add_scaled(simd: Simd, weight: f32, values: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn fused(weight: f32, values: &[f32], out: &mut [f32]) {
        for (out, value) in out.iter_mut().zip(values) {
            *out = weight.mul_add(*value, *out);
        }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,fma")]
    fn avx512(weight: f32, values: &[f32], out: &mut [f32]) {
        fused(weight, values, out);
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(weight: f32, values: &[f32], out: &mut [f32]) {
        fused(weight, values, out);
    }
    match simd {
        // SAFETY: the instruction set was detected.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { avx512(weight, values, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { avx2(weight, values, out) },
        Simd::Portable => {
            for (out, value) in out.iter_mut().zip(values) {
                *out += weight * value;
            }
        }
    }
}
