//! Generators all of whose weights are trained, and their folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use llm_runtime::LinearLoader;
use seq2seq::{Seq2SeqConfig, Seq2SeqError};
use training::{Parameters, VariableLoader};

use crate::weights::{NewWeights, StateDict};
use crate::{GeneratorOptions, MagicGenerator, MemoryError};

/// The file of the parameters in a generator's folder.
const WEIGHTS_FILE: &str = "dialogue_model.safetensors";

impl MagicGenerator {
    /// Opens a folder that [`TrainableMagic::save`] has written, for use. To go on training, take [`TrainableMagic::open`].
    ///
    /// # Errors
    /// The file can't be read, a tensor is missing or has another shape than `config` says.
    pub fn open(
        folder: &Path,
        config: &Seq2SeqConfig,
        options: GeneratorOptions,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        let (tensors, path) = read(folder, device)?;
        let strategies = strategies(&tensors, &path)?;
        Self::load(&StateDict { tensors, path }, config, strategies, options, device)
    }
}

/// A generator all of whose weights are trained.
pub struct TrainableMagic {
    /// The generator.
    pub generator: Arc<MagicGenerator>,
    /// Its variables, under MAGIC's names.
    pub parameters: Parameters,
}

impl TrainableMagic {
    /// Begins with BART's parameters, e.g. those of [`seq2seq::Seq2SeqWeights`], for so many strategies; what BART lacks is drawn from `seed`.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says.
    pub fn new(
        bart: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        strategies: usize,
        options: GeneratorOptions,
        seed: u64,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        Self::new_in(DType::F32, bart, config, strategies, options, seed, device)
    }

    /// As [`Self::new`], with the weights of linear layers in this type: see [`VariableLoader::with_linears_in`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_in(
        linears: DType,
        bart: &dyn LinearLoader,
        config: &Seq2SeqConfig,
        strategies: usize,
        options: GeneratorOptions,
        seed: u64,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        let weights = NewWeights { bart, head: options.head, seed, device };
        Self::build(&weights, linears, config, strategies, options, device)
    }

    /// Goes on with the parameters of a generator, by MAGIC's names. `path` is the file that they are of, for messages.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says.
    pub fn of_state(
        tensors: HashMap<String, Tensor>,
        path: &Path,
        config: &Seq2SeqConfig,
        options: GeneratorOptions,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        let strategies = strategies(&tensors, path)?;
        let weights = StateDict { tensors, path: path.to_owned() };
        Self::build(&weights, DType::F32, config, strategies, options, device)
    }

    /// Goes on with a folder that [`Self::save`] has written.
    ///
    /// # Errors
    /// The file can't be read, or as [`Self::of_state`].
    pub fn open(
        folder: &Path,
        config: &Seq2SeqConfig,
        options: GeneratorOptions,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        let (tensors, path) = read(folder, device)?;
        Self::of_state(tensors, &path, config, options, device)
    }

    fn build(
        loader: &dyn LinearLoader,
        linears: DType,
        config: &Seq2SeqConfig,
        strategies: usize,
        options: GeneratorOptions,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        let variables = VariableLoader::new(loader).with_linears_in(linears);
        let generator = Arc::new(MagicGenerator::load(&variables, config, strategies, options, device)?);
        Ok(Self { generator, parameters: variables.into_parameters() })
    }

    /// Writes the current parameters into a folder that is there. The file appears whole or not at all.
    ///
    /// # Errors
    /// It can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), MemoryError> {
        let path = folder.join(WEIGHTS_FILE);
        let partial = path.with_extension("partial");
        let tensors = self.parameters.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone()));
        safetensors::serialize_to_file(tensors.collect::<Vec<_>>(), None, &partial)
            .map_err(|error| Seq2SeqError::Invalid(format!("{}: {error}", partial.display())))?;
        std::fs::rename(&partial, &path).map_err(MemoryError::io(&path))
    }
}

/// The tensors of a generator's folder, and their file.
fn read(folder: &Path, device: &Device) -> Result<(HashMap<String, Tensor>, PathBuf), MemoryError> {
    let path = folder.join(WEIGHTS_FILE);
    let bytes = std::fs::read(&path).map_err(MemoryError::io(&path))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, device);
    Ok((tensors.map_err(|error| MemoryError::file(&path, error))?, path))
}

/// For how many strategies a state dict is.
fn strategies(tensors: &HashMap<String, Tensor>, path: &Path) -> Result<usize, MemoryError> {
    let bias = tensors.get("strategy_cls.classifier.bias").ok_or_else(|| {
        MemoryError::file(path, "there is no `strategy_cls.classifier.bias`: it is no generator of MAGIC")
    })?;
    Ok(bias.elem_count())
}
