//! Kernels for CUDA devices, for inference. They are compiled to PTX by the build script, which the driver translates when they are first used.
//!
//! Storages are contiguous and f32, but a cache's may be f16, and all of one device. A function checks whatever its kernel relies on.

mod attention;
mod cached;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaSlice, CudaView, LaunchConfig, PushKernelArg};
use candle_core::{CudaDevice, CudaStorage, Layout, Result, bail};

pub(crate) use attention::{DevicePlan, Heads, attend, write_rows};

#[allow(unreachable_pub)]
mod ptx {
    include!(concat!(env!("OUT_DIR"), "/cuda_kernels.rs"));
}

/// Sets a device that has no tensors yet to what one stream, which makes and drops many tensors, needs.
pub(crate) fn prepare(device: &CudaDevice) {
    // Each allocation would make two events, to let streams wait for each other.
    // SAFETY: a device is opened once, with one stream.
    unsafe { device.disable_event_tracking() };
    if device.cuda_stream().context().has_async_alloc()
        && let Err(error) = keep_freed_memory(device)
    {
        tracing::warn!("steps will be slower: the device gives memory back at each ({error})");
    }
}

/// Lets the device keep what is freed for what is allocated next. By default each wait for the device, and so each step, gives it back.
fn keep_freed_memory(device: &CudaDevice) -> Result<()> {
    use candle_core::cuda_backend::cudarc::driver::{result, sys};
    let number = device.cuda_stream().context().cu_device();
    let mut most = u64::MAX;
    let kept = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: the device is open, and the attribute is a number of 64 bits.
    unsafe {
        let pool = result::device::get_default_mem_pool(number).w()?;
        result::mem_pool::set_attribute(pool, kept, (&raw mut most).cast()).w()
    }
}

/// Threads of a block, where the kernel does not say otherwise.
const THREADS: u32 = 256;

fn function(device: &CudaDevice, name: &str) -> Result<CudaFunction> {
    Ok(device.get_or_load_custom_func(name, "solace-rows", ptx::ROWS)?.into_cuda_function())
}

fn grid(blocks: (usize, usize), threads: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks.0 as u32, blocks.1 as u32, 1), block_dim: (threads, 1, 1), shared_mem_bytes: 0 }
}

/// The values of a contiguous f32 tensor, which kernels may read four at a time.
fn values<'a>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, f32>> {
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("the operator needs a contiguous tensor") };
    if !start.is_multiple_of(4) {
        bail!("the operator needs a tensor that begins at a multiple of 16 bytes")
    }
    Ok(storage.as_cuda_slice::<f32>()?.slice(start..end))
}

/// Room for values that a kernel writes, all of them.
fn room(device: &CudaDevice, count: usize) -> Result<CudaSlice<f32>> {
    // SAFETY: every kernel here writes all of its output before anything reads it.
    unsafe { device.alloc::<f32>(count) }
}

/// `x / √(mean(x²) + eps) · weight` for each row; `x` is `[rows, width]`.
pub(crate) fn rms_norm(x: (&CudaStorage, &Layout), weight: (&CudaStorage, &Layout), eps: f32) -> Result<CudaStorage> {
    let device = x.0.device.clone();
    let shape_width = x.1.shape().dims().last().copied().unwrap_or(1);
    let (x, weight) = (values(x.0, x.1)?, values(weight.0, weight.1)?);
    let (count, width) = (x.len(), weight.len());
    if !width.is_multiple_of(4) || shape_width != width {
        bail!("a norm of {width} values for rows of {shape_width}")
    }
    let mut out = room(&device, count)?;
    let kernel = function(&device, "rms_norm")?;
    let width_argument = width as u32;
    let threads = (width / 4).clamp(32, 1024).next_multiple_of(32) as u32;
    let stream = device.cuda_stream();
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&x).arg(&weight).arg(&mut out).arg(&width_argument).arg(&eps);
    // SAFETY: a block for each row reads and writes `width` values of that row.
    unsafe { launch.launch(grid((count / width.max(1), 1), threads)) }.w()?;
    Ok(CudaStorage::wrap_cuda_slice(out, device))
}

/// Rotates `x`, `[rows, heads, 2 · half]`, by angles `[rows, half]`.
pub(crate) fn rope(
    x: (&CudaStorage, &Layout),
    cos: (&CudaStorage, &Layout),
    sin: (&CudaStorage, &Layout),
) -> Result<CudaStorage> {
    let (rows, heads, dim) = x.1.shape().dims3()?;
    let device = x.0.device.clone();
    let (x, cos, sin) = (values(x.0, x.1)?, values(cos.0, cos.1)?, values(sin.0, sin.1)?);
    if !dim.is_multiple_of(2) || [cos.len(), sin.len()] != [rows * (dim / 2); 2] {
        bail!("{} cosines and {} sines for {rows} rows of heads of {dim}", cos.len(), sin.len())
    }
    let mut out = room(&device, x.len())?;
    let kernel = function(&device, "rope")?;
    let half = dim as u32 / 2;
    let stream = device.cuda_stream();
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&x).arg(&cos).arg(&sin).arg(&mut out).arg(&half);
    // SAFETY: a block for each row and head reads and writes its values and reads the row's angles.
    unsafe { launch.launch(grid((rows, heads), half.clamp(32, 1024).next_multiple_of(32))) }.w()?;
    Ok(CudaStorage::wrap_cuda_slice(out, device))
}

/// `silu(gate) · up`; both of as many values.
pub(crate) fn silu_mul(gate: (&CudaStorage, &Layout), up: (&CudaStorage, &Layout)) -> Result<CudaStorage> {
    let device = gate.0.device.clone();
    let (gate, up) = (values(gate.0, gate.1)?, values(up.0, up.1)?);
    let count = gate.len();
    if up.len() != count {
        bail!("{count} values of the gate for {} others", up.len())
    }
    let mut out = room(&device, count)?;
    let kernel = function(&device, "silu_mul")?;
    let stream = device.cuda_stream();
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&gate).arg(&up).arg(&mut out).arg(&count);
    // SAFETY: threads read and write below `count`, which all three have.
    unsafe { launch.launch(grid((count.div_ceil(THREADS as usize), 1), THREADS)) }.w()?;
    Ok(CudaStorage::wrap_cuda_slice(out, device))
}
