//! Weights from GGUF files and Hugging Face folders behind one [`LinearLoader`].

pub(crate) mod export;
mod gguf;
mod gguf_llama;
mod quantization;
mod safetensors;
mod state_dict;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use rayon::prelude::*;

pub use quantization::{FloatType, Quantization};
pub use state_dict::{StateDict, weights_sha256};

use self::gguf::GgufFile;
use self::safetensors::SafetensorsFiles;
use crate::config::LlamaConfig;
use crate::linear::{DenseLinear, Embedding, Linear, LinearLoader, QuantLinear};
use crate::{EmbeddedModel, Error, Tokenizer};

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadProgress {
    /// Tensors read so far.
    pub tensors: usize,
    /// Tensors in all.
    pub total: usize,
}

/// What is to be done with the weights while they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WeightOptions {
    /// Store dense matrices in this type; `None` keeps the file's.
    pub float: Option<FloatType>,
    /// Quantise linear layers while loading.
    pub quantize: Option<Quantization>,
    /// Compute products with quantised matrices by candle's kernels, not by our own.
    pub plain: bool,
}

/// The opened weights of one model.
pub(crate) struct Weights<'a> {
    source: Source,
    path: PathBuf,
    pub(crate) config: LlamaConfig,
    options: WeightOptions,
    device: Device,
    progress: &'a dyn Fn(LoadProgress),
    read: Cell<usize>,
}

enum Source {
    Gguf(GgufFile),
    Safetensors(SafetensorsFiles),
}

impl<'a> Weights<'a> {
    /// Opens a `.gguf` file or a Hugging Face folder; reads headers only.
    pub(crate) fn open(
        path: &Path,
        options: WeightOptions,
        device: &Device,
        progress: &'a dyn Fn(LoadProgress),
    ) -> Result<Self, Error> {
        let (source, config) = if path.is_dir() {
            let config = LlamaConfig::from_hugging_face(&path.join("config.json"))?;
            (Source::Safetensors(SafetensorsFiles::open(path)?), config)
        } else {
            let file = GgufFile::open(path)?;
            let config = gguf_llama::config(&file, path)?;
            (Source::Gguf(file), config)
        };
        Ok(Self { source, path: path.into(), config, options, device: device.clone(), progress, read: Cell::new(0) })
    }

    /// Opens a GGUF file that is part of the program.
    pub(crate) fn open_embedded(
        model: EmbeddedModel,
        options: WeightOptions,
        device: &Device,
        progress: &'a dyn Fn(LoadProgress),
    ) -> Result<Self, Error> {
        let path = PathBuf::from(model.name);
        let file = GgufFile::in_memory(&path, model.gguf)?;
        let config = gguf_llama::config(&file, &path)?;
        let source = Source::Gguf(file);
        Ok(Self { source, path, config, options, device: device.clone(), progress, read: Cell::new(0) })
    }

    /// The tokenizer that comes with the weights.
    pub(crate) fn tokenizer(&self) -> Result<Tokenizer, Error> {
        match &self.source {
            Source::Gguf(file) => gguf_llama::tokenizer(file, &self.path),
            Source::Safetensors(_) => crate::load::tokenizer_of_folder(&self.path),
        }
    }

    /// The chat template's source that comes with the weights.
    pub(crate) fn chat_template(&self) -> Result<Option<String>, Error> {
        match &self.source {
            Source::Gguf(file) => Ok(gguf_llama::chat_template(file).map(str::to_owned)),
            Source::Safetensors(_) => crate::load::chat_template_of_folder(&self.path),
        }
    }

