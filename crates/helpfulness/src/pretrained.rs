//! Helpfulness models as folders: begin, train, save, open, ask.
//!
//! A folder holds what was trained (a few MB) and says which frozen encoder it was trained on; the encoder stays where it is.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::{LinearLoader, weights_sha256};
use serde::{Deserialize, Serialize};
use text_encoder::{EncoderConfig, EncoderTokenizer, EncoderWeights, TextEncoder};
use training::{Parameters, VariableLoader};

use crate::{
    EncodedExchange, Exchange, ExchangeLayout, HelpfulnessError, Mask, NetworkOptions, OrdinalModel, OrdinalOptions,
    PreferenceModel, ResponseScorer, Score, TrainedWeights,
};

const CONFIG_FILE: &str = "helpfulness.json";
const WEIGHTS_FILE: &str = "helpfulness.safetensors";

/// Tokens of inputs that go through the encoder together. Decides about memory and speed, not about results.
const BATCH_TOKENS: usize = 4096;

/// An encoder that stays as it is, with its tokenizer.
#[derive(Clone)]
pub struct FrozenEncoder {
    encoder: Arc<TextEncoder>,
    tokenizer: EncoderTokenizer,
    sha256: Option<String>,
}

impl FrozenEncoder {
    /// Opens a Hugging Face folder of a BERT; a head in it is left aside.
    ///
    /// # Errors
    /// A file is missing or damaged, values are missing, or tokenizer and encoder do not belong together.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, HelpfulnessError> {
        let (config, _) = EncoderConfig::read(&folder.join("config.json"))?;
        let tokenizer = EncoderTokenizer::open(folder)?;
        let (size, rows) = (tokenizer.vocabulary_size(), config.vocabulary_size);
        if size > rows {
            let problem = format!("the tokenizer has {size} tokens, the encoder's word embedding {rows} rows");
            return Err(HelpfulnessError::file(folder, problem));
        }
        let weights = EncoderWeights::open(folder, &config, device, 0)?;
        let encoder = TextEncoder::load(&weights, &config, device)?;
        if let Some(name) = weights.made_fresh().first() {
            let problem = format!("`{name}` is not whole: the folder lacks trained values");
            return Err(HelpfulnessError::file(folder, problem));
        }
        Ok(Self { sha256: Some(weights_sha256(folder)?), ..Self::new(encoder, tokenizer) })
    }

    /// Of an encoder in memory.
    pub fn new(encoder: TextEncoder, tokenizer: EncoderTokenizer) -> Self {
        Self { encoder: Arc::new(encoder), tokenizer, sha256: None }
    }

    /// The encoder.
    pub fn encoder(&self) -> &Arc<TextEncoder> {
        &self.encoder
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &EncoderTokenizer {
        &self.tokenizer
    }

    /// SHA-256 of its weights' files; none for one in memory.
    pub fn sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }
}

/// Everything that says what a helpfulness model is, but for its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelpfulnessConfig {
    /// Which model.
    pub kind: HelpfulnessKind,
    /// The shape of what is trained.
    #[serde(default)]
    pub network: NetworkOptions,
    /// How texts become tokens.
    #[serde(default)]
    pub layout: ExchangeLayout,
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HelpfulnessKind {
    /// d-PM with so many classes.
    Preference {
        /// From helpful to unhelpful.
        classes: usize,
    },
    /// The ordinal one.
    Ordinal {
        /// Its settings.
        options: OrdinalOptions,
        /// Names of its raters.
        raters: Vec<String>,
    },
}

impl HelpfulnessConfig {
    /// d-PM with two classes, everything else as published.
    pub fn preference() -> Self {
        Self::of(HelpfulnessKind::Preference { classes: 2 })
    }

    /// The ordinal model with these raters.
    pub fn ordinal(raters: Vec<String>) -> Self {
        Self::of(HelpfulnessKind::Ordinal { options: OrdinalOptions::default(), raters })
    }

    fn of(kind: HelpfulnessKind) -> Self {
        Self { kind, network: NetworkOptions::default(), layout: ExchangeLayout::default() }
    }
}

