//! How a sample looks into the memory: attention of its encoder states over the rows of its strategy, then the maximum over places.

use candle_core::{Device, Tensor};
use llm_runtime::{LinearLoader, ops};
use seq2seq::HiddenStates;

use crate::pooling::Pool;
use crate::{EmptyMemory, MemoryError};

/// The parameters' place in a state dict.
const NAME: &str = "memory_enhance_module";

/// Multi-head attention over a strategy's rows, as torch's `MultiheadAttention` has it: one matrix for queries, keys and values.
pub(crate) struct MemoryReader {
    /// `[3 · width, width]`: rows of queries, of keys, of values.
    in_projection: Tensor,
    /// `[3 · width]`.
    in_bias: Tensor,
    out_projection: Tensor,
    out_bias: Tensor,
    /// What a sample without rows reads, `[width]`, where that is learned.
    empty: Option<Tensor>,
    policy: EmptyMemory,
    heads: usize,
    width: usize,
    pool: Pool,
}

impl MemoryReader {
    pub(crate) fn load(
        loader: &dyn LinearLoader,
        width: usize,
        heads: usize,
        policy: EmptyMemory,
        pool: Pool,
    ) -> Result<Self, MemoryError> {
        let attention = |part: &str| format!("{NAME}.multihead_attn.{part}");
        let tensor = |name: &str, shape: &[usize]| loader.tensor(name, shape).map_err(seq2seq::Seq2SeqError::from);
        let empty = (policy == EmptyMemory::Learned).then(|| tensor(&format!("{NAME}.empty"), &[width])).transpose()?;
        Ok(Self {
            in_projection: tensor(&attention("in_proj_weight"), &[3 * width, width])?,
            in_bias: tensor(&attention("in_proj_bias"), &[3 * width])?,
            out_projection: tensor(&attention("out_proj.weight"), &[width, width])?,
            out_bias: tensor(&attention("out_proj.bias"), &[width])?,
            empty,
            policy,
            heads,
            width,
            pool,
        })
    }

    /// What each sample reads: of its states over its rows of the memory `[rows, width]`. One vector `[1, width]` for each sample; none where
    /// there are no rows and nothing stands for them.
    pub(crate) fn read(
        &self,
        states: &HiddenStates,
        memories: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>, MemoryError> {
        let queries = self.projected(states.states(), 0)?;
        let nobody_has_any = memories.iter().all(Option::is_none);
        let mut start = 0;
        let mut read = Vec::with_capacity(memories.len());
        for (sample, (memory, length)) in memories.iter().zip(states.lengths()).enumerate() {
            let attended = &states.attended()[start..start + length];
            read.push(match memory {
                Some(rows) => {
                    let mixed = self.attend(&queries.narrow(0, start, *length)?, rows)?;
                    Some(self.pool.over(&mixed, attended)?)
                }
                None => self.nothing(sample, nobody_has_any)?,
            });
            start += length;
        }
        Ok(read)
    }

    /// How much each row of a memory is looked at, `[rows]` adding up to 1: the mean over heads and over the tokens of the first sample.
    pub(crate) fn weights(&self, states: &HiddenStates, rows: &Tensor) -> Result<Vec<f32>, MemoryError> {
        let length = states.lengths().first().copied().unwrap_or_default();
        let queries = self.projected(&states.states().narrow(0, 0, length)?, 0)?;
        let weights = self.probabilities(&queries, &self.projected(rows, 1)?)?;
        Ok(weights.mean(1)?.mean(0)?.to_vec1()?)
    }

    fn nothing(&self, sample: usize, nobody_has_any: bool) -> Result<Option<Tensor>, MemoryError> {
        match self.policy {
            EmptyMemory::Learned => Ok(self.empty.as_ref().map(|empty| empty.reshape((1, self.width))).transpose()?),
            EmptyMemory::Zero => Ok(None),
            EmptyMemory::Refuse if nobody_has_any => Ok(Some(self.out_bias.reshape((1, self.width))?)),
            EmptyMemory::Refuse => Err(MemoryError::NoRows { sample: format!("sample {sample} of the batch") }),
        }
    }

    /// Attention of queries `[places, width]` over rows `[rows, width]`: `[places, width]`.
    fn attend(&self, queries: &Tensor, rows: &Tensor) -> Result<Tensor, MemoryError> {
        let places = queries.dim(0)?;
        let weights = self.probabilities(queries, &self.projected(rows, 1)?)?;
        let values = self.by_head(&self.projected(rows, 2)?)?;
        let mixed = weights.matmul(&values)?.transpose(0, 1)?.contiguous()?.reshape((places, self.width))?;
        Ok(mixed.matmul(&self.out_projection.t()?)?.broadcast_add(&self.out_bias)?)
    }

    /// Attention weights, `[heads, places, rows]`.
    fn probabilities(&self, queries: &Tensor, keys: &Tensor) -> Result<Tensor, MemoryError> {
        let scale = 1.0 / ((self.width / self.heads) as f64).sqrt();
        let scores = (self.by_head(queries)? * scale)?.matmul(&self.by_head(keys)?.t()?)?;
        let (heads, places, rows) = scores.dims3()?;
        let all_are_seen = Tensor::zeros((1, rows), scores.dtype(), scores.device())?;
        Ok(ops::masked_softmax(&scores.reshape((1, heads, places, rows))?, &all_are_seen)?.squeeze(0)?)
    }

    /// Queries (0), keys (1) or values (2) of rows `[rows, width]`.
    fn projected(&self, rows: &Tensor, part: usize) -> Result<Tensor, MemoryError> {
        let weight = self.in_projection.narrow(0, part * self.width, self.width)?;
        let bias = self.in_bias.narrow(0, part * self.width, self.width)?;
        Ok(rows.matmul(&weight.t()?)?.broadcast_add(&bias)?)
    }

    /// `[rows, width]` to `[heads, rows, head width]`.
    fn by_head(&self, rows: &Tensor) -> Result<Tensor, MemoryError> {
        Ok(rows.reshape((rows.dim(0)?, self.heads, ()))?.transpose(0, 1)?.contiguous()?)
    }

    pub(crate) fn device(&self) -> &Device {
        self.in_bias.device()
    }
}
