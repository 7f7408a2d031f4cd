//! Attention of sequences that lie one after the other over sequences that lie one after the other: over themselves (an encoder, or a
//! decoder that does not look ahead) or over others (a decoder's look at an encoder's states).
//!
//! The kernel never sees padding and never holds a whole matrix of scores: it works in blocks of query rows, and the backward pass computes
//! the probabilities again (the idea of arXiv 2205.14135). Each task has one sequence and one head, so a sequence gives the same bits
//! whatever lies beside it and however many threads there are.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, D, Device, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::causal_attention::{blocks, head_rows, put_head_rows, softmax_backward};
use super::product::{Matrix, multiply};
use super::{Values, f32_slice, has_kernel, key_mask, masked_softmax};
use crate::{DropoutPass, Packing, kernels};

/// Which rows are queries, which are keys, and who sees whom.
#[derive(Debug)]
pub struct AttentionLayout {
    queries: Vec<usize>,
    keys: Vec<usize>,
    seen: Vec<bool>,
    causal: bool,
    padded: OnceLock<Padded>,
}

/// What devices without a kernel need.
#[derive(Debug)]
struct Padded {
    queries: Packing,
    keys: Packing,
    mask: Tensor,
    /// −∞ for keys behind the query, `[longest, longest]`; none where all are seen.
    future: Option<Tensor>,
}

impl AttentionLayout {
    /// Sequences of these lengths look at themselves, at the tokens that are `seen`; causal ones do not look ahead. A query none of whose
    /// keys is seen sees all of them alike.
    ///
    /// # Errors
    /// A sequence is empty, or there is not one value of `seen` for each token.
    pub fn of_itself(lengths: &[usize], seen: &[bool], causal: bool) -> Result<Arc<Self>> {
        Self::new(lengths, lengths, seen, causal)
    }

    /// The i-th sequence of queries looks at the i-th sequence of keys, at those that are `seen`.
    ///
    /// # Errors
    /// A sequence is empty, there are not as many on either side, or not one value of `seen` for each key.
    pub fn of_others(queries: &[usize], keys: &[usize], seen: &[bool]) -> Result<Arc<Self>> {
        Self::new(queries, keys, seen, false)
    }

    fn new(queries: &[usize], keys: &[usize], seen: &[bool], causal: bool) -> Result<Arc<Self>> {
        if queries.len() != keys.len() || queries.contains(&0) || keys.contains(&0) {
            bail!("attention of sequences of {queries:?} rows over {keys:?} keys")
        }
        if keys.iter().sum::<usize>() != seen.len() {
            bail!("{} values of a mask for sequences of {keys:?} keys", seen.len())
        }
        let (queries, keys, seen) = (queries.to_vec(), keys.to_vec(), seen.to_vec());
        Ok(Arc::new(Self { queries, keys, seen, causal, padded: OnceLock::new() }))
    }

    fn padded(&self, device: &Device) -> Result<&Padded> {
        if let Some(padded) = self.padded.get() {
            return Ok(padded);
        }
        let queries = Packing::new(&self.queries, device)?;
        let future = || {
            let longest = queries.longest();
            let hidden = |place: usize| if place % longest > place / longest { f32::NEG_INFINITY } else { 0.0 };
            Tensor::from_vec((0..longest * longest).map(hidden).collect(), (longest, longest), device)
        };
        let future = self.causal.then(future).transpose()?;
        let (keys, mask) = (Packing::new(&self.keys, device)?, key_mask(&self.keys, &self.seen, device)?);
        Ok(self.padded.get_or_init(|| Padded { queries, keys, mask, future }))
    }

    fn tasks(&self, heads: usize) -> Vec<Task> {
        let (mut query, mut key) = (0, 0);
        let mut tasks = Vec::with_capacity(self.queries.len() * heads);
        for (sequence, (queries, keys)) in self.queries.iter().zip(&self.keys).enumerate() {
            let (queries, keys) = (query..query + queries, key..key + keys);
            (query, key) = (queries.end, keys.end);
            tasks.extend((0..heads).map(|head| Task { sequence, head, queries: queries.clone(), keys: keys.clone() }));
        }
        tasks
    }

