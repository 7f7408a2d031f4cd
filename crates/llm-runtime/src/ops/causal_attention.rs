//! Causal attention within sequences that lie one after the other in a batch's rows: training's counterpart of the
//! engine's attention over its cache.
//!
//! The kernel never holds a whole score matrix: it works in blocks of query rows against the keys before them, and the
//! backward pass computes the probabilities again, so memory grows with the rows and not with their square (the idea of
//! arXiv 2205.14135). Each task has one sequence and one key/value head, so sums do not depend on threads.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::product::{Matrix, multiply};
use super::{Values, f32_slice, has_kernel};
use crate::kernels;

/// Attends each row to the rows of its sequence that are not after it, at most `window` of them.
///
/// `queries` are `[rows, heads, head_dim]`, `keys` and `values` `[rows, key_value_heads, head_dim]`; `lengths` are the
/// rows of each sequence, in order. Gives `[rows, heads · head_dim]`.
pub(crate) fn causal_attention(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    lengths: &[usize],
    window: Option<usize>,
) -> Result<Tensor> {
    let (rows, heads, dim) = queries.dims3()?;
    let mixed = match has_kernel(queries) {
        true => {
            let op = CausalAttention { lengths: lengths.to_vec(), window: window.unwrap_or(usize::MAX) };
            queries.apply_op3(keys, values, op)?
        }
        false => composed(queries, keys, values, lengths, window)?,
    };
    mixed.reshape((rows, heads * dim))
}

/// The same from candle's operators, sequence by sequence.
fn composed(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    lengths: &[usize],
    window: Option<usize>,
) -> Result<Tensor> {
    let mut first = 0;
    let mut parts = Vec::with_capacity(lengths.len());
    for length in lengths {
        let part = |tensor: &Tensor| tensor.narrow(0, first, *length)?.transpose(0, 1)?.contiguous();
        parts.push(composed_sequence(&part(queries)?, &part(keys)?, &part(values)?, window)?);
        first += length;
    }
    Tensor::cat(&parts, 0)
}

/// One sequence; all `[heads, rows, dim]`.
fn composed_sequence(queries: &Tensor, keys: &Tensor, values: &Tensor, window: Option<usize>) -> Result<Tensor> {
    let (heads, rows, dim) = queries.dims3()?;
    let groups = keys.dim(0)?;
    let queries = queries.reshape((groups, heads / groups * rows, dim))?;
    let scores = (queries.matmul(&keys.t()?)? * (1.0 / (dim as f64).sqrt()))?;
    let mask: Vec<f32> = (0..rows)
        .flat_map(|row| {
            (0..rows).map(move |key| if visible(row, window).contains(&key) { 0.0 } else { f32::NEG_INFINITY })
        })
        .collect();
    let mask = Tensor::from_vec(mask, (rows, rows), queries.device())?.to_dtype(queries.dtype())?;
    let scores = scores.reshape((heads, rows, rows))?.broadcast_add(&mask)?;
    let shifted = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
    let probabilities = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
    let mixed = probabilities.reshape((groups, heads / groups * rows, rows))?.matmul(values)?;
    mixed.reshape((heads, rows, dim))?.transpose(0, 1)?.contiguous()
}

/// The keys that a row sees.
fn visible(row: usize, window: Option<usize>) -> Range<usize> {
    (row + 1).saturating_sub(window.unwrap_or(usize::MAX))..row + 1
}

struct CausalAttention {
    lengths: Vec<usize>,
    window: usize,
}

/// Query rows of one block.
const BLOCK_ROWS: usize = 64;

/// One sequence and one key/value head with the query heads that share it.
#[derive(Clone)]
struct Task {
    rows: Range<usize>,
    key_head: usize,
}

/// Sizes that all tasks share.
#[derive(Clone, Copy)]
struct Sizes {
    heads: usize,
    key_heads: usize,
    dim: usize,
    window: usize,
}

impl Sizes {
    fn group(self) -> usize {
        self.heads / self.key_heads
    }
}

impl CausalAttention {
    fn tasks(&self, key_heads: usize) -> Vec<Task> {
        let mut first = 0;
        let mut tasks = Vec::with_capacity(self.lengths.len() * key_heads);
        for length in &self.lengths {
            tasks.extend((0..key_heads).map(|key_head| Task { rows: first..first + length, key_head }));
            first += length;
        }
        tasks
    }
}

