//! Models as Hugging Face folders: open, use, train, save.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{LinearLoader, output_file};
use training::{Parameters, VariableLoader};

use crate::config::CONFIG_FILE;
use crate::generation::GENERATION_FILE;
use crate::model::BIAS_NAME;
use crate::{Seq2SeqConfig, Seq2SeqError, Seq2SeqModel, Seq2SeqWeights};

const WEIGHTS_FILE: &str = "model.safetensors";

impl Seq2SeqModel {
    /// Opens a Hugging Face folder for use. To train it, take [`TrainableSeq2Seq::open`].
    ///
    /// # Errors
    /// A file is missing or damaged, the architecture is another, or a tensor is missing, unexpected, or of another shape.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, Seq2SeqError> {
        let config = Seq2SeqConfig::read(folder)?;
        let weights = Seq2SeqWeights::open(folder, &config, device, 0)?;
        let model = Self::load(&weights, &config, device)?;
        weights.expect_all_used()?;
        match weights.made_fresh().iter().find(|name| *name != BIAS_NAME) {
            Some(name) => Err(Seq2SeqError::file(folder, format!("`{name}` has fewer rows than `vocab_size` says"))),
            None => Ok(model),
        }
    }
}

/// A model all of whose weights are trained.
pub struct TrainableSeq2Seq {
    /// The model.
    pub model: Arc<Seq2SeqModel>,
    /// Its variables under their names in the folder.
    pub parameters: Parameters,
    /// Tensors that no file gave, in whole or in part: rows of added tokens.
    pub made_fresh: Vec<String>,
}

impl TrainableSeq2Seq {
    /// Begins with a Hugging Face folder.
    ///
    /// # Errors
    /// As [`Seq2SeqModel::open`].
    pub fn open(folder: &Path, device: &Device) -> Result<Self, Seq2SeqError> {
        Self::open_with(folder, &Seq2SeqConfig::read(folder)?, 0, device)
    }

    /// Begins with a folder's weights in a model of `config`: with other dropouts, or with more tokens, whose rows are drawn from `seed`.
    ///
    /// # Errors
    /// As [`Seq2SeqModel::open`].
    pub fn open_with(folder: &Path, config: &Seq2SeqConfig, seed: u64, device: &Device) -> Result<Self, Seq2SeqError> {
        let weights = Seq2SeqWeights::open(folder, config, device, seed)?;
        let trainable = Self::build(&weights, config, device)?;
        weights.expect_all_used()?;
        Ok(Self { made_fresh: weights.made_fresh(), ..trainable })
    }

    /// Begins with fresh values.
    ///
    /// # Errors
    /// The configuration makes no sense.
    pub fn fresh(config: &Seq2SeqConfig, seed: u64, device: &Device) -> Result<Self, Seq2SeqError> {
        let weights = Seq2SeqWeights::fresh(config, device, seed);
        let trainable = Self::build(&weights, config, device)?;
        Ok(Self { made_fresh: weights.made_fresh(), ..trainable })
    }

    fn build(loader: &dyn LinearLoader, config: &Seq2SeqConfig, device: &Device) -> Result<Self, Seq2SeqError> {
        let variables = VariableLoader::new(loader);
        let model = Arc::new(Seq2SeqModel::load(&variables, config, device)?);
        Ok(Self { model, parameters: variables.into_parameters(), made_fresh: Vec::new() })
    }

    /// Writes a Hugging Face folder that transformers reads, with the current values: `config.json`, `generation_config.json`,
    /// `model.safetensors`.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), Seq2SeqError> {
        std::fs::create_dir_all(folder).map_err(Seq2SeqError::io(folder))?;
        let config = self.model.config();
        let write = |name: &str, json: serde_json::Value| {
            let path = folder.join(name);
            std::fs::write(&path, format!("{json:#}\n")).map_err(Seq2SeqError::io(&path))
        };
        write(CONFIG_FILE, config.to_hugging_face())?;
        let generation = config.generation.to_hugging_face(config.pad_id, config.bos_id, config.eos_id);
        write(GENERATION_FILE, generation)?;
        self.write_weights(&folder.join(WEIGHTS_FILE))
    }

    /// With the note that transformers asks for. The file appears whole or not at all.
    fn write_weights(&self, path: &Path) -> Result<(), Seq2SeqError> {
        let parameters = self.parameters.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone()));
        let bias = (BIAS_NAME.to_owned(), self.model.final_logits_bias().clone());
        let tensors: Vec<(String, Tensor)> = parameters.chain([bias]).collect();
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        output_file::place(path, Seq2SeqError::io(path), |partial| {
            safetensors::serialize_to_file(tensors, Some(metadata), partial)
                .map_err(|error| Seq2SeqError::file(path, error))
        })
    }
}
