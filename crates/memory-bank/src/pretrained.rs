//! Generators all of whose weights are trained, and their folders.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use llm_runtime::{LinearLoader, StateDict, output_file};
use seq2seq::{Seq2SeqConfig, Seq2SeqError};
use training::{Parameters, VariableLoader};

use crate::weights::{NewWeights, TrainedWeights};
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
        let state = StateDict::open(&folder.join(WEIGHTS_FILE))?;
        Self::load(&TrainedWeights { state: &state, device }, config, strategies(&state)?, options, device)
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

    /// Goes on with the parameters of a generator, by MAGIC's names: of a folder of ours, or `dialogue_model.pth` of the published code.
    ///
    /// # Errors
    /// A tensor is missing or has another shape than `config` says.
    pub fn of_state(
        state: &StateDict,
        config: &Seq2SeqConfig,
        options: GeneratorOptions,
        device: &Device,
    ) -> Result<Self, MemoryError> {
        Self::build(&TrainedWeights { state, device }, DType::F32, config, strategies(state)?, options, device)
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
        Self::of_state(&StateDict::open(&folder.join(WEIGHTS_FILE))?, config, options, device)
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
        let tensors = self.parameters.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone()));
        output_file::place(&path, MemoryError::io(&path), |partial| {
            safetensors::serialize_to_file(tensors.collect::<Vec<_>>(), None, partial)
                .map_err(|error| Seq2SeqError::Invalid(format!("{}: {error}", path.display())).into())
        })
    }
}

/// For how many strategies a state dict is.
fn strategies(state: &StateDict) -> Result<usize, MemoryError> {
    let bias = state.shape("strategy_cls.classifier.bias");
    let missing = || state.problem("there is no `strategy_cls.classifier.bias`: it is no generator of MAGIC");
    Ok(bias.ok_or_else(missing)?.iter().product())
}