    /// The files that make up the weights, in a fixed order.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Gguf(_) => vec![self.path.clone()],
            Source::Safetensors(folder) => folder.files().to_vec(),
        }
    }

    /// Names the type that most of the matrices will have in memory.
    pub(crate) fn type_name(&self) -> String {
        if let Some(quantization) = self.options.quantize {
            return quantization.to_string();
        }
        let name = tensor_of_first_layer();
        let stored = match &self.source {
            Source::Gguf(file) => {
                gguf_llama::tensor_name(&name).and_then(|name| file.tensors.get(&name)).map(|entry| entry.dtype)
            }
            Source::Safetensors(folder) => folder.entry(&name).map(|entry| match entry.dtype {
                DType::F16 => GgmlDType::F16,
                DType::BF16 => GgmlDType::BF16,
                _ => GgmlDType::F32,
            }),
        };
        match (stored, self.options.float) {
            (Some(GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16) | None, Some(float)) => float.to_string(),
            (Some(stored), _) => quantization::type_name(stored),
            (None, None) => "f32".into(),
        }
    }

    /// Bytes that the weights will take in memory.
    ///
    /// Matrices that are packed for our kernels take about what they take in the file. Of others in Q4_K, Q6_K and Q8_0 candle adds a copy on x86, repacked for the
    /// processor's vector instructions, at their first use.
    pub(crate) fn memory(&self) -> u64 {
        let entries: Vec<(usize, GgmlDType)> = match &self.source {
            Source::Gguf(file) => {
                file.tensors.values().map(|entry| (entry.shape.iter().product(), entry.dtype)).collect()
            }
            Source::Safetensors(folder) => folder
                .entries()
                .map(|entry| {
                    let dtype = match entry.dtype {
                        DType::F16 => GgmlDType::F16,
                        DType::BF16 => GgmlDType::BF16,
                        _ => GgmlDType::F32,
                    };
                    (entry.shape.iter().product(), dtype)
                })
                .collect(),
        };
        entries.into_iter().map(|(elements, stored)| quantization::memory(elements as u64, stored, self.options)).sum()
    }

    fn tensor_count(&self) -> usize {
        match &self.source {
            Source::Gguf(file) => file.tensors.len(),
            Source::Safetensors(folder) => folder.entries().count(),
        }
    }

    fn problem(&self, problem: String) -> Error {
        Error::Format { path: self.path.clone(), problem }
    }

    /// Reads a tensor of the given shape, dense or quantised as stored.
    fn read(&self, name: &str, shape: &[usize]) -> Result<Stored, Error> {
        let missing = || {
            self.problem(format!("the tensor `{name}` is missing: the file is incomplete or of another architecture"))
        };
        let stored = match &self.source {
            Source::Gguf(file) => {
                let entry =
                    gguf_llama::tensor_name(name).and_then(|name| file.tensors.get(&name)).ok_or_else(missing)?;
                self.check_shape(name, &entry.shape, shape)?;
                let mut bytes = file.bytes(entry)?;
                if name.contains("self_attn.q_proj") || name.contains("self_attn.k_proj") {
                    bytes = gguf_llama::restore_rotary_rows(&bytes, shape[0], self.config.head_dim);
                }
                let tensor = GgufFile::tensor(entry, bytes, &self.device)?;
                match entry.dtype {
                    GgmlDType::F32 => Stored::Dense(tensor.dequantize(&self.device)?),
                    GgmlDType::F16 => Stored::Dense(tensor.dequantize(&self.device)?.to_dtype(DType::F16)?),
                    GgmlDType::BF16 => Stored::Dense(tensor.dequantize(&self.device)?.to_dtype(DType::BF16)?),
                    _ => Stored::Quantised(tensor),
                }
            }
            Source::Safetensors(folder) => {
                let entry = folder.entry(name).ok_or_else(missing)?;
                self.check_shape(name, &entry.shape, shape)?;
                Stored::Dense(folder.load(name, &self.device)?)
            }
        };
        if let Stored::Dense(tensor) = &stored {
            self.check_finite(name, tensor)?;
        }
        self.read.set(self.read.get() + 1);
        (self.progress)(LoadProgress { tensors: self.read.get(), total: self.tensor_count() });
        Ok(stored)
    }

    fn check_shape(&self, name: &str, found: &[usize], expected: &[usize]) -> Result<(), Error> {
        if found == expected {
            return Ok(());
        }
        Err(self
            .problem(format!("the tensor `{name}` has the shape {found:?}, the configuration asks for {expected:?}")))
    }

    fn check_finite(&self, name: &str, tensor: &Tensor) -> Result<(), Error> {
        if all_finite(tensor) {
            return Ok(());
        }
        Err(self.problem(format!("the tensor `{name}` holds values that are not finite: the file is damaged")))
    }

    fn bias(&self, name: &str, width: usize) -> Result<Option<Tensor>, Error> {
        let bias = format!("{name}.bias");
        self.contains(&bias).then(|| LinearLoader::tensor(self, &bias, &[width])).transpose()
    }

    fn quantised(&self, weight: QTensor, bias: Option<Tensor>) -> Result<Arc<dyn Linear>, Error> {
        let weight = Arc::new(weight);
        Ok(Arc::new(if self.options.plain {
            QuantLinear::plain(weight, bias)?
        } else {
            QuantLinear::new(weight, bias)?
        }))
    }

    fn float(&self, tensor: Tensor) -> Result<Tensor, Error> {
        Ok(match self.options.float {
            Some(float) => tensor.to_dtype(float.dtype())?,
            None => tensor,
        })
    }
}

enum Stored {
    Dense(Tensor),
    Quantised(QTensor),
}

impl LinearLoader for Weights<'_> {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let bias = self.bias(name, out_features)?;
        let stored = self.read(&format!("{name}.weight"), &[out_features, in_features])?;
        if let Some(dtype) = self.options.quantize.and_then(|quantization| quantization.for_width(in_features)) {
            let dense = match stored {
                Stored::Dense(tensor) => tensor,
                Stored::Quantised(tensor) => tensor.dequantize(&self.device)?,
            };
            let quantised = quantization::quantise(&dense, dtype, &self.device)?;
            return self.quantised(quantised, bias);
        }
        Ok(match stored {
            Stored::Dense(tensor) => Arc::new(DenseLinear::new(self.float(tensor)?, bias)?),
            Stored::Quantised(tensor) => self.quantised(tensor, bias)?,
        })
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        Ok(match self.read(name, shape)? {
            Stored::Dense(tensor) => tensor.to_dtype(DType::F32)?,
            Stored::Quantised(tensor) => tensor.dequantize(&self.device)?,
        })
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        Ok(match self.read(&format!("{name}.weight"), &[vocabulary, width])? {
            Stored::Dense(tensor) => Embedding::Dense(self.float(tensor)?),
            Stored::Quantised(tensor) => Embedding::Quantised(Arc::new(tensor)),
        })
    }

    fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Gguf(file) => gguf_llama::tensor_name(name).is_some_and(|name| file.tensors.contains_key(&name)),
            Source::Safetensors(folder) => folder.entry(name).is_some(),
        }
    }
}

fn tensor_of_first_layer() -> String {
    "model.layers.0.mlp.up_proj.weight".into()
}

/// Whether all values of a contiguous tensor are finite; tensors on a GPU are not looked at (their logits are, at every step).
fn all_finite(tensor: &Tensor) -> bool {
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets()) else { return true };
    match storage {
        CpuStorage::F32(values) => values[start..end].par_iter().all(|value| value.is_finite()),
        CpuStorage::F16(values) => values[start..end].par_iter().all(|value| value.is_finite()),
        CpuStorage::BF16(values) => values[start..end].par_iter().all(|value| value.is_finite()),
        _ => true,
    }
}
