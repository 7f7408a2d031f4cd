//! Where an encoder's parameters come from: a Hugging Face folder, fresh values, or both (a known encoder with a new head).

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader, SafetensorsFolder};
use sha2::{Digest, Sha256};
use training::normal_values;

use crate::config::Architecture;
use crate::{EncoderConfig, EncoderError};

/// PyTorch's own file of a state dict.
const PICKLE_FILE: &str = "pytorch_model.bin";

/// Gives an encoder and its head their parameters.
///
/// Tensors are found with and without the model's name in front (`bert.encoder…`, `encoder…`), and norms also under the names of
/// the first BERT files (`gamma`, `beta`). What a folder does not have of a head is made fresh, and so are rows of the word
/// embedding beyond the stored ones.
pub struct EncoderWeights {
    stored: Stored,
    path: PathBuf,
    architecture: Architecture,
    padding: u32,
    fresh: Fresh,
    without_head: bool,
    made: RefCell<Vec<String>>,
}

enum Stored {
    Nothing,
    Safetensors(SafetensorsFolder),
    Pickle(HashMap<String, Tensor>),
}

/// How fresh values are drawn: normal for matrices, 0 for biases, 1 for norms.
struct Fresh {
    seed: u64,
    deviation: f64,
    device: Device,
}

impl EncoderWeights {
    /// Opens the weights of a folder: `model.safetensors`, its shards, or `pytorch_model.bin`. `seed` is for what is made fresh.
    ///
    /// # Errors
    /// There is no file of weights, or it can't be read.
    pub fn open(folder: &Path, config: &EncoderConfig, device: &Device, seed: u64) -> Result<Self, EncoderError> {
        let pickle = folder.join(PICKLE_FILE);
        let has_safetensors = ["model.safetensors", "model.safetensors.index.json"];
        let has_safetensors = has_safetensors.iter().any(|name| folder.join(name).is_file());
        let stored = match pickle.is_file() && !has_safetensors {
            true => Stored::Pickle(read_pickle(&pickle)?),
            false => Stored::Safetensors(SafetensorsFolder::open(folder)?),
        };
        Ok(Self::new(stored, folder, config, device, seed))
    }

    /// Fresh values for everything.
    pub fn fresh(config: &EncoderConfig, device: &Device, seed: u64) -> Self {
        Self::new(Stored::Nothing, Path::new(""), config, device, seed)
    }

    fn new(stored: Stored, path: &Path, config: &EncoderConfig, device: &Device, seed: u64) -> Self {
        Self {
            stored,
            path: path.into(),
            architecture: config.architecture,
            padding: config.pad_id,
            fresh: Fresh { seed, deviation: config.initializer_range, device: device.clone() },
            without_head: false,
            made: RefCell::default(),
        }
    }

    /// Leaves a stored classifier aside, for other labels; a pooler stays.
    pub fn without_head(self) -> Self {
        Self { without_head: true, ..self }
    }

    /// Names of the tensors that were made fresh so far, in whole or in part.
    pub fn made_fresh(&self) -> Vec<String> {
        self.made.borrow().clone()
    }

    /// Rows of the stored word embedding; none without a file.
    pub fn stored_vocabulary(&self) -> Option<usize> {
        let name = format!("{}.embeddings.word_embeddings.weight", self.architecture.prefix());
        self.shape(&self.stored_name(&name)?)?.first().copied()
    }