    fn check(&self, queries: &Tensor, keys: &Tensor, values: &Tensor, heads: usize) -> Result<()> {
        let (rows, width) = queries.dims2()?;
        let fits = rows == self.queries.iter().sum::<usize>()
            && keys.dims2()? == (self.seen.len(), width)
            && values.dims() == keys.dims()
            && heads > 0
            && width > 0
            && width.is_multiple_of(heads);
        match fits {
            true => Ok(()),
            false => bail!(
                "attention by {heads} heads of {:?} over {:?} and {:?}, laid out as {:?} and {:?}",
                queries.dims(),
                keys.dims(),
                values.dims(),
                self.queries,
                self.keys
            ),
        }
    }
}

/// Dropout of attention probabilities: each sequence and head has a stream of its own.
#[derive(Debug, Clone)]
pub struct AttentionDropout {
    /// Which pass.
    pub pass: DropoutPass,
    /// Of being dropped, in `[0, 1)`.
    pub probability: f32,
    /// Names the layer.
    pub place: String,
}

impl AttentionDropout {
    /// The mask of one sequence and head, query by query over all its keys.
    fn mask(&self, sequence: usize, head: usize) -> impl Iterator<Item = f32> + use<> {
        self.pass.mask(self.probability, &format!("{}/{sequence}/{head}", self.place))
    }
}

/// `dropout(softmax(q kᵀ / √d + mask)) v` by head. `queries` are `[query rows, width]`, `keys` and `values` `[key rows, width]`, each row head by
/// head; gives `[query rows, width]`. Differentiable in all three.
///
/// # Errors
/// The shapes do not fit the layout, the probability is out of range, or the device fails.
pub fn packed_attention(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    heads: usize,
    layout: &Arc<AttentionLayout>,
    dropout: Option<AttentionDropout>,
) -> Result<Tensor> {
    layout.check(queries, keys, values, heads)?;
    let dropout = dropout.filter(|dropout| dropout.probability != 0.0);
    if let Some(AttentionDropout { probability, .. }) = &dropout
        && !(0.0..1.0).contains(probability)
    {
        bail!("a dropout probability must be in [0, 1), not {probability}")
    }
    if has_kernel(queries) {
        let (queries, keys, values) = (queries.contiguous()?, keys.contiguous()?, values.contiguous()?);
        return queries.apply_op3(&keys, &values, PackedAttention { layout: layout.clone(), heads, dropout });
    }
    let mut probabilities = packed_attention_weights(queries, keys, heads, layout)?;
    if let Some(dropout) = dropout {
        probabilities = (&probabilities * padded_mask(&dropout, layout, &probabilities)?)?;
    }
    let padded = layout.padded(queries.device())?;
    let mixed = probabilities.matmul(&by_head(values, &padded.keys, heads)?)?.transpose(1, 2)?.contiguous()?;
    let mixed = mixed.reshape((padded.queries.sequences() * padded.queries.longest(), ()))?;
    padded.queries.cut(&mixed)
}

/// The probabilities of [`packed_attention`] before dropout, padded: `[sequences, heads, longest queries, longest keys]`.
///
/// # Errors
/// As [`packed_attention`].
pub fn packed_attention_weights(
    queries: &Tensor,
    keys: &Tensor,
    heads: usize,
    layout: &Arc<AttentionLayout>,
) -> Result<Tensor> {
    layout.check(queries, keys, keys, heads)?;
    let padded = layout.padded(queries.device())?;
    let scale = 1.0 / ((queries.dim(1)? / heads) as f64).sqrt();
    let queries = by_head(&(queries * scale)?, &padded.queries, heads)?;
    let mut scores = queries.matmul(&by_head(keys, &padded.keys, heads)?.t()?)?;
    if let Some(future) = &padded.future {
        scores = scores.broadcast_add(&future.to_dtype(scores.dtype())?)?;
    }
    masked_softmax(&scores, &padded.mask)
}

/// `[rows, width]` to `[sequences, heads, longest, head width]`.
fn by_head(rows: &Tensor, packing: &Packing, heads: usize) -> Result<Tensor> {
    let padded = packing.pad(rows)?.reshape((packing.sequences(), packing.longest(), heads, ()))?;
    padded.transpose(1, 2)?.contiguous()
}

