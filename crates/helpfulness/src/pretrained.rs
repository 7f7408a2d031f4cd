//! Helpfulness models as folders: begin, train, save, open, ask.
//!
//! A folder holds what was trained (a few MB) and says which frozen encoder it was trained on; the encoder stays where it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Tensor;
use llm_runtime::{LinearLoader, input_file, output_file};
use serde::{Deserialize, Serialize};
use text_encoder::TextEncoder;
use training::{Parameters, VariableLoader};

use crate::{
    EncodedExchange, Exchange, ExchangeLayout, Forecast, FrozenEncoder, HelpfulnessError, HelpfulnessRecord,
    LabelTable, Mask, NetworkOptions, OrdinalModel, OrdinalOptions, PreferenceModel, ResponseScorer, Score,
    TrainedWeights,
};

const CONFIG_FILE: &str = "helpfulness.json";
const WEIGHTS_FILE: &str = "helpfulness.safetensors";

/// Tokens of inputs that go through the encoder together. Decides about memory and speed, not about results.
const BATCH_TOKENS: usize = 4096;

/// Everything that says what a helpfulness model is, but for its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelpfulnessConfig {
    /// Which model.
    pub kind: HelpfulnessKind,
    /// What annotations mean: d-PM has the table's classes, the ordinal model counts the annotations of its first class.
    pub labels: LabelTable,
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
    /// d-PM.
    Preference,
    /// The ordinal one.
    Ordinal {
        /// Its settings.
        options: OrdinalOptions,
        /// Names of its raters.
        raters: Vec<String>,
    },
}

impl HelpfulnessConfig {
    /// d-PM with the classes of a table, everything else as published.
    pub fn preference(labels: LabelTable) -> Self {
        Self::of(HelpfulnessKind::Preference, labels)
    }

    /// The ordinal model with these raters.
    pub fn ordinal(labels: LabelTable, raters: Vec<String>) -> Self {
        Self::of(HelpfulnessKind::Ordinal { options: OrdinalOptions::default(), raters }, labels)
    }

    fn of(kind: HelpfulnessKind, labels: LabelTable) -> Self {
        Self { kind, labels, network: NetworkOptions::default(), layout: ExchangeLayout::default() }
    }
}

/// The configuration and the encoder it belongs to, as they stand in a folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    config: HelpfulnessConfig,
    /// A folder; within the model's own if it is relative.
    encoder: Option<PathBuf>,
    encoder_sha256: Option<String>,
}

impl Stored {
    fn read(folder: &Path) -> Result<Self, HelpfulnessError> {
        let path = folder.join(CONFIG_FILE);
        let text = input_file::read_text(&path).map_err(HelpfulnessError::io(&path))?;
        serde_json::from_str(&text)
            .map_err(|error| HelpfulnessError::file(&path, format!("not a helpfulness model's configuration: {error}")))
    }
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
            HelpfulnessKind::Preference => {
                Self::Preference(Arc::new(PreferenceModel::load(encoder, loader, network, config.labels.classes())?))
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
        let weights = TrainedWeights::open(&folder.join(WEIGHTS_FILE), encoder.encoder().device())?;
        let model = AnyModel::load(encoder.encoder(), &weights, &config)?;
        Ok(Self { model, encoder, config })
    }

    /// The folder of the encoder that a folder's model was trained on.
    ///
    /// # Errors
    /// The model's file is missing or damaged, or the encoder is not where it was.
    pub fn encoder_folder(folder: &Path) -> Result<PathBuf, HelpfulnessError> {
        let path = folder.join(CONFIG_FILE);
        let problem = |problem: String| HelpfulnessError::file(&path, problem);
        let encoder = Stored::read(folder)?.encoder;
        let encoder = encoder.ok_or_else(|| problem("it does not say which encoder it was trained on".to_owned()))?;
        let encoder = folder.join(encoder);
        match encoder.is_dir() {
            true => Ok(encoder),
            false => Err(problem(format!("the encoder it was trained on is not in {} any more", encoder.display()))),
        }
    }

    /// What the model expects of annotators, and what they chose, for each response of some records in their order.
    ///
    /// Of d-PM the distribution is its posterior. The ordinal model expects a rating `y` of `K` steps, which is as many annotations of `K` that say helpful:
    /// the first class has the probability `E[y] / K`, the last one the rest.
    ///
    /// # Errors
    /// A label is not in the table, the table has other classes than the model, or as [`Self::score`].
    pub fn forecasts(
        &self,
        records: &[HelpfulnessRecord],
        labels: &LabelTable,
    ) -> Result<Vec<Forecast>, HelpfulnessError> {
        if labels.classes() != self.config.labels.classes() {
            let (table, model) = (labels.classes(), self.config.labels.classes());
            let problem = format!("a table of labels with {table} classes: the model was trained with {model}");
            return Err(HelpfulnessError::Invalid(problem));
        }
        let contexts: Vec<String> = records.iter().map(HelpfulnessRecord::context_text).collect();
        let (mut exchanges, mut annotations) = (Vec::new(), Vec::new());
        for (number, (record, context)) in records.iter().zip(&contexts).enumerate() {
            for response in &record.responses {
                exchanges.push(Exchange { situation: &record.situation, context, response: &response.text });
                annotations
                    .push(labels.classes_of(&response.annotations).map_err(|error| record.problem(number, error))?);
            }
        }
        let scores = self.score(&exchanges)?.into_iter().zip(annotations);
        Ok(scores.map(|(score, annotations)| self.forecast(&score, annotations)).collect())
    }

