//! Attention over keys and values that lie anywhere in a cache, for a decoder that grows outputs token by token.
//!
//! An output's tokens need not lie together: beams that part share the rows of their common past, so that nothing is copied when beams change
//! places. Nor need a memory be repeated for the outputs that look at it.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, bail};

use super::{f32_slice, has_kernel, key_mask, masked_softmax};
use crate::kernels;
pub use crate::kernels::KeyGroup;

/// Which rows of a cache each query sees.
#[derive(Debug)]
pub struct KeyRows {
    groups: Vec<KeyGroup>,
    queries: usize,
    /// Rows that the cache must have.
    keys: usize,
    padded: OnceLock<Padded>,
}

/// What devices without a kernel need.
#[derive(Debug)]
struct Padded {
    /// Of each place `[groups · most queries]` the query, of each query its place.
    queries: Tensor,
    places: Tensor,
    /// Of each place `[groups · most keys]` the row.
    keys: Tensor,
    mask: Tensor,
}

impl KeyRows {
    /// Each query belongs to one of the groups.
    ///
    /// # Errors
    /// A group is empty, or queries are not numbered from 0 on, each once.
    pub fn new(groups: Vec<KeyGroup>) -> Result<Arc<Self>> {
        let mut numbers: Vec<u32> = groups.iter().flat_map(|group| &group.queries).copied().collect();
        numbers.sort_unstable();
        let queries = numbers.len();
        if queries == 0 || !numbers.into_iter().eq(0..queries as u32) {
            bail!("each query must belong to one group of those that see the same keys")
        }
        if groups.iter().any(|group| group.queries.is_empty() || group.keys.is_empty()) {
            bail!("a group of queries must have a query and see a key")
        }
        let keys = groups.iter().flat_map(|group| &group.keys).max().map_or(0, |last| *last as usize + 1);
        Ok(Arc::new(Self { groups, queries, keys, padded: OnceLock::new() }))
    }

    fn padded(&self, device: &Device) -> Result<&Padded> {
        if let Some(padded) = self.padded.get() {
            return Ok(padded);
        }
        let most = |of_group: fn(&KeyGroup) -> &Vec<u32>| self.groups.iter().map(|group| of_group(group).len()).max();
        let (most_queries, most_keys) =
            (most(|group| &group.queries).unwrap_or(0), most(|group| &group.keys).unwrap_or(0));
        let lay = |of_group: fn(&KeyGroup) -> &Vec<u32>, most: usize| {
            let padded = |group| of_group(group).iter().copied().chain(std::iter::repeat(0)).take(most);
            Tensor::from_iter(self.groups.iter().flat_map(padded), device)
        };
        let mut places = vec![0u32; self.queries];
        for (number, group) in self.groups.iter().enumerate() {
            for (place, query) in group.queries.iter().enumerate() {
                places[*query as usize] = (number * most_queries + place) as u32;
            }
        }
        let lengths: Vec<usize> = self.groups.iter().map(|group| group.keys.len()).collect();
        let seen: Vec<bool> = self.groups.iter().flat_map(|group| group.keys.iter().map(|_| !group.is_blind)).collect();
        let padded = Padded {
            queries: lay(|group| &group.queries, most_queries)?,
            places: Tensor::new(places, device)?,
            keys: lay(|group| &group.keys, most_keys)?,
            mask: key_mask(&lengths, &seen, device)?,
        };
        Ok(self.padded.get_or_init(|| padded))
    }

    fn check(&self, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<()> {
        let (rows, width) = queries.dims2()?;
        let (heads, stored, head_width) = keys.dims3()?;
        let fits = rows == self.queries
            && stored >= self.keys
            && heads * head_width == width
            && width > 0
            && values.dims() == keys.dims();
        match fits {
            true => Ok(()),
            false => bail!(
                "attention of {:?} over {:?} and {:?}, for {} queries that see {} rows",
                queries.dims(),
                keys.dims(),
                values.dims(),
                self.queries,
                self.keys
            ),
        }
    }
}

/// `softmax(q kᵀ / √d) v` by head, each query over the rows that it sees: `queries` are `[queries, heads · head width]`, `keys` and `values`
/// `[heads, rows, head width]`; gives `[queries, heads · head width]`. For inference: it has no gradient on the CPU. A query gives the same bits whatever
/// is beside it.
///
/// # Errors
/// The shapes do not fit, or the device fails.
pub fn gathered_attention(queries: &Tensor, keys: &Tensor, values: &Tensor, seen: &Arc<KeyRows>) -> Result<Tensor> {
    seen.check(queries, keys, values)?;
    if has_kernel(queries) {
        let op = GatheredAttention { seen: seen.clone() };
        return queries.contiguous()?.apply_op3_no_bwd(&keys.contiguous()?, &values.contiguous()?, &op);
    }
    let padded = seen.padded(queries.device())?;
    let (heads, _, head_width) = keys.dims3()?;
    let groups = seen.groups.len();
    let scaled = (queries * (1.0 / (head_width as f64).sqrt()))?.index_select(&padded.queries, 0)?;
    let scaled = scaled.reshape((groups, (), heads, head_width))?.transpose(1, 2)?.contiguous()?;
    let of_groups = |rows: &Tensor| {
        let rows = rows.index_select(&padded.keys, 1)?.reshape((heads, groups, (), head_width))?;
        rows.transpose(0, 1)?.contiguous()
    };
    let weights = masked_softmax(&scaled.matmul(&of_groups(keys)?.t()?)?, &padded.mask)?;
    let mixed = weights.matmul(&of_groups(values)?)?.transpose(1, 2)?.contiguous()?;
    mixed.reshape(((), heads * head_width))?.index_select(&padded.places, 0)
}

struct GatheredAttention {
    seen: Arc<KeyRows>,
}

impl CustomOp3 for GatheredAttention {
    fn name(&self) -> &'static str {
        "gathered-attention"
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
        let (heads, rows, head_dim) = l2.shape().dims3()?;
        let inputs = kernels::GatheredAttentionInputs {
            queries,
            keys: f32_slice(s2, l2)?,
            values: f32_slice(s3, l3)?,
            groups: &self.seen.groups,
            heads,
            rows,
            head_dim,
        };
        let mut out = vec![0f32; queries.len()];
        kernels::gathered_attention(&inputs, &mut out);
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }
}