/// The masks of all sequences and heads, like `probabilities`.
fn padded_mask(dropout: &AttentionDropout, layout: &AttentionLayout, probabilities: &Tensor) -> Result<Tensor> {
    let (_, heads, longest, keys) = probabilities.dims4()?;
    let mut all = vec![0f32; probabilities.elem_count()];
    for (task, all) in layout.tasks(heads).iter().zip(all.chunks_mut(longest * keys)) {
        let mut mask = dropout.mask(task.sequence, task.head);
        for row in all.chunks_mut(keys).take(task.queries.len()) {
            row.iter_mut().zip(mask.by_ref().take(task.keys.len())).for_each(|(place, kept)| *place = kept);
        }
    }
    Tensor::from_vec(all, probabilities.shape(), probabilities.device())?.to_dtype(probabilities.dtype())
}

struct PackedAttention {
    layout: Arc<AttentionLayout>,
    heads: usize,
    dropout: Option<AttentionDropout>,
}

/// One sequence and one head.
struct Task {
    sequence: usize,
    head: usize,
    queries: Range<usize>,
    keys: Range<usize>,
}

/// A task's rows, each `[rows, dim]`, and what is needed to weigh them.
struct Head<'a> {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    dim: usize,
    /// Added to scores, where a key is hidden.
    bias: Option<Vec<f32>>,
    causal: bool,
    dropout: Option<&'a AttentionDropout>,
    task: &'a Task,
}

impl PackedAttention {
    fn head<'a>(&'a self, task: &'a Task, queries: &[f32], keys: &[f32], values: &[f32], dim: usize) -> Head<'a> {
        let seen = &self.layout.seen[task.keys.clone()];
        let bias = || seen.iter().map(|seen| if *seen { 0.0 } else { f32::MIN }).collect();
        Head {
            queries: head_rows(queries, &task.queries, self.heads, task.head, dim),
            keys: head_rows(keys, &task.keys, self.heads, task.head, dim),
            values: head_rows(values, &task.keys, self.heads, task.head, dim),
            dim,
            bias: seen.contains(&false).then(bias),
            causal: self.layout.causal,
            dropout: self.dropout.as_ref(),
            task,
        }
    }
}

impl CustomOp3 for PackedAttention {
    fn name(&self) -> &'static str {
        "packed-attention"
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
        let dim = l1.shape().dims2()?.1 / self.heads;
        let (queries, keys, values) = (f32_slice(s1, l1)?, f32_slice(s2, l2)?, f32_slice(s3, l3)?);
        let tasks = self.layout.tasks(self.heads);
        let mixed: Vec<Vec<f32>> =
            tasks.par_iter().map(|task| self.head(task, queries, keys, values, dim).forward()).collect();
        let mut out = vec![0f32; queries.len()];
        for (task, mixed) in tasks.iter().zip(&mixed) {
            put_head_rows(mixed, &mut out, &task.queries, self.heads, task.head, dim);
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
        let (heads, dim) = (self.heads, queries.dim(D::Minus1)? / self.heads);
        let g = g.contiguous()?;
        let mut dq = vec![0f32; queries.elem_count()];
        let (mut dk, mut dv) = (vec![0f32; keys.elem_count()], vec![0f32; keys.elem_count()]);
        {
            let (q, k, v, g) = (Values::of(queries)?, Values::of(keys)?, Values::of(values)?, Values::of(&g)?);
            let (q, k, v, g) = (q.slice()?, k.slice()?, v.slice()?, g.slice()?);
            let tasks = self.layout.tasks(heads);
            let of_task = |task: &Task| {
                let g = head_rows(g, &task.queries, heads, task.head, dim);
                self.head(task, q, k, v, dim).backward(&g)
            };
            let gradients: Vec<Gradients> = tasks.par_iter().map(of_task).collect();
            for (task, gradients) in tasks.iter().zip(&gradients) {
                put_head_rows(&gradients.queries, &mut dq, &task.queries, heads, task.head, dim);
                put_head_rows(&gradients.keys, &mut dk, &task.keys, heads, task.head, dim);
                put_head_rows(&gradients.values, &mut dv, &task.keys, heads, task.head, dim);
            }
        }
        let like =
            |values: Vec<f32>, tensor: &Tensor| Tensor::from_vec(values, tensor.shape(), tensor.device()).map(Some);
        Ok((like(dq, queries)?, like(dk, keys)?, like(dv, values)?))
    }
}

