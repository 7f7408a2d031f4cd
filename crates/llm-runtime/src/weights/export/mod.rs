//! Writing models: as a GGUF file, one tensor at a time, or a Hugging Face folder, one shard at a time.
//!
//! What is written is a model on disk with some of its weights replaced (by those of a merged adapter, say), in another type if so
//! wanted.

mod gguf_writer;
mod hugging_face;

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};

use super::{FloatType, Quantization, WeightOptions, Weights};
use crate::load::{LoadOptions, resolve};
use crate::{Error, LinearLoader};

/// The type of the matrices in an exported file. Norms and biases are always f32 in GGUF files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportType {
    /// Dense.
    Float(FloatType),
    /// Quantised; GGUF only. Rows that are no multiple of a type's block take Q8_0, else F16. With `q4_k` the embedding and the
    /// output head take `q6_k`, as is usual.
    Quantized(Quantization),
}

impl std::str::FromStr for ExportType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(float) = text.parse() {
            return Ok(Self::Float(float));
        }
        text.parse()
            .map(Self::Quantized)
            .map_err(|_| Error::Invalid(format!("type `{text}`: expected f32, f16, bf16, q8_0, q6_k or q4_k")))
    }
}

/// Gives the new weight of a tensor by its Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`; `None` keeps the old one.
pub type Replacement<'a> = &'a dyn Fn(&str) -> Result<Option<Tensor>, Error>;

/// A model on disk that is to be written in another form.
pub struct ModelExport<'a> {
    weights: Weights<'a>,
    path: PathBuf,
}

impl ModelExport<'static> {
    /// Opens the model; reads headers only.
    ///
    /// # Errors
    /// As [`crate::Engine::load`].
    pub fn open(options: &LoadOptions) -> Result<Self, Error> {
        let quiet: &'static dyn Fn(super::LoadProgress) = &|_| ();
        let (path, weights) = match options.embedded_model() {
            Some(model) => {
                let weights = Weights::open_embedded(model, WeightOptions::default(), &Device::Cpu, quiet)?;
                (PathBuf::from(model.name), weights)
            }
            None => {
                let path = resolve(options, &|_| ())?;
                let weights = Weights::open(&path, WeightOptions::default(), &Device::Cpu, quiet)?;
                (path, weights)
            }
        };
        Ok(Self { weights, path })
    }
}

impl ModelExport<'_> {
    /// Writes one GGUF file (version 3) with configuration, tokenizer and chat template. It appears whole or not at all.
    ///
    /// # Errors
    /// The tokenizer can't be expressed in GGUF, a weight can't be read or has a wrong shape, or the file can't be written.
    pub fn write_gguf(&self, file: &Path, dtype: ExportType, replacement: Replacement<'_>) -> Result<(), Error> {
        gguf_writer::write(self, file, dtype, replacement)
    }

    /// Writes a Hugging Face folder: `config.json`, tokenizer files, and safetensors in shards of at most `shard_bytes`.
    ///
    /// # Errors
    /// A weight can't be read or has a wrong shape, or a file can't be written.
    pub fn write_hugging_face(
        &self,
        folder: &Path,
        dtype: FloatType,
        shard_bytes: u64,
        replacement: Replacement<'_>,
    ) -> Result<(), Error> {
        hugging_face::write(self, folder, dtype, shard_bytes, replacement)
    }

    /// Hugging Face names and shapes of all tensors, in the order of the layers.
    fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let config = &self.weights.config;
        let (hidden, inside) = (config.hidden_size, config.intermediate_size);
        let (queries, keys) = (config.heads * config.head_dim, config.key_value_heads * config.head_dim);
        let matrices = [
            ("self_attn.q_proj", queries, hidden, config.attention_bias),
            ("self_attn.k_proj", keys, hidden, config.attention_bias),
            ("self_attn.v_proj", keys, hidden, config.attention_bias),
            ("self_attn.o_proj", hidden, queries, config.attention_bias),
            ("mlp.gate_proj", inside, hidden, config.mlp_bias),
            ("mlp.up_proj", inside, hidden, config.mlp_bias),
            ("mlp.down_proj", hidden, inside, config.mlp_bias),
        ];
        let mut all = vec![("model.embed_tokens.weight".to_owned(), vec![config.vocabulary_size, hidden])];
        for layer in 0..config.layers {
            let name = |part: &str, kind: &str| format!("model.layers.{layer}.{part}.{kind}");
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                all.push((name(norm, "weight"), vec![hidden]));
            }
            for (part, rows, columns, has_bias) in matrices {
                all.push((name(part, "weight"), vec![rows, columns]));
                let bias = name(part, "bias");
                if has_bias && self.weights.contains(&bias) {
                    all.push((bias, vec![rows]));
                }
            }
        }
        all.push(("model.norm.weight".to_owned(), vec![hidden]));
        if !config.tied_head {
            all.push(("lm_head.weight".to_owned(), vec![config.vocabulary_size, hidden]));
        }
        all
    }

    /// A tensor's values in f32, replaced or its own.
    fn values(&self, name: &str, shape: &[usize], replacement: Replacement<'_>) -> Result<Tensor, Error> {
        let tensor = match replacement(name)? {
            Some(tensor) => tensor,
            None => LinearLoader::tensor(&self.weights, name, shape)?,
        };
        if tensor.dims() != shape {
            return Err(Error::Invalid(format!("the new `{name}` has the shape {:?}, not {shape:?}", tensor.dims())));
        }
        Ok(tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?.contiguous()?)
    }
}

impl ExportType {
    /// The type of a tensor in a GGUF file.
    fn of(self, name: &str, shape: &[usize]) -> GgmlDType {
        if shape.len() < 2 {
            return GgmlDType::F32;
        }
        match self {
            Self::Float(FloatType::F32) => GgmlDType::F32,
            Self::Float(FloatType::F16) => GgmlDType::F16,
            Self::Float(FloatType::Bf16) => GgmlDType::BF16,
            Self::Quantized(quantization) => {
                let is_outer = name.starts_with("lm_head") || name.starts_with("model.embed_tokens");
                let quantization =
                    if is_outer && quantization == Quantization::Q4K { Quantization::Q6K } else { quantization };
                quantization.for_width(shape[1]).unwrap_or(GgmlDType::F16)
            }
        }
    }
}
