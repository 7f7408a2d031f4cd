//! Where a model's parameters come from: a Hugging Face folder, fresh values, or both (known weights and added tokens).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{DenseLinear, Embedding, Error, Linear, LinearLoader, StateDict};
use training::FreshWeights;

use crate::model::BIAS_NAME;
use crate::{Seq2SeqConfig, Seq2SeqError};

/// Gives an encoder–decoder, or an encoder or decoder alone, its parameters.
///
/// Tensors are found with and without `model.` in front. Where a stack asks for a token table of its own (`encoder.embed_tokens`) and the
/// folder has only the shared one, it gets that one's values. Rows of the token table beyond the stored ones are made fresh, and
/// `final_logits_bias` is 0 there.
pub struct Seq2SeqWeights {
    /// None where everything is fresh.
    stored: Option<StateDict>,
    padding: u32,
    fresh: FreshWeights,
    device: Device,
    made: RefCell<Vec<String>>,
    used: RefCell<BTreeSet<String>>,
}

impl Seq2SeqWeights {
    /// Opens the weights of a folder or a file, as [`StateDict::open`] does. `seed` is for what is made fresh.
    ///
    /// # Errors
    /// There is no file of weights, or it can't be read.
    pub fn open(path: &Path, config: &Seq2SeqConfig, device: &Device, seed: u64) -> Result<Self, Seq2SeqError> {
        Ok(Self::new(Some(StateDict::open(path)?), config, device, seed))
    }

    /// Fresh values for everything: normal with the configuration's deviation for matrices, 0 for biases and the padding token, 1 for norms.
    pub fn fresh(config: &Seq2SeqConfig, device: &Device, seed: u64) -> Self {
        Self::new(None, config, device, seed)
    }

    fn new(stored: Option<StateDict>, config: &Seq2SeqConfig, device: &Device, seed: u64) -> Self {
        Self {
            stored,
            padding: config.pad_id,
            fresh: FreshWeights::new(seed, config.initializer_range, device),
            device: device.clone(),
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
        let names = self.stored.iter().flat_map(StateDict::names);
        names.filter(|name| !used.contains(*name) && !is_token_table(name)).map(str::to_owned).collect()
    }

    /// Refuses a folder with tensors that nobody asked for: it is of another model.
    ///
    /// # Errors
    /// There are such tensors.
    pub fn expect_all_used(&self) -> Result<(), Seq2SeqError> {
        let names = self.unexpected();
        let Some(state) = self.stored.as_ref().filter(|_| !names.is_empty()) else { return Ok(()) };
        let shown = names.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let more = if names.len() > 5 { format!(" and {} more", names.len() - 5) } else { String::new() };
        Err(state.problem(format!("unexpected tensors: {shown}{more}; the file is of another model")).into())
    }

    /// Rows of the stored token table; none without a file.
    pub fn stored_vocabulary(&self) -> Option<usize> {
        let (state, name) = self.find("model.shared.weight")?;
        state.shape(&name)?.first().copied()
    }

    /// The value of a tensor, f32.
    fn value(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let Some((state, stored)) = self.find(name) else { return self.make(name, shape) };
        self.used.borrow_mut().insert(stored.clone());
        let value = match (state.shape(&stored).unwrap_or_default(), shape) {
            ([found, width], [rows, wanted]) if is_token_table(name) && width == wanted && found < rows => {
                let added = self.fresh.value(&format!("{name}/added"), &[rows - found, *width])?;
                Tensor::cat(&[state.value(&stored, &self.device)?, added], 0)?
            }
            ([1, found], [1, tokens]) if name == BIAS_NAME && found < tokens => {
                state.value(&stored, &self.device)?.pad_with_zeros(1, 0, tokens - found)?
            }
            _ => return state.value_of_shape(&stored, shape, &self.device),
        };
        self.made.borrow_mut().push(name.to_owned());
        Ok(value)
    }

    /// A value that no file has.
    fn make(&self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        // Folders of the bare model have no head, and a head without a bias is one whose bias is 0.
        if let Some(state) = self.stored.as_ref().filter(|_| name != BIAS_NAME) {
            let problem = format!("the tensor `{name}` is missing: the file is incomplete or of another model");
            return Err(state.problem(problem));
        }
        self.made.borrow_mut().push(name.to_owned());
        match is_token_table(name) {
            true => self.fresh.padded_table(name, shape, self.padding),
            false => self.fresh.value(name, shape),
        }
    }

    /// The file, and a tensor's name in it.
    fn find(&self, name: &str) -> Option<(&StateDict, String)> {
        let state = self.stored.as_ref()?;
        let bare = name.strip_prefix("model.").unwrap_or(name);
        let own = [name, bare].map(str::to_owned).into_iter().chain([format!("model.{bare}")]);
        let tables = match is_token_table(name) {
            true => ["shared", "encoder.embed_tokens", "decoder.embed_tokens"].as_slice(),
            false => &[],
        };
        let tables = tables.iter().flat_map(|table| [format!("model.{table}.weight"), format!("{table}.weight")]);
        Some((state, own.chain(tables).find(|name| state.shape(name).is_some())?))
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
        self.find(name).is_some()
    }
}
