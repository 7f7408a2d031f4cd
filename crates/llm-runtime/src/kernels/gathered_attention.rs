//! Attention over keys and values that lie anywhere in a cache: what a decoder does token by token.
//!
//! Queries that see the same rows form a group. A task is a group and a head; each query's weights and sums are computed in the order of its
//! keys, whatever queries are beside it.

use rayon::prelude::*;

use super::SharedOut;
use super::dot::{Simd, finish_tile, multiply_add};
use super::exp::softmax_in_place;

/// Queries that see the same rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGroup {
    /// Rows of the queries.
    pub queries: Vec<u32>,
    /// The rows of keys and values that they see; at least one.
    pub keys: Vec<u32>,
    /// Whether all keys weigh alike, because none should be seen.
    pub is_blind: bool,
}

/// What [`gathered_attention`] reads. All rows that groups name are there.
#[derive(Clone, Copy)]
pub(crate) struct GatheredAttentionInputs<'a> {
    /// `[queries, heads, head_dim]`
    pub(crate) queries: &'a [f32],
    /// `[heads, rows, head_dim]`
    pub(crate) keys: &'a [f32],
    /// Like the keys.
    pub(crate) values: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) groups: &'a [KeyGroup],
    pub(crate) heads: usize,
    pub(crate) head_dim: usize,
}

/// Queries that meet keys together.
const TILE: usize = 6;
/// Running sums of a product, at most.
const MOST_LANES: usize = 16;

/// Fills the rows of `out` that groups name, laid out like the queries.
pub(crate) fn gathered_attention(inputs: &GatheredAttentionInputs<'_>, out: &mut [f32]) {
    let simd = Simd::detect();
    let out = SharedOut::new(out, inputs.head_dim);
    let tasks = inputs.groups.len() * inputs.heads;
    (0..tasks).into_par_iter().for_each_init(Scratch::default, |scratch, task| {
        let task = Task { simd, inputs, group: &inputs.groups[task / inputs.heads], head: task % inputs.heads };
        match simd {
            // SAFETY: the instruction set was detected.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => unsafe { run_avx512(&task, scratch, out) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => unsafe { run_avx2(&task, scratch, out) },
            Simd::Portable => task.run::<false>(scratch, out),
        }
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,fma")]
fn run_avx512(task: &Task<'_>, scratch: &mut Scratch, out: SharedOut) {
    task.run::<true>(scratch, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(task: &Task<'_>, scratch: &mut Scratch, out: SharedOut) {
    task.run::<true>(scratch, out);
}

/// What a task works in.
#[derive(Default)]
struct Scratch {
    /// `[queries, keys]`
    weights: Vec<f32>,
    /// `[queries of a tile, head_dim]`
    sums: Vec<f32>,
}

struct Task<'a> {
    simd: Simd,
    inputs: &'a GatheredAttentionInputs<'a>,
    group: &'a KeyGroup,
    head: usize,
}

impl Task<'_> {
    // No closures on the way to the arithmetic: they would not have the vectors of their surroundings.
    #[inline(always)]
    fn run<const FUSED: bool>(&self, scratch: &mut Scratch, out: SharedOut) {
        let count = self.group.keys.len();
        for queries in self.group.queries.chunks(TILE) {
            scratch.weights.clear();
            scratch.weights.resize(queries.len() * count, 1.0);
            if !self.group.is_blind {
                self.score(queries, &mut scratch.weights);
            }
            for weights in scratch.weights.chunks_exact_mut(count) {
                softmax_in_place(weights);
            }
            self.mix::<FUSED>(queries, scratch, out);
        }
    }

    /// `weights[q][j] = q · k_j / √d`
    fn score(&self, queries: &[u32], weights: &mut [f32]) {
        match *queries {
            [a] => self.score_tile::<1, 4>([a], weights),
            [a, b] => self.score_tile::<2, 4>([a, b], weights),
            [a, b, c] => self.score_tile::<3, 2>([a, b, c], weights),
            [a, b, c, d] => self.score_tile::<4, 2>([a, b, c, d], weights),
            [a, b, c, d, e] => self.score_tile::<5, 2>([a, b, c, d, e], weights),
            [a, b, c, d, e, f] => self.score_tile::<TILE, 2>([a, b, c, d, e, f], weights),
            _ => {}
        }
    }

    fn query(&self, query: u32) -> &[f32] {
        let GatheredAttentionInputs { queries, heads, head_dim, .. } = *self.inputs;
        &queries[(query as usize * heads + self.head) * head_dim..][..head_dim]
    }

    /// This head's part of a row.
    #[inline(always)]
    fn part<'b>(&self, rows: &'b [f32], row: u32) -> &'b [f32] {
        let GatheredAttentionInputs { rows: count, head_dim, .. } = *self.inputs;
        &rows[(self.head * count + row as usize) * head_dim..][..head_dim]
    }

    /// Some queries, which meet `C` keys at a time.
    fn score_tile<const Q: usize, const C: usize>(&self, queries: [u32; Q], weights: &mut [f32]) {
        let queries = queries.map(|query| self.query(query));
        let (whole, rest) = self.group.keys.as_chunks::<C>();
        for (number, keys) in whole.iter().enumerate() {
            self.put_products(&queries, keys, number * C, weights);
        }
        for (number, key) in rest.iter().enumerate() {
            self.put_products(&queries, &[*key], whole.len() * C + number, weights);
        }
    }

    #[inline(always)]
    fn put_products<const Q: usize, const C: usize>(
        &self,
        queries: &[&[f32]; Q],
        keys: &[u32; C],
        first: usize,
        weights: &mut [f32],
    ) {
        let keys = keys.map(|key| self.part(self.inputs.keys, key));
        let mut sums = [0f32; 2 * TILE * MOST_LANES];
        let sums = &mut sums[..Q * C * self.simd.lanes()];
        let scale = 1.0 / (self.inputs.head_dim as f32).sqrt();
        let products = finish_tile(self.simd, queries, &keys, true, 0, sums);
        for (weights, products) in weights.chunks_exact_mut(self.group.keys.len()).zip(products) {
            for (weight, product) in weights[first..].iter_mut().zip(products) {
                *weight = product * scale;
            }
        }
    }

    /// `out[q] = Σ_j weights[q][j] · v_j`; whole rows of values one after the other, because they come from memory.
    #[inline(always)]
    fn mix<const FUSED: bool>(&self, queries: &[u32], scratch: &mut Scratch, out: SharedOut) {
        let (dim, count) = (self.inputs.head_dim, self.group.keys.len());
        scratch.sums.clear();
        scratch.sums.resize(queries.len() * dim, 0.0);
        for (place, key) in self.group.keys.iter().enumerate() {
            let values = self.part(self.inputs.values, *key);
            for (sums, weights) in scratch.sums.chunks_exact_mut(dim).zip(scratch.weights.chunks_exact(count)) {
                let weight = weights[place];
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum = multiply_add::<FUSED>(weight, *value, *sum);
                }
            }
        }
        for (query, sums) in queries.iter().zip(scratch.sums.chunks_exact(dim)) {
            for (lane, sum) in sums.iter().enumerate() {
                // SAFETY: a query belongs to one group, and a head of it to one task.
                unsafe { out.write(*query as usize * self.inputs.heads + self.head, lane, *sum) };
            }
        }
    }
}
