//! Gradient checkpointing: keep a section's input, compute the section again in the backward pass.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, TensorId, Var, bail};

/// Runs sections of a model so that only their inputs are kept (arXiv 1604.06174).
///
/// The gradients of variables *inside* the sections do not reach the store that `loss.backward()` returns: take them from
/// here afterwards and add them. A section must give the same result each time it is run; on a CUDA device, where the
/// pass that keeps nothing has kernels of its own, last bits may differ.
#[derive(Clone, Default)]
pub struct Checkpoints {
    found: Found,
}

impl Checkpoints {
    /// Keeps the gradients of these tensors alone. A backward pass also finds those of frozen weights, masks and tables; the
    /// default keeps them all, which can take more memory than checkpointing saves.
    pub fn of(variables: impl IntoIterator<Item = TensorId>) -> Self {
        let wanted = Some(Arc::new(variables.into_iter().collect()));
        Self { found: Found { wanted, sums: Arc::default() } }
    }

    /// Gives `section(x)` without keeping what was computed on the way.
    ///
    /// # Errors
    /// Those of the section.
    pub fn run(
        &self,
        x: &Tensor,
        section: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        let y = section(&x.detach())?.detach();
        // What the section's variables need is only found if the backward pass comes by, so the input must have a history.
        let x = if x.track_op() { x.clone() } else { Var::from_tensor(x)?.as_tensor().clone() };
        x.apply_op1(Section { section, result: Mutex::new(Some(y)), found: self.found.clone() })
    }

    /// The gradients found by backward passes since the last call, summed over the sections.
    pub fn take(&self) -> GradStore {
        std::mem::take(&mut self.found.sums.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the backward passes of sections leave.
#[derive(Clone, Default)]
struct Found {
    wanted: Option<Arc<HashSet<TensorId>>>,
    sums: Arc<Mutex<GradStore>>,
}

impl Found {
    fn add(&self, gradients: GradStore) -> Result<()> {
        let kept = match &self.wanted {
            None => gradients,
            Some(wanted) => {
                let mut kept = GradStore::default();
                for (id, gradient) in wanted.iter().filter_map(|id| Some((id, gradients.get_id(*id)?))) {
                    kept.insert_id(*id, gradient.clone());
                }
                kept
            }
        };
        self.sums.lock().unwrap_or_else(PoisonError::into_inner).extend(kept)
    }
}

struct Section<F> {
    section: F,
    /// Already computed when the operator is applied: a custom operator sees storages only.
    result: Mutex<Option<Tensor>>,
    found: Found,
}

impl<F> Section<F> {
    fn result(&self) -> Result<Tensor> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match result {
            Some(result) => result.contiguous(),
            None => bail!("a checkpointed section was applied twice"),
        }
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> CustomOp1 for Section<F> {
    fn name(&self) -> &'static str {
        "checkpointed-section"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let result = self.result()?;
        let (storage, layout) = result.storage_and_layout();
        let Storage::Cpu(storage) = &*storage else { bail!("a section changed the device") };
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("a section's result is not contiguous") };
        Ok((CpuStorage::F32(storage.as_slice::<f32>()?[start..end].to_vec()), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        let result = self.result()?;
        let (storage, layout) = result.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { bail!("a section changed the device") };
        if layout.start_offset() != 0 {
            bail!("a section's result is a part of another tensor")
        }
        Ok((storage.try_clone(layout)?, layout.shape().clone()))
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        bail!("this program was built without CUDA")
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let x = Var::from_tensor(&x.detach())?;
        let y = (self.section)(x.as_tensor())?;
        let mut gradients = (y * g)?.sum_all()?.backward()?;
        let dx = gradients.remove(x.as_tensor());
        self.found.add(gradients)?;
        Ok(dx)
    }
}
