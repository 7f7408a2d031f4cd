//! Products with quantised weight matrices that are not trained (QLoRA's frozen base).

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};

use super::{Values, f32_slice};
use crate::kernels::{self, PackedMatrix};

/// A quantised `[out, in]` matrix that is not trained: packed where there are kernels for it, else as candle keeps it.
#[derive(Clone)]
pub(crate) enum QuantisedMatrix {
    Packed(Arc<PackedMatrix>),
    Stock(Arc<QTensor>),
}

impl QuantisedMatrix {
    /// Packs a matrix, if it lies on the CPU and can be packed.
    pub(crate) fn packed(stock: Arc<QTensor>) -> Result<Self> {
        let (out_features, in_features) = stock.shape().dims2()?;
        if !stock.device().is_cpu() || !PackedMatrix::has_kernel(stock.dtype(), in_features) {
            return Ok(Self::Stock(stock));
        }
        let packed = PackedMatrix::pack(stock.dtype(), &stock.data()?, out_features, in_features);
        Ok(packed.map_or(Self::Stock(stock), |packed| Self::Packed(Arc::new(packed))))
    }

    /// `(out, in)`.
    pub(crate) fn shape(&self) -> Result<(usize, usize)> {
        match self {
            Self::Packed(packed) => Ok(packed.shape()),
            Self::Stock(stock) => stock.shape().dims2(),
        }
    }

    /// Its values in f32, on this device.
    pub(crate) fn dequantise(&self, device: &Device) -> Result<Tensor> {
        match self {
            Self::Packed(packed) => Tensor::from_vec(packed.dequantise(), packed.shape(), device),
            Self::Stock(stock) => stock.dequantize(device),
        }
    }

    /// `y = x Wᵀ` with activations rounded to 8 bits; `x` is `[rows, in]` f32. A row gives the same bits whatever rows are beside it.
    ///
    /// The backward pass is `dx = g W` with the dequantised matrix, which lives only as long as the product: one matrix at a
    /// time. The forward pass differs a little from the dense product; the gradient is that of the dense one (a straight-through
    /// estimate, as in QLoRA, arXiv 2305.14314).
    pub(crate) fn product(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.contiguous()?;
        match self {
            Self::Stock(stock) if x.device().is_cpu() => stock_product(stock, &x),
            _ => x.apply_op1(RoundedMatMul(self.clone())),
        }
    }

    /// `y = x Wᵀ` with the dequantised matrix, which lives only as long as the product, in both directions; `x` is `[rows, in]` f32. On the CPU a row gives the same
    /// bits whatever rows are beside it.
    pub(crate) fn dequantised_product(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(DequantisedMatMul(self.clone()))
    }
}

/// candle has two kernels for Q6_K on x86, one for a single row and one for several, and (with AMX) two for Q4_K;
/// they add in different orders. Feeding rows so that always the same kernel runs keeps a row's result independent
/// of its neighbours.
fn stock_product(stock: &Arc<QTensor>, x: &Tensor) -> Result<Tensor> {
    let op = || RoundedMatMul(QuantisedMatrix::Stock(stock.clone()));
    let rows = x.dim(0)?;
    if stock.dtype() == GgmlDType::Q6K && rows == 1 {
        return Tensor::cat(&[x, x], 0)?.apply_op1(op())?.narrow(0, 0, 1);
    }
    if stock.dtype() == GgmlDType::Q4K && rows > AMX_FREE_ROWS && has_amx() {
        let part = |first| x.narrow(0, first, AMX_FREE_ROWS.min(rows - first))?.contiguous()?.apply_op1(op());
        let parts = (0..rows).step_by(AMX_FREE_ROWS).map(part).collect::<Result<Vec<_>>>()?;
        return Tensor::cat(&parts, 0);
    }
    x.apply_op1(op())
}

/// candle's AMX kernel takes over from this many rows plus one.
const AMX_FREE_ROWS: usize = 31;

fn has_amx() -> bool {
    use std::sync::OnceLock;
    static AMX: OnceLock<bool> = OnceLock::new();
    *AMX.get_or_init(|| {
        std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpu| cpu.split_whitespace().any(|flag| flag == "amx_int8"))
    })
}

/// See [`QuantisedMatrix::product`].
struct RoundedMatMul(QuantisedMatrix);

impl CustomOp1 for RoundedMatMul {
    fn name(&self) -> &'static str {
        "rounded-matmul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let packed = match &self.0 {
            QuantisedMatrix::Stock(stock) => return stock.cpu_fwd(storage, layout),
            QuantisedMatrix::Packed(packed) => packed,
        };
        let (rows, out_features) = shape_of_product(layout, packed.shape())?;
        let mut out = vec![0f32; rows * out_features];
        packed.multiply(f32_slice(storage, layout)?, &mut out);
        Ok((CpuStorage::F32(out), Shape::from((rows, out_features))))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        match &self.0 {
            QuantisedMatrix::Stock(stock) => stock.cuda_fwd(storage, layout),
            QuantisedMatrix::Packed(_) => candle_core::bail!("a matrix that is packed for the CPU got a CUDA tensor"),
        }
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let weight = self.0.dequantise(g.device())?;
        Ok(Some(g.contiguous()?.matmul(&weight)?))
    }
}

/// `(rows, out)`, if the input has as many features as the matrix.
fn shape_of_product(layout: &Layout, (out_features, weight_in): (usize, usize)) -> Result<(usize, usize)> {
    let (rows, in_features) = layout.shape().dims2()?;
    if in_features != weight_in {
        candle_core::bail!("the input has {in_features} features, the weight matrix {weight_in}")
    }
    Ok((rows, out_features))
}

/// See [`QuantisedMatrix::dequantised_product`].
struct DequantisedMatMul(QuantisedMatrix);

impl CustomOp1 for DequantisedMatMul {
    fn name(&self) -> &'static str {
        "dequantised-matmul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, in_features) = self.0.shape()?;
        let (rows, out_features) = shape_of_product(layout, self.0.shape()?)?;
        let weight = self.0.dequantise(&Device::Cpu)?.detach();
        let weight = Values::of(&weight)?;
        let mut out = vec![0f32; rows * out_features];
        let weights = kernels::Weights::F32(weight.slice()?);
        kernels::matmul(f32_slice(storage, layout)?, weights, in_features, out_features, &mut out);
        Ok((CpuStorage::F32(out), Shape::from((rows, out_features))))
    }

    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        RoundedMatMul(self.0.clone()).cuda_fwd(storage, layout)
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        RoundedMatMul(self.0.clone()).bwd(x, y, g)
    }
}
