//! Keys or values of a cache on the device, in the type that it keeps them in.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{CudaView, CudaViewMut};
use candle_core::{CudaStorage, DType, Layout, Result, bail};
use half::f16;

pub(super) enum Cached<'a> {
    F32(CudaView<'a, f32>),
    F16(CudaView<'a, f16>),
}

impl<'a> Cached<'a> {
    pub(super) fn of(storage: &'a CudaStorage, layout: &Layout) -> Result<Self> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("the cache is not contiguous") };
        check_start(start)?;
        match storage.dtype() {
            DType::F32 => Ok(Self::F32(storage.as_cuda_slice()?.slice(start..end))),
            DType::F16 => Ok(Self::F16(storage.as_cuda_slice()?.slice(start..end))),
            other => bail!("a cache of {}", other.as_str()),
        }
    }

    /// As the names of kernels have it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::F16(_) => "f16",
        }
    }
}

pub(super) enum CachedMut<'a> {
    F32(CudaViewMut<'a, f32>),
    F16(CudaViewMut<'a, f16>),
}

impl<'a> CachedMut<'a> {
    pub(super) fn of(storage: &'a mut CudaStorage, start: usize) -> Result<Self> {
        check_start(start)?;
        match storage.dtype() {
            DType::F32 => Ok(Self::F32(storage.as_cuda_slice_mut()?.slice_mut(start..))),
            DType::F16 => Ok(Self::F16(storage.as_cuda_slice_mut()?.slice_mut(start..))),
            other => bail!("a cache of {}", other.as_str()),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::F16(_) => "f16",
        }
    }
}

/// Kernels take four values at a time.
fn check_start(start: usize) -> Result<()> {
    match start.is_multiple_of(4) {
        true => Ok(()),
        false => bail!("a cache that begins at value {start}, which is not a multiple of 4"),
    }
}
