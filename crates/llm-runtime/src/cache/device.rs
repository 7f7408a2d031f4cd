//! Attention over the cache by CUDA kernels.

use candle_core::{CpuStorage, CudaStorage, CustomOp3, InplaceOp2, Layout, Result, Shape, Tensor, bail};

use super::StepAttention;
use crate::kernels::cuda::{self, DevicePlan, Heads};

impl StepAttention<'_> {
    /// Writes the step's rows and attends, if there is a kernel and nobody watches: weights exist in the kernel for a tile of keys at a time only.
    /// `keys` and `values` are each the cache's and the step's.
    pub(super) fn attend_by_device_kernel(
        &self,
        queries: &Tensor,
        keys: (&Tensor, &Tensor),
        values: (&Tensor, &Tensor),
    ) -> Result<Option<Tensor>> {
        if self.watch.is_some() || !queries.device().is_cuda() {
            return Ok(None);
        }
        let Some(plan) = self.plan(queries)? else { return Ok(None) };
        for (cache, rows) in [keys, values] {
            cache.inplace_op2(&rows.contiguous()?, &WriteRows(plan))?;
        }
        queries.contiguous()?.apply_op3_no_bwd(keys.0, values.0, &DeviceAttention(plan)).map(Some)
    }

    fn plan(&self, queries: &Tensor) -> Result<Option<&DevicePlan>> {
        if let Some(plan) = self.plan.get() {
            return Ok(plan.as_ref());
        }
        let heads = Heads {
            heads: self.cache.heads,
            key_value_heads: self.cache.key_value_heads,
            head_dim: self.cache.head_dim,
            sliding_window: self.cache.sliding_window,
        };
        let plan = DevicePlan::new(heads, self.slots, self.segments, queries.device())?;
        Ok(self.plan.get_or_init(|| plan).as_ref())
    }
}

struct WriteRows<'a>(&'a DevicePlan);

impl InplaceOp2 for WriteRows<'_> {
    fn name(&self) -> &'static str {
        "cache-write-device-rows"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<()> {
        bail!("a plan for a CUDA device met tensors of the CPU")
    }

    fn cuda_fwd(&self, cache: &mut CudaStorage, l1: &Layout, rows: &CudaStorage, l2: &Layout) -> Result<()> {
        cuda::write_rows(self.0, (cache, l1), (rows, l2))
    }
}

struct DeviceAttention<'a>(&'a DevicePlan);

impl CustomOp3 for DeviceAttention<'_> {
    fn name(&self) -> &'static str {
        "paged-attention-on-device"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        bail!("a plan for a CUDA device met tensors of the CPU")
    }

    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((cuda::attend(self.0, (s1, l1), (s2, l2), (s3, l3))?, l1.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::cache::{KvCache, KvType, slot};
    use crate::kernels::{BLOCK_SIZE, Segment};

    /// Of a step with a long prompt, short ones far into their sequences, and single rows: as composed from candle's operators, on the same device.
    #[test]
    fn kernels_attend_as_composed_operators_do() {
        let Some(device) = crate::device::test_device() else { return };
        let cases = [(16, 4, 2), (32, 4, 4), (64, 32, 4), (128, 8, 8), (128, 8, 1), (128, 12, 2)];
        let options = [(None, KvType::F32), (Some(100), KvType::F32), (None, KvType::F16)];
        for ((head_dim, heads, key_value_heads), (window, kv_type)) in
            cases.into_iter().flat_map(|case| options.map(|option| (case, option)))
        {
            // Of the five rows behind 126 positions some miss the last range of keys.
            for lengths in [&[(0, 300), (700, 1), (0, 1), (126, 5)][..], &[(0, 1), (1023, 1), (128, 1)]] {
                let cache = filled_cache((heads, key_value_heads, head_dim), window, kv_type, &device);
                compare(&cache, &segments(lengths), &device);
            }
        }
    }

    fn filled_cache(
        (heads, key_value_heads, head_dim): (usize, usize, usize),
        window: Option<usize>,
        kv_type: KvType,
        device: &Device,
    ) -> KvCache {
        let shape = (150 * BLOCK_SIZE, key_value_heads, head_dim);
        let random = || Tensor::randn(0f32, 1.0, shape, device).unwrap().to_dtype(kv_type.dtype()).unwrap();
        KvCache { layers: vec![(random(), random())], heads, key_value_heads, head_dim, sliding_window: window }
    }

    /// Of sequences with so many positions in the cache and so many new rows, whose blocks do not lie in order.
    fn segments(lengths: &[(usize, usize)]) -> Vec<Segment> {
        let (mut row, mut block) = (0, 150);
        let mut segments = Vec::new();
        for (first_position, rows) in lengths {
            let blocks = (first_position + rows).div_ceil(BLOCK_SIZE);
            segments.push(Segment {
                rows: row..row + rows,
                first_position: *first_position,
                blocks: (block - blocks..block).rev().map(|block| block as u32).collect(),
            });
            (row, block) = (row + rows, block - blocks);
        }
        segments
    }

    fn compare(cache: &KvCache, segments: &[Segment], device: &Device) {
        let slots: Vec<u32> = segments
            .iter()
            .flat_map(|segment| (segment.first_position..).take(segment.rows.len()).map(|at| slot(&segment.blocks, at)))
            .collect();
        let random = |heads| Tensor::randn(0f32, 1.0, (slots.len(), heads, cache.head_dim), device).unwrap();
        let (queries, keys, values) =
            (random(cache.heads), random(cache.key_value_heads), random(cache.key_value_heads));
        let (cached_keys, cached_values) = &cache.layers[0];
        let step = cache.step(&slots, segments, None);
        let found = step.attend_by_device_kernel(&queries, (cached_keys, &keys), (cached_values, &values)).unwrap();
        let found = found.expect("a kernel for these heads");
        let copies = (cached_keys.copy().unwrap(), cached_values.copy().unwrap());
        step.write_composed(&copies.0, &keys).unwrap();
        step.write_composed(&copies.1, &values).unwrap();
        let expected = step.attend_composed(0, &queries, cached_keys, cached_values).unwrap();
        assert_eq!(greatest_difference(&copies.0, cached_keys), 0.0);
        assert_eq!(greatest_difference(&copies.1, cached_values), 0.0);
        let difference = greatest_difference(&found, &expected);
        assert!(difference < 2e-5, "{difference} for heads {:?}", queries.dims());
    }

    fn greatest_difference(left: &Tensor, right: &Tensor) -> f32 {
        let values =
            |tensor: &Tensor| tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
        let (left, right) = (values(left), values(right));
        assert_eq!(left.len(), right.len());
        left.iter().zip(&right).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
    }
}