impl CustomOp3 for CausalAttention {
    fn name(&self) -> &'static str {
        "causal-attention"
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
        let (_, heads, dim) = l1.shape().dims3()?;
        let (_, key_heads, _) = l2.shape().dims3()?;
        let sizes = Sizes { heads, key_heads, dim, window: self.window };
        let (queries, keys, values) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?, f32_slice(s3, l3)?);
        let tasks = self.tasks(key_heads);
        let mixed: Vec<Vec<f32>> = tasks
            .par_iter()
            .map(|task| {
                let keys = head_rows(keys, &task.rows, key_heads, task.key_head, dim);
                let values = head_rows(values, &task.rows, key_heads, task.key_head, dim);
                query_heads(sizes, task)
                    .flat_map(|head| {
                        forward_head(&head_rows(queries, &task.rows, heads, head, dim), &keys, &values, sizes)
                    })
                    .collect()
            })
            .collect();
        let mut out = vec![0f32; queries.len()];
        for (task, mixed) in tasks.iter().zip(&mixed) {
            for (head, mixed) in query_heads(sizes, task).zip(mixed.chunks_exact(task.rows.len() * dim)) {
                put_head_rows(mixed, &mut out, &task.rows, heads, head, dim);
            }
        }
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        _y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, heads, dim) = queries.dims3()?;
        let key_heads = keys.dim(1)?;
        let sizes = Sizes { heads, key_heads, dim, window: self.window };
        let g = g.contiguous()?;
        let tasks = self.tasks(key_heads);
        let mut dq = vec![0f32; queries.elem_count()];
        let (mut dk, mut dv) = (vec![0f32; keys.elem_count()], vec![0f32; keys.elem_count()]);
        {
            let (queries, keys, values, g) =
                (Values::of(queries)?, Values::of(keys)?, Values::of(values)?, Values::of(&g)?);
            let inputs =
                Inputs { queries: queries.slice()?, keys: keys.slice()?, values: values.slice()?, g: g.slice()? };
            let gradients: Vec<Gradients> = tasks.par_iter().map(|task| backward_task(inputs, task, sizes)).collect();
            for (task, gradients) in tasks.iter().zip(&gradients) {
                for (head, part) in query_heads(sizes, task).zip(gradients.queries.chunks_exact(task.rows.len() * dim))
                {
                    put_head_rows(part, &mut dq, &task.rows, heads, head, dim);
                }
                put_head_rows(&gradients.keys, &mut dk, &task.rows, key_heads, task.key_head, dim);
                put_head_rows(&gradients.values, &mut dv, &task.rows, key_heads, task.key_head, dim);
            }
        }
        let like =
            |values: Vec<f32>, tensor: &Tensor| Tensor::from_vec(values, tensor.shape(), tensor.device()).map(Some);
        Ok((like(dq, queries)?, like(dk, keys)?, like(dv, values)?))
    }
}

fn query_heads(sizes: Sizes, task: &Task) -> Range<usize> {
    task.key_head * sizes.group()..(task.key_head + 1) * sizes.group()
}

/// One head's rows of a sequence, `[rows, dim]`, side by side.
pub(super) fn head_rows(all: &[f32], rows: &Range<usize>, heads: usize, head: usize, dim: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * dim);
    for row in rows.clone() {
        let start = (row * heads + head) * dim;
        out.extend_from_slice(&all[start..start + dim]);
    }
    out
}

pub(super) fn put_head_rows(part: &[f32], all: &mut [f32], rows: &Range<usize>, heads: usize, head: usize, dim: usize) {
    for (row, part) in rows.clone().zip(part.chunks_exact(dim)) {
        let start = (row * heads + head) * dim;
        all[start..start + dim].copy_from_slice(part);
    }
}

/// Probabilities of a block of query rows over the keys up to the block's end, `[block, end]`.
fn block_probabilities(queries: &[f32], keys: &[f32], block: &Range<usize>, sizes: Sizes, scores: &mut Vec<f32>) {
    let dim = sizes.dim;
    scores.resize(block.len() * block.end, 0.0);
    let (queries, keys) = (&queries[block.start * dim..block.end * dim], &keys[..block.end * dim]);
    multiply(scores, false, Matrix::new(queries, dim), Matrix::new(keys, dim).t(), 1.0 / (dim as f32).sqrt());
    for (row, scores) in block.clone().zip(scores.chunks_exact_mut(block.end)) {
        let seen = visible(row, Some(sizes.window));
        scores[..seen.start].fill(0.0);
        scores[seen.end..].fill(0.0);
        kernels::softmax(&mut scores[seen]);
    }
}