    /// The value of a tensor, f32.
    fn value(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let Some(stored) = self.stored_name(name) else { return self.make(name, shape) };
        let found = self.shape(&stored).unwrap_or_default();
        let value = self.load(&stored)?.to_dtype(DType::F32)?;
        if !value.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(self.problem(format!("`{stored}` holds values that are not finite: the file is damaged")));
        }
        if found == shape {
            return Ok(value.contiguous()?);
        }
        if let (true, [stored_rows, width], [rows, wanted_width]) = (name.ends_with(WORDS), found.as_slice(), shape)
            && width == wanted_width
            && stored_rows < rows
        {
            self.made.borrow_mut().push(name.to_owned());
            let more = self.fresh.value(&format!("{name}/added"), &[rows - stored_rows, *width])?;
            return Ok(Tensor::cat(&[value, more], 0)?);
        }
        Err(self.problem(format!("`{stored}` has the shape {found:?}, expected {shape:?}")))
    }

    /// A value that no file has.
    fn make(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if !matches!(self.stored, Stored::Nothing) && !is_of_head(name) {
            let problem = format!("the tensor `{name}` is missing: the file is incomplete or of another architecture");
            return Err(self.problem(problem));
        }
        self.made.borrow_mut().push(name.to_owned());
        let value = self.fresh.value(name, shape)?;
        let is_padded = name.ends_with(WORDS)
            || self.architecture == Architecture::Roberta && name.ends_with("position_embeddings.weight");
        match is_padded && (self.padding as usize) < shape[0] {
            true => Ok(without_row(&value, self.padding as usize)?),
            false => Ok(value),
        }
    }

    /// Under which name a tensor is in the file.
    fn stored_name(&self, name: &str) -> Option<String> {
        if self.without_head && name.starts_with("classifier.") {
            return None;
        }
        let bare = name.strip_prefix(self.architecture.prefix()).and_then(|rest| rest.strip_prefix('.'));
        let old = |name: &str| {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        };
        let names = [Some(name), bare].into_iter().flatten();
        names.flat_map(|name| [name.to_owned(), old(name)]).find(|name| self.shape(name).is_some())
    }

    fn shape(&self, stored_name: &str) -> Option<Vec<usize>> {
        match &self.stored {
            Stored::Nothing => None,
            Stored::Safetensors(folder) => folder.shape(stored_name).map(<[usize]>::to_vec),
            Stored::Pickle(tensors) => tensors.get(stored_name).map(|tensor| tensor.dims().to_vec()),
        }
    }

    fn load(&self, stored_name: &str) -> Result<Tensor, Error> {
        match &self.stored {
            Stored::Safetensors(folder) => folder.load(stored_name, &self.fresh.device),
            Stored::Pickle(tensors) => match tensors.get(stored_name) {
                Some(tensor) => Ok(tensor.to_device(&self.fresh.device)?),
                None => Err(self.problem(format!("the tensor `{stored_name}` is missing"))),
            },
            Stored::Nothing => Err(self.problem(format!("the tensor `{stored_name}` is missing"))),
        }
    }

    fn problem(&self, problem: String) -> Error {
        Error::Format { path: self.path.clone(), problem }
    }
}

/// The end of the word embedding's name.
const WORDS: &str = "word_embeddings.weight";

fn is_of_head(name: &str) -> bool {
    name.starts_with("classifier.") || name.contains(".pooler.")
}

impl LinearLoader for EncoderWeights {
    fn linear(&self, name: &str, in_features: usize, out_features: usize) -> Result<Arc<dyn Linear>, Error> {
        let weight = self.value(&format!("{name}.weight"), &[out_features, in_features])?;
        let bias = self.value(&format!("{name}.bias"), &[out_features])?;
        Ok(Arc::new(DenseLinear::new(weight, Some(bias))?))
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        self.value(name, shape)
    }

    fn embedding(&self, name: &str, vocabulary: usize, width: usize) -> Result<Embedding, Error> {
        Ok(Embedding::Dense(self.value(&format!("{name}.weight"), &[vocabulary, width])?))
    }

    fn contains(&self, name: &str) -> bool {
        self.stored_name(name).is_some()
    }
}

impl Fresh {
    fn value(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if name.ends_with(".bias") {
            return Ok(Tensor::zeros(shape, DType::F32, &self.device)?);
        }
        if name.ends_with("LayerNorm.weight") {
            return Ok(Tensor::ones(shape, DType::F32, &self.device)?);
        }
        let values = normal_values(self.seed, name, shape.iter().product(), self.deviation);
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }
}

/// Padding has no meaning of its own.
fn without_row(table: &Tensor, row: usize) -> candle_core::Result<Tensor> {
    let rows = table.dim(0)?;
    let kept: Vec<f32> = (0..rows).map(|other| if other == row { 0.0 } else { 1.0 }).collect();
    table.broadcast_mul(&Tensor::from_vec(kept, (rows, 1), table.device())?)
}

fn read_pickle(path: &Path) -> Result<HashMap<String, Tensor>, EncoderError> {
    let damaged = |error: candle_core::Error| {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        EncoderError::format(path, format!("not a readable PyTorch state dict ({reason}): convert it to safetensors"))
    };
    Ok(candle_core::pickle::read_all(path).map_err(damaged)?.into_iter().collect())
}

/// Hex SHA-256 over the weights of a folder, file by file: says which model something was made with.
///
/// # Errors
/// There is no file of weights, or it can't be read.
pub fn weights_sha256(folder: &Path) -> Result<String, EncoderError> {
    let pickle = folder.join(PICKLE_FILE);
    let files = match SafetensorsFolder::open(folder) {
        Ok(opened) => opened.files().to_vec(),
        Err(_) if pickle.is_file() => vec![pickle],
        Err(error) => return Err(error.into()),
    };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    for path in files {
        let mut file = std::fs::File::open(&path).map_err(EncoderError::io(&path))?;
        loop {
            match file.read(&mut buffer).map_err(EncoderError::io(&path))? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