/// The configuration and the encoder it belongs to, as they stand in a folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    config: HelpfulnessConfig,
    encoder_sha256: Option<String>,
}

/// One of the models.
#[derive(Clone)]
pub enum AnyModel {
    /// d-PM.
    Preference(Arc<PreferenceModel>),
    /// The ordinal one.
    Ordinal(Arc<OrdinalModel>),
}

impl AnyModel {
    fn load(
        encoder: &Arc<TextEncoder>,
        loader: &dyn LinearLoader,
        config: &HelpfulnessConfig,
    ) -> Result<Self, HelpfulnessError> {
        let (encoder, network) = (encoder.clone(), &config.network);
        Ok(match &config.kind {
            HelpfulnessKind::Preference { classes } => {
                Self::Preference(Arc::new(PreferenceModel::load(encoder, loader, network, *classes)?))
            }
            HelpfulnessKind::Ordinal { options, raters } => {
                Self::Ordinal(Arc::new(OrdinalModel::load(encoder, loader, network, options, raters.clone())?))
            }
        })
    }

    /// What every model can be asked.
    pub fn scorer(&self) -> &dyn ResponseScorer {
        match self {
            Self::Preference(model) => &**model,
            Self::Ordinal(model) => &**model,
        }
    }
}

/// A model with everything that belongs to it.
pub struct HelpfulnessModel {
    /// The model.
    pub model: AnyModel,
    /// The encoder below it.
    pub encoder: FrozenEncoder,
    /// What it is.
    pub config: HelpfulnessConfig,
}

impl HelpfulnessModel {
    /// Opens a folder that [`TrainableHelpfulness::save`] wrote, on the encoder that it was trained on.
    ///
    /// # Errors
    /// A file is missing or damaged, or the encoder is another.
    pub fn open(folder: &Path, encoder: FrozenEncoder) -> Result<Self, HelpfulnessError> {
        let config = read_config(folder, &encoder)?;
        let weights = TrainedWeights::open(&folder.join(WEIGHTS_FILE), encoder.encoder.device())?;
        let model = AnyModel::load(&encoder.encoder, &weights, &config)?;
        Ok(Self { model, encoder, config })
    }

    /// Scores responses, in their order. What one gets does not depend on the others, except under [`Mask::Inverted`], where all are one batch.
    ///
    /// # Errors
    /// A text can't be tokenised, the layout asks for more tokens than the encoder takes, or the device fails.
    pub fn score(&self, exchanges: &[Exchange<'_>]) -> Result<Vec<Score>, HelpfulnessError> {
        let inputs = exchanges.iter().map(|exchange| self.config.layout.encode(exchange, &self.encoder.tokenizer));
        let inputs = inputs.collect::<Result<Vec<EncodedExchange>, _>>()?;
        if self.config.network.mask == Mask::Inverted {
            return self.model.scorer().scores(&inputs.iter().collect::<Vec<_>>());
        }
        let mut scored: Vec<(usize, Score)> = Vec::with_capacity(inputs.len());
        for batch in batches(&inputs) {
            let together: Vec<&EncodedExchange> = batch.iter().map(|number| &inputs[*number]).collect();
            scored.extend(batch.into_iter().zip(self.model.scorer().scores(&together)?));
        }
        scored.sort_by_key(|(number, _)| *number);
        Ok(scored.into_iter().map(|(_, score)| score).collect())
    }
}

/// Numbers of inputs in batches of so many tokens (a single input may have more).
fn batches(inputs: &[EncodedExchange]) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut tokens = 0;
    for (number, input) in inputs.iter().enumerate() {
        let own = input.token_count();
        match batches.last_mut() {
            Some(batch) if tokens + own <= BATCH_TOKENS => batch.push(number),
            _ => {
                tokens = 0;
                batches.push(vec![number]);
            }
        }
        tokens += own;
    }
    batches
}

