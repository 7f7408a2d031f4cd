//! Where a model's parameters come from: a Hugging Face folder, fresh values, or both (known weights and added tokens).

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader, SafetensorsFolder};
use training::normal_values;

use crate::model::BIAS_NAME;
use crate::{Seq2SeqConfig, Seq2SeqError};

/// PyTorch's own file of a state dict.
const PICKLE_FILE: &str = "pytorch_model.bin";

/// Gives an encoder–decoder, or an encoder or decoder alone, its parameters.
///
/// Tensors are found with and without `model.` in front. Where a stack asks for a token table of its own (`encoder.embed_tokens`) and the
/// folder has only the shared one, it gets that one's values. Rows of the token table beyond the stored ones are made fresh, and
/// `final_logits_bias` is 0 there.
pub struct Seq2SeqWeights {
    stored: Stored,
    path: PathBuf,
    padding: u32,
    fresh: Fresh,
    made: RefCell<Vec<String>>,
    used: RefCell<BTreeSet<String>>,
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

impl Seq2SeqWeights {
    /// Opens the weights of a folder, `model.safetensors`, its shards, or `pytorch_model.bin`, or a single state dict of PyTorch
    /// (`.bin`, `.pth`, `.pt`). `seed` is for what is made fresh.
    ///
    /// # Errors
    /// There is no file of weights, or it can't be read.
    pub fn open(path: &Path, config: &Seq2SeqConfig, device: &Device, seed: u64) -> Result<Self, Seq2SeqError> {
        let pickle = if path.is_file() { path.to_owned() } else { path.join(PICKLE_FILE) };
        let has_safetensors = ["model.safetensors", "model.safetensors.index.json"];
        let has_safetensors = has_safetensors.iter().any(|name| path.join(name).is_file());
        let stored = match pickle.is_file() && !has_safetensors {
            true => Stored::Pickle(read_pickle(&pickle)?),
            false => Stored::Safetensors(SafetensorsFolder::open(path)?),
        };
        Ok(Self::new(stored, path, config, device, seed))
    }

    /// Fresh values for everything: normal with the configuration's deviation for matrices, 0 for biases and the padding token, 1 for norms.
    pub fn fresh(config: &Seq2SeqConfig, device: &Device, seed: u64) -> Self {
        Self::new(Stored::Nothing, Path::new(""), config, device, seed)
    }

    fn new(stored: Stored, path: &Path, config: &Seq2SeqConfig, device: &Device, seed: u64) -> Self {
        Self {
            stored,
            path: path.into(),
            padding: config.pad_id,
            fresh: Fresh { seed, deviation: config.initializer_range, device: device.clone() },
            made: RefCell::default(),
            used: RefCell::default(),
        }
    }

    /// Names of the tensors that were made fresh so far, in whole or in part.
    pub fn made_fresh(&self) -> Vec<String> {
        self.made.borrow().clone()
    }

    /// Stored tensors that nobody asked for so far, but for second copies of the token table.
    pub fn unexpected(&self) -> Vec<String> {
        let used = self.used.borrow();
        let names: BTreeSet<&str> = match &self.stored {
            Stored::Nothing => BTreeSet::new(),
            Stored::Safetensors(folder) => folder.names().collect(),
            Stored::Pickle(tensors) => tensors.keys().map(String::as_str).collect(),
        };
        let is_unknown = |name: &&str| !used.contains(*name) && !is_token_table(name);
        names.into_iter().filter(is_unknown).map(str::to_owned).collect()
    }

    /// Refuses a folder with tensors that nobody asked for: it is of another model.
    ///
    /// # Errors
    /// There are such tensors.
    pub fn expect_all_used(&self) -> Result<(), Seq2SeqError> {
        match self.unexpected().as_slice() {
            [] => Ok(()),
            names => {
                let shown = names.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
                let problem = format!("unexpected tensors: {shown}{more}; the file is of another model");
                Err(Seq2SeqError::file(&self.path, problem))
            }
        }
    }

