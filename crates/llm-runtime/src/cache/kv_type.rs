//! In which type a cache keeps keys and values.

use std::fmt;
use std::str::FromStr;

use candle_core::DType;

use crate::Error;

/// The type of cached keys and values. Attention computes in f32 over either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KvType {
    /// 32 bits: what was computed is kept exactly.
    #[default]
    F32,
    /// 16 bits, IEEE half precision: twice as many tokens in the same memory, each value rounded to 11 significant bits. Values
    /// beyond 65,504 become infinite.
    F16,
}

impl KvType {
    /// What is told of a model's weights, and of its cache where that has another type than by default: both decide its texts.
    pub(crate) fn noted(self, weights: String) -> String {
        if self == Self::default() { weights } else { format!("{weights}, {self} keys and values") }
    }

    pub(super) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

impl FromStr for KvType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            _ => Err(Error::Invalid(format!("type `{text}` of keys and values: expected f32 or f16"))),
        }
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}