fn read_config(folder: &Path, encoder: &FrozenEncoder) -> Result<HelpfulnessConfig, HelpfulnessError> {
    let path = folder.join(CONFIG_FILE);
    let text = std::fs::read_to_string(&path).map_err(HelpfulnessError::io(&path))?;
    let stored: Stored = serde_json::from_str(&text)
        .map_err(|error| HelpfulnessError::file(&path, format!("not a helpfulness model's configuration: {error}")))?;
    match (&stored.encoder_sha256, encoder.sha256()) {
        (Some(expected), Some(found)) if expected != found => {
            let problem = format!(
                "it was trained on an encoder with the SHA-256 {expected}, this one has {found}: give it the encoder it was trained on"
            );
            Err(HelpfulnessError::file(&path, problem))
        }
        _ => Ok(stored.config),
    }
}

/// A model whose trained part are variables.
pub struct TrainableHelpfulness {
    /// The model.
    pub model: HelpfulnessModel,
    /// The variables under their names in the folder; the encoder has none.
    pub parameters: Parameters,
}

impl TrainableHelpfulness {
    /// Begins with fresh values, drawn from `seed`.
    ///
    /// # Errors
    /// The configuration makes no sense, or does not fit the encoder.
    pub fn fresh(encoder: FrozenEncoder, config: HelpfulnessConfig, seed: u64) -> Result<Self, HelpfulnessError> {
        let weights = TrainedWeights::fresh(seed, encoder.encoder.device());
        Self::build(encoder, config, &weights)
    }

    /// Begins with the values of a folder that [`Self::save`] wrote.
    ///
    /// # Errors
    /// As [`HelpfulnessModel::open`].
    pub fn open(folder: &Path, encoder: FrozenEncoder) -> Result<Self, HelpfulnessError> {
        let config = read_config(folder, &encoder)?;
        let weights = TrainedWeights::open(&folder.join(WEIGHTS_FILE), encoder.encoder.device())?;
        Self::build(encoder, config, &weights)
    }

    /// Begins with the values of a file or folder of the published code, whose shape `config` must say.
    ///
    /// # Errors
    /// A tensor is missing or has another shape.
    pub fn import(weights: &Path, encoder: FrozenEncoder, config: HelpfulnessConfig) -> Result<Self, HelpfulnessError> {
        let weights = TrainedWeights::open(weights, encoder.encoder.device())?;
        Self::build(encoder, config, &weights)
    }

    fn build(
        encoder: FrozenEncoder,
        config: HelpfulnessConfig,
        weights: &TrainedWeights,
    ) -> Result<Self, HelpfulnessError> {
        let (longest, takes) = (config.layout.longest, encoder.encoder.config().longest());
        if longest > takes {
            let problem = format!("inputs of up to {longest} tokens: the encoder takes {takes}");
            return Err(HelpfulnessError::Invalid(problem));
        }
        let variables = VariableLoader::new(weights);
        let model = AnyModel::load(&encoder.encoder, &variables, &config)?;
        let parameters = variables.into_parameters();
        Ok(Self { model: HelpfulnessModel { model, encoder, config }, parameters })
    }

    /// Writes the configuration and the current values into a folder. Each file appears whole or not at all.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), HelpfulnessError> {
        std::fs::create_dir_all(folder).map_err(HelpfulnessError::io(folder))?;
        let stored = Stored { config: self.model.config.clone(), encoder_sha256: self.model.encoder.sha256.clone() };
        let path = folder.join(CONFIG_FILE);
        let text = serde_json::to_string_pretty(&stored).map_err(|error| HelpfulnessError::file(&path, error))?;
        whole(&path, |partial| std::fs::write(partial, text + "\n").map_err(HelpfulnessError::io(&path)))?;
        let path = folder.join(WEIGHTS_FILE);
        let tensors: Vec<(String, Tensor)> =
            self.parameters.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone())).collect();
        whole(&path, |partial| {
            safetensors::serialize_to_file(tensors, None, partial).map_err(|error| HelpfulnessError::file(&path, error))
        })
    }
}

fn whole(path: &Path, write: impl FnOnce(&Path) -> Result<(), HelpfulnessError>) -> Result<(), HelpfulnessError> {
    let partial = path.with_extension("partial");
    write(&partial)?;
    std::fs::rename(&partial, path).map_err(HelpfulnessError::io(path))
}