    fn forecast(&self, score: &Score, annotations: Vec<Option<usize>>) -> Forecast {
        let AnyModel::Ordinal(_) = self.model else {
            return Forecast { distribution: score.distribution.iter().map(|q| f64::from(*q)).collect(), annotations };
        };
        let steps = score.distribution.iter().enumerate();
        let rating: f64 = steps.map(|(step, q)| (step + 1) as f64 * f64::from(*q)).sum();
        let helpful = (rating / score.distribution.len().max(1) as f64).min(1.0);
        let last = self.config.labels.classes().saturating_sub(1);
        let of_class = |class| match class {
            0 => helpful,
            class if class == last => 1.0 - helpful,
            _ => 0.0,
        };
        Forecast { distribution: (0..=last).map(of_class).collect(), annotations }
    }

    /// Scores responses, in their order. What one gets does not depend on the others, except under [`Mask::Inverted`], where all are one batch.
    ///
    /// # Errors
    /// A text can't be tokenised, the layout asks for more tokens than the encoder takes, or the device fails.
    pub fn score(&self, exchanges: &[Exchange<'_>]) -> Result<Vec<Score>, HelpfulnessError> {
        let inputs = exchanges.iter().map(|exchange| self.config.layout.encode(exchange, self.encoder.tokenizer()));
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
    let stored = Stored::read(folder)?;
    match (&stored.encoder_sha256, encoder.sha256()) {
        (Some(expected), Some(found)) if expected != found => {
            let problem = format!(
                "it was trained on an encoder with the SHA-256 {expected}, this one has {found}: give it the encoder it was trained on"
            );
            Err(HelpfulnessError::file(&folder.join(CONFIG_FILE), problem))
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
        let weights = TrainedWeights::fresh(seed, encoder.encoder().device());
        Self::build(encoder, config, &weights)
    }

    /// Begins with the values of a folder that [`Self::save`] wrote.
    ///
    /// # Errors
    /// As [`HelpfulnessModel::open`].
    pub fn open(folder: &Path, encoder: FrozenEncoder) -> Result<Self, HelpfulnessError> {
        let config = read_config(folder, &encoder)?;
        let weights = TrainedWeights::open(&folder.join(WEIGHTS_FILE), encoder.encoder().device())?;
        Self::build(encoder, config, &weights)
    }

    /// Begins with the values of a file or folder of d-PM's published code, whose shape is read from it: length of the prefixes, width inside, number of
    /// classes. `base` says the rest.
    ///
    /// # Errors
    /// A tensor is missing or has another shape, or there are other classes than `base` has labels for.
    pub fn import(weights: &Path, encoder: FrozenEncoder, base: HelpfulnessConfig) -> Result<Self, HelpfulnessError> {
        let weights = TrainedWeights::open(weights, encoder.encoder().device())?;
        let network = weights.published_shape(&base.network, base.labels.classes())?;
        Self::build(encoder, HelpfulnessConfig { network, ..base }, &weights)
    }

    fn build(
        encoder: FrozenEncoder,
        config: HelpfulnessConfig,
        weights: &TrainedWeights,
    ) -> Result<Self, HelpfulnessError> {
        let (longest, takes) = (config.layout.longest, encoder.encoder().config().longest());
        if longest > takes {
            let problem = format!("inputs of up to {longest} tokens: the encoder takes {takes}");
            return Err(HelpfulnessError::Invalid(problem));
        }
        let variables = VariableLoader::new(weights);
        let model = AnyModel::load(encoder.encoder(), &variables, &config)?;
        let parameters = variables.into_parameters();
        Ok(Self { model: HelpfulnessModel { model, encoder, config }, parameters })
    }

    /// Writes the configuration and the current values into a folder. Each file appears whole or not at all.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), HelpfulnessError> {
        std::fs::create_dir_all(folder).map_err(HelpfulnessError::io(folder))?;
        let encoder = &self.model.encoder;
        let stored = Stored {
            config: self.model.config.clone(),
            encoder: encoder.folder().map(|encoder| place_of(encoder, folder)).transpose()?,
            encoder_sha256: encoder.sha256().map(str::to_owned),
        };
        let path = folder.join(CONFIG_FILE);
        let text = serde_json::to_string_pretty(&stored).map_err(|error| HelpfulnessError::file(&path, error))?;
        output_file::write(&path, text + "\n").map_err(HelpfulnessError::io(&path))?;
        let path = folder.join(WEIGHTS_FILE);
        let tensors: Vec<(String, Tensor)> =
            self.parameters.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone())).collect();
        output_file::place(&path, HelpfulnessError::io(&path), |partial| {
            safetensors::serialize_to_file(tensors, None, partial).map_err(|error| HelpfulnessError::file(&path, error))
        })
    }
}

/// Relative where the encoder is within the model's folder, so that both can be moved together.
fn place_of(encoder: &Path, folder: &Path) -> Result<PathBuf, HelpfulnessError> {
    let whole = |path: &Path| path.canonicalize().map_err(HelpfulnessError::io(path));
    let (encoder, folder) = (whole(encoder)?, whole(folder)?);
    Ok(encoder.strip_prefix(&folder).map(Path::to_owned).unwrap_or(encoder))
}