/// Of one task, each `[rows, dim]`.
struct Gradients {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Head<'_> {
    fn forward(&self) -> Vec<f32> {
        let mut out = vec![0f32; self.queries.len()];
        let mut probabilities = Vec::new();
        let mut dropout = self.dropout_mask();
        for block in blocks(self.task.queries.len()) {
            let seen = self.probabilities(&block, &mut probabilities);
            if let Some(mask) = dropout.as_mut().map(|mask| mask.next_block(block.len(), seen)) {
                probabilities.iter_mut().zip(mask).for_each(|(p, kept)| *p *= kept);
            }
            let out = &mut out[block.start * self.dim..block.end * self.dim];
            let values = Matrix::new(&self.values[..seen * self.dim], self.dim);
            multiply(out, false, Matrix::new(&probabilities, seen), values, 1.0);
        }
        out
    }

    /// With probabilities `P`, dropout's mask `M` and `dP = (g Vᵀ) ∘ M`: `dS = P ∘ (dP − Σ P∘dP)`, `dQ = dS K`, `dK = dSᵀ Q`, `dV = (P∘M)ᵀ g`.
    fn backward(&self, g: &[f32]) -> Gradients {
        let dim = self.dim;
        let scale = self.scale();
        let mut gradients = Gradients {
            queries: vec![0.0; self.queries.len()],
            keys: vec![0.0; self.keys.len()],
            values: vec![0.0; self.values.len()],
        };
        let (mut probabilities, mut scores, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        let mut dropout = self.dropout_mask();
        for block in blocks(self.task.queries.len()) {
            let seen = self.probabilities(&block, &mut probabilities);
            let (part, all) = (block.start * dim..block.end * dim, ..seen * dim);
            let g = Matrix::new(&g[part.clone()], dim);
            scores.resize(probabilities.len(), 0.0);
            multiply(&mut scores, false, g, Matrix::new(&self.values[all], dim).t(), 1.0);
            let weights = match dropout.as_mut().map(|mask| mask.next_block(block.len(), seen)) {
                None => &probabilities,
                Some(mask) => {
                    scores.iter_mut().zip(mask).for_each(|(score, kept)| *score *= kept);
                    dropped.clear();
                    dropped.extend(probabilities.iter().zip(mask).map(|(p, kept)| p * kept));
                    &dropped
                }
            };
            multiply(&mut gradients.values[all], true, Matrix::new(weights, seen).t(), g, 1.0);
            for (p, s) in probabilities.chunks_exact(seen).zip(scores.chunks_exact_mut(seen)) {
                softmax_backward(p, s);
            }
            let scores = Matrix::new(&scores, seen);
            multiply(&mut gradients.queries[part.clone()], false, scores, Matrix::new(&self.keys[all], dim), scale);
            multiply(&mut gradients.keys[all], true, scores.t(), Matrix::new(&self.queries[part], dim), scale);
        }
        gradients
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }

    /// Probabilities of a block of query rows over the keys that one of them may see, `[block, seen]`; gives `seen`.
    fn probabilities(&self, block: &Range<usize>, scores: &mut Vec<f32>) -> usize {
        let dim = self.dim;
        let seen = if self.causal { block.end } else { self.task.keys.len() };
        scores.resize(block.len() * seen, 0.0);
        let (queries, keys) = (&self.queries[block.start * dim..block.end * dim], &self.keys[..seen * dim]);
        multiply(scores, false, Matrix::new(queries, dim), Matrix::new(keys, dim).t(), self.scale());
        for (row, scores) in block.clone().zip(scores.chunks_exact_mut(seen)) {
            let (past, future) = scores.split_at_mut(if self.causal { row + 1 } else { seen });
            if let Some(bias) = &self.bias {
                past.iter_mut().zip(bias).for_each(|(score, bias)| *score += bias);
            }
            kernels::softmax(past);
            future.fill(0.0);
        }
        seen
    }

    fn dropout_mask(&self) -> Option<HeadMask<impl Iterator<Item = f32> + use<>>> {
        let values = self.dropout?.mask(self.task.sequence, self.task.head);
        Some(HeadMask { values, keys: self.task.keys.len(), block: Vec::new() })
    }
}

/// Dropout's mask of a head, block by block.
struct HeadMask<I> {
    values: I,
    keys: usize,
    block: Vec<f32>,
}

impl<I: Iterator<Item = f32>> HeadMask<I> {
    /// Of the next rows, `[rows, seen]`.
    fn next_block(&mut self, rows: usize, seen: usize) -> &[f32] {
        self.block.clear();
        for _ in 0..rows {
            self.block.extend(self.values.by_ref().take(seen));
            self.values.by_ref().take(self.keys - seen).for_each(drop);
        }
        &self.block
    }
}