pub(super) fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(BLOCK_ROWS).map(move |start| start..(start + BLOCK_ROWS).min(rows))
}

/// One head's output; all arguments `[rows, dim]`.
fn forward_head(queries: &[f32], keys: &[f32], values: &[f32], sizes: Sizes) -> Vec<f32> {
    let dim = sizes.dim;
    let mut out = vec![0f32; queries.len()];
    let mut probabilities = Vec::new();
    for block in blocks(queries.len() / dim) {
        block_probabilities(queries, keys, &block, sizes, &mut probabilities);
        let out = &mut out[block.start * dim..block.end * dim];
        let seen = Matrix::new(&values[..block.end * dim], dim);
        multiply(out, false, Matrix::new(&probabilities, block.end), seen, 1.0);
    }
    out
}

/// What the backward pass reads, all in the layout of the batch.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    g: &'a [f32],
}

/// One task's gradients: query heads one after the other, each `[rows, dim]`, then keys and values `[rows, dim]`.
struct Gradients {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

fn backward_task(inputs: Inputs<'_>, task: &Task, sizes: Sizes) -> Gradients {
    let of_queries = |all, head| head_rows(all, &task.rows, sizes.heads, head, sizes.dim);
    let of_keys = |all| head_rows(all, &task.rows, sizes.key_heads, task.key_head, sizes.dim);
    let (keys, values) = (of_keys(inputs.keys), of_keys(inputs.values));
    let mut gradients = Gradients { queries: Vec::new(), keys: vec![0.0; keys.len()], values: vec![0.0; values.len()] };
    for head in query_heads(sizes, task) {
        let (queries, g) = (of_queries(inputs.queries, head), of_queries(inputs.g, head));
        backward_head(&queries, &keys, &values, &g, sizes, &mut gradients);
    }
    gradients
}

/// With probabilities `P` and `dP = g Vᵀ`: `dS = P ∘ (dP − Σ P∘dP)`, `dQ = dS K`, `dK += dSᵀ Q`, `dV += Pᵀ g`.
fn backward_head(queries: &[f32], keys: &[f32], values: &[f32], g: &[f32], sizes: Sizes, gradients: &mut Gradients) {
    let dim = sizes.dim;
    let scale = 1.0 / (dim as f32).sqrt();
    let first = gradients.queries.len();
    gradients.queries.resize(first + queries.len(), 0.0);
    let (mut probabilities, mut scores) = (Vec::new(), Vec::new());
    for block in blocks(queries.len() / dim) {
        block_probabilities(queries, keys, &block, sizes, &mut probabilities);
        let (part, seen) = (block.start * dim..block.end * dim, ..block.end * dim);
        let g = Matrix::new(&g[part.clone()], dim);
        multiply(&mut gradients.values[seen], true, Matrix::new(&probabilities, block.end).t(), g, 1.0);
        scores.resize(probabilities.len(), 0.0);
        multiply(&mut scores, false, g, Matrix::new(&values[seen], dim).t(), 1.0);
        for (p, s) in probabilities.chunks_exact(block.end).zip(scores.chunks_exact_mut(block.end)) {
            softmax_backward(p, s);
        }
        let scores = Matrix::new(&scores, block.end);
        let dq = &mut gradients.queries[first + part.start..first + part.end];
        multiply(dq, false, scores, Matrix::new(&keys[seen], dim), scale);
        multiply(&mut gradients.keys[seen], true, scores.t(), Matrix::new(&queries[part], dim), scale);
    }
}

/// Turns the gradient of a row of probabilities, in place, into that of its scores.
pub(super) fn softmax_backward(probabilities: &[f32], gradient: &mut [f32]) {
    let along: f64 = probabilities.iter().zip(&*gradient).map(|(p, g)| f64::from(p * g)).sum();
    for (p, g) in probabilities.iter().zip(gradient) {
        *g = p * (*g - along as f32);
    }
}
