//! Where an encoder's parameters come from: a Hugging Face folder, fresh values, or both (a known encoder with a new head).

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader, StateDict};
use training::FreshWeights;

use crate::config::Architecture;
use crate::{EncoderConfig, EncoderError};

/// Gives an encoder and its head their parameters.
///
/// Tensors are found with and without the model's name in front (`bert.encoder…`, `encoder…`), and norms also under the names of
/// the first BERT files (`gamma`, `beta`). What a folder does not have of a head is made fresh, and so are rows of the word
/// embedding beyond the stored ones.
pub struct EncoderWeights {
    /// None where everything is fresh.
    stored: Option<StateDict>,
    architecture: Architecture,
    padding: u32,
    fresh: FreshWeights,
    device: Device,
    without_head: bool,
    made: RefCell<Vec<String>>,
}

impl EncoderWeights {
    /// Opens the weights of a folder or a file, as [`StateDict::open`] does. `seed` is for what is made fresh.
    ///
    /// # Errors
    /// There is no file of weights, or it can't be read.
    pub fn open(path: &Path, config: &EncoderConfig, device: &Device, seed: u64) -> Result<Self, EncoderError> {
        Ok(Self::new(Some(StateDict::open(path)?), config, device, seed))
    }

    /// Fresh values for everything.
    pub fn fresh(config: &EncoderConfig, device: &Device, seed: u64) -> Self {
        Self::new(None, config, device, seed)
    }

    fn new(stored: Option<StateDict>, config: &EncoderConfig, device: &Device, seed: u64) -> Self {
        Self {
            stored,
            architecture: config.architecture,
            padding: config.pad_id,
            fresh: FreshWeights::new(seed, config.initializer_range, device),
            device: device.clone(),
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
        let (state, name) = self.find(&name)?;
        state.shape(&name)?.first().copied()
    }

    /// The value of a tensor, f32.
    fn value(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let Some((state, stored)) = self.find(name) else { return self.make(name, shape) };
        match (state.shape(&stored).unwrap_or_default(), shape) {
            ([found, width], [rows, wanted]) if name.ends_with(WORDS) && width == wanted && found < rows => {
                self.made.borrow_mut().push(name.to_owned());
                let added = self.fresh.value(&format!("{name}/added"), &[rows - found, *width])?;
                Ok(Tensor::cat(&[state.value(&stored, &self.device)?, added], 0)?)
            }
            _ => state.value_of_shape(&stored, shape, &self.device),
        }
    }

    /// A value that no file has.
    fn make(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        if let Some(state) = self.stored.as_ref().filter(|_| !is_of_head(name)) {
            let problem = format!("the tensor `{name}` is missing: the file is incomplete or of another architecture");
            return Err(state.problem(problem));
        }
        self.made.borrow_mut().push(name.to_owned());
        let is_padded = name.ends_with(WORDS)
            || self.architecture == Architecture::Roberta && name.ends_with("position_embeddings.weight");
        match is_padded {
            true => self.fresh.padded_table(name, shape, self.padding),
            false => self.fresh.value(name, shape),
        }
    }

    /// The file, and a tensor's name in it.
    fn find(&self, name: &str) -> Option<(&StateDict, String)> {
        if self.without_head && name.starts_with("classifier.") {
            return None;
        }
        let bare = name.strip_prefix(self.architecture.prefix()).and_then(|rest| rest.strip_prefix('.'));
        let old = |name: &str| {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        };
        let names = [Some(name), bare].into_iter().flatten();
        let mut names = names.flat_map(|name| [name.to_owned(), old(name)]);
        let state = self.stored.as_ref()?;
        Some((state, names.find(|name| state.shape(name).is_some())?))
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
        self.find(name).is_some()
    }
}
