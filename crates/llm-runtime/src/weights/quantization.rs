//! Types of weights: as a user names them, and what they cost.

use std::fmt;
use std::str::FromStr;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::WeightOptions;
use crate::Error;
use crate::kernels::PackedMatrix;

/// A type for dense weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatType {
    /// 32 bits.
    F32,
    /// 16 bits, IEEE half precision.
    F16,
    /// 16 bits, the range of f32.
    Bf16,
}

impl FloatType {
    /// What tensors call it.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    /// What `config.json` calls it.
    pub(crate) fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }
}

impl FromStr for FloatType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            "bf16" => Ok(Self::Bf16),
            _ => Err(Error::Invalid(format!("type `{text}`: expected f32, f16 or bf16"))),
        }
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

/// A quantisation that can be made while loading. Only types with fast kernels on every device are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// 4.5 bits a weight, blocks of 256.
    Q4K,
    /// 6.6 bits a weight, blocks of 256.
    Q6K,
    /// 8.5 bits a weight, blocks of 32.
    Q8_0,
}

impl Quantization {
    fn dtype(self) -> GgmlDType {
        match self {
            Self::Q4K => GgmlDType::Q4K,
            Self::Q6K => GgmlDType::Q6K,
            Self::Q8_0 => GgmlDType::Q8_0,
        }
    }

    /// The type for rows of `width` values: as asked, else Q8_0 where its shorter blocks fit, else none.
    pub(crate) fn for_width(self, width: usize) -> Option<GgmlDType> {
        [self.dtype(), GgmlDType::Q8_0].into_iter().find(|dtype| width.is_multiple_of(dtype.block_size()))
    }
}

impl FromStr for Quantization {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.to_ascii_lowercase().as_str() {
            "q4_k" => Ok(Self::Q4K),
            "q6_k" => Ok(Self::Q6K),
            "q8_0" => Ok(Self::Q8_0),
            _ => Err(Error::Invalid(format!("quantisation `{text}`: expected q4_k, q6_k or q8_0"))),
        }
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&type_name(self.dtype()))
    }
}

/// Rows that one task quantises.
const ROWS_PER_TASK: usize = 64;

/// Quantises a dense matrix by all threads, on whatever device it lies, and puts the result on `device`. Blocks do not know of each
/// other, so the bits are those of [`QTensor::quantize`], which uses one thread of the CPU for a matrix of any device.
pub(super) fn quantise(dense: &Tensor, dtype: GgmlDType, device: &Device) -> candle_core::Result<QTensor> {
    let (rows, width) = dense.dims2()?;
    let dense = dense.to_device(&Device::Cpu)?;
    let quantise_rows = |first| {
        // A view would not do: candle quantises the whole storage.
        let part = dense.narrow(0, first, ROWS_PER_TASK.min(rows - first))?.to_dtype(DType::F32)?.force_contiguous()?;
        Ok(QTensor::quantize(&part, dtype)?.data()?.into_owned())
    };
    let firsts: Vec<usize> = (0..rows).step_by(ROWS_PER_TASK).collect();
    let parts = firsts.into_par_iter().map(quantise_rows).collect::<candle_core::Result<Vec<Vec<u8>>>>()?;
    QTensor::new(QStorage::from_data(parts.concat().into(), device, dtype)?, (rows, width))
}

/// `f32`, `q4_k` …
pub(crate) fn type_name(dtype: GgmlDType) -> String {
    match dtype {
        GgmlDType::Q2K => "q2_k".into(),
        GgmlDType::Q3K => "q3_k".into(),
        GgmlDType::Q4K => "q4_k".into(),
        GgmlDType::Q5K => "q5_k".into(),
        GgmlDType::Q6K => "q6_k".into(),
        GgmlDType::Q8K => "q8_k".into(),
        other => format!("{other:?}").to_ascii_lowercase(),
    }
}

/// Bytes that `elements` values take in memory, a repacked copy included.
pub(crate) fn memory(elements: u64, stored: GgmlDType, options: WeightOptions) -> u64 {
    let dense = matches!(stored, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16);
    let held = match (options.quantize, options.float) {
        (Some(quantization), _) => quantization.dtype(),
        (None, Some(float)) if dense => match float {
            FloatType::F32 => GgmlDType::F32,
            FloatType::F16 => GgmlDType::F16,
            FloatType::Bf16 => GgmlDType::BF16,
        },
        _ => stored,
    };
    let blocks = elements.div_ceil(held.block_size() as u64);
    let bytes = blocks * held.type_size() as u64;
    if !options.plain && PackedMatrix::has_kernel(held, held.block_size().max(256)) {
        return PackedMatrix::bytes(held, elements);
    }
    bytes + if cfg!(target_arch = "x86_64") { repacked(elements, held) } else { 0 }
}

/// The repacked copy: bytes a weight are 192/256 (Q4_K: 128 of values, 64 of scales and minima), 320/256 (Q6_K) and 34/32.
fn repacked(elements: u64, dtype: GgmlDType) -> u64 {
    match dtype {
        GgmlDType::Q4K => elements * 192 / 256,
        GgmlDType::Q6K => elements * 320 / 256,
        GgmlDType::Q8_0 => elements * 34 / 32,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_quantise_as_one_does() {
        let dense = Tensor::randn(0f32, 1.0, (2 * ROWS_PER_TASK + 5, 512), &Device::Cpu).unwrap();
        for dtype in [GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::Q8_0] {
            let (whole, parts) =
                (QTensor::quantize(&dense, dtype).unwrap(), quantise(&dense, dtype, &Device::Cpu).unwrap());
            assert_eq!((whole.shape(), whole.data().unwrap()), (parts.shape(), parts.data().unwrap()), "{dtype:?}");
        }
    }
}