    /// Rows of the stored token table; none without a file.
    pub fn stored_vocabulary(&self) -> Option<usize> {
        self.shape(&self.stored_name("model.shared.weight")?)?.first().copied()
    }

    /// The value of a tensor, f32.
    fn value(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let Some(stored) = self.stored_name(name) else { return self.make(name, shape) };
        let found = self.shape(&stored).unwrap_or_default();
        let value = self.load(&stored)?.to_dtype(DType::F32)?;
        if !value.abs()?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(self.problem(format!("`{stored}` holds values that are not finite: the file is damaged")));
        }
        self.used.borrow_mut().insert(stored.clone());
        if found == shape {
            return Ok(value.contiguous()?);
        }
        match self.with_more_tokens(name, value, shape)? {
            Some(value) => Ok(value),
            None => Err(self.problem(format!("`{stored}` has the shape {found:?}, expected {shape:?}"))),
        }
    }

    /// A table or bias of fewer tokens than are asked for, and fresh values for the others.
    fn with_more_tokens(&self, name: &str, value: Tensor, shape: &[usize]) -> Result<Option<Tensor>, Error> {
        let added = match (value.dims(), shape) {
            ([stored, width], [rows, wanted]) if is_token_table(name) && width == wanted && stored < rows => {
                let fresh = self.fresh.value(&format!("{name}/added"), &[rows - stored, *width])?;
                Tensor::cat(&[value, fresh], 0)?
            }
            ([1, stored], [1, tokens]) if name == BIAS_NAME && stored < tokens => {
                value.pad_with_zeros(1, 0, tokens - stored)?
            }
            _ => return Ok(None),
        };
        self.made.borrow_mut().push(name.to_owned());
        Ok(Some(added))
    }

    /// A value that no file has.
    fn make(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        // Folders of the bare model have no head, and a head without a bias is one whose bias is 0.
        if !matches!(self.stored, Stored::Nothing) && name != BIAS_NAME {
            let problem = format!("the tensor `{name}` is missing: the file is incomplete or of another model");
            return Err(self.problem(problem));
        }
        self.made.borrow_mut().push(name.to_owned());
        let value = self.fresh.value(name, shape)?;
        match is_token_table(name) && shape.first().is_some_and(|rows| (self.padding as usize) < *rows) {
            true => Ok(without_row(&value, self.padding as usize)?),
            false => Ok(value),
        }
    }

    /// Under which name a tensor is in the file.
    fn stored_name(&self, name: &str) -> Option<String> {
        let bare = name.strip_prefix("model.").unwrap_or(name);
        let own = [name, bare].map(str::to_owned).into_iter().chain([format!("model.{bare}")]);
        let tables = match is_token_table(name) {
            true => ["shared", "encoder.embed_tokens", "decoder.embed_tokens"].as_slice(),
            false => &[],
        };
        let tables = tables.iter().flat_map(|table| [format!("model.{table}.weight"), format!("{table}.weight")]);
        own.chain(tables).find(|name| self.shape(name).is_some())
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

/// Whether a name is that of a table of token vectors, or of the head that shares it.
fn is_token_table(name: &str) -> bool {
    ["shared.weight", "embed_tokens.weight", "lm_head.weight"].iter().any(|end| name.ends_with(end))
}

impl LinearLoader for Seq2SeqWeights {
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
        if name.ends_with("bias") {
            return Ok(Tensor::zeros(shape, DType::F32, &self.device)?);
        }
        if name.ends_with("norm.weight") || name.ends_with("layernorm_embedding.weight") {
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

fn read_pickle(path: &Path) -> Result<HashMap<String, Tensor>, Seq2SeqError> {
    let damaged = |error: candle_core::Error| {
        let text = error.to_string();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        let problem = format!("not a readable PyTorch state dict ({reason}): convert it to safetensors");
        Seq2SeqError::file(path, problem)
    };
    Ok(candle_core::pickle::read_all(path).map_err(damaged)?.into_iter().collect())
}
