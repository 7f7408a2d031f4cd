//! Classifiers and sentence encoders as folders: open, use, train, save.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use llm_runtime::output_file;
use training::{Parameters, Pass, VariableLoader};

use crate::inference::by_length;
use crate::{
    EncoderConfig, EncoderError, EncoderTokenizer, EncoderWeights, ReadingOptions, SequenceClassifier, TextEncoder,
};

const CONFIG_FILE: &str = "config.json";
const WEIGHTS_FILE: &str = "model.safetensors";

/// A classifier with everything that belongs to it.
pub struct TextClassifier {
    /// Encoder and head.
    pub model: Arc<SequenceClassifier>,
    /// Its tokenizer.
    pub tokenizer: EncoderTokenizer,
    /// The classes, by number.
    pub labels: Vec<String>,
}

/// What a classifier thinks of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The most probable class; of equally probable ones the first.
    pub class: usize,
    /// Probabilities of all classes.
    pub probabilities: Vec<f32>,
}

impl TextClassifier {
    /// Opens a Hugging Face folder of a classifier.
    ///
    /// # Errors
    /// A file is missing or damaged, the architecture is another, or there is no trained head in it.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, EncoderError> {
        let (config, labels) = EncoderConfig::read(&folder.join(CONFIG_FILE))?;
        if labels.is_empty() {
            let problem = "no `id2label`: expected a classifier, not an encoder alone; train one first";
            return Err(EncoderError::format(&folder.join(CONFIG_FILE), problem));
        }
        let tokenizer = EncoderTokenizer::open(folder)?;
        check_vocabulary(folder, &tokenizer, &config)?;
        let weights = EncoderWeights::open(folder, &config, device, 0)?;
        let model = SequenceClassifier::load(&weights, &config, labels.len(), device)?;
        if let Some(name) = weights.made_fresh().first() {
            let problem = format!("`{name}` is missing: this encoder was never trained to classify; train it first");
            return Err(EncoderError::format(folder, problem));
        }
        Ok(Self { model: Arc::new(model), tokenizer, labels })
    }

    /// Classifies texts. Results do not depend on which texts are classified together.
    ///
    /// # Errors
    /// A text can't be tokenised, or the device fails.
    pub fn predict(&self, texts: &[&str], options: &ReadingOptions) -> Result<Vec<Prediction>, EncoderError> {
        by_length(texts, &self.tokenizer, self.model.encoder().config(), options, |batch| {
            Ok(self.model.probabilities(batch)?.into_iter().map(Prediction::from).collect())
        })
    }

    /// Writes a Hugging Face folder that transformers reads; `parameters` are the values of all weights.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path, parameters: &Parameters) -> Result<(), EncoderError> {
        write_folder(folder, self.model.encoder().config(), &self.labels, &self.tokenizer, parameters)
    }
}

impl From<Vec<f32>> for Prediction {
    fn from(probabilities: Vec<f32>) -> Self {
        let better = |best: usize, class: usize| if probabilities[class] > probabilities[best] { class } else { best };
        let class = (1..probabilities.len()).fold(0, better);
        Self { class, probabilities }
    }
}

/// A classifier all of whose weights are trained.
pub struct TrainableClassifier {
    /// The classifier.
    pub classifier: TextClassifier,
    /// Its variables under their names in the folder.
    pub parameters: Parameters,
    /// Tensors that no file gave: the head of a new classifier, added words.
    pub made_fresh: Vec<String>,
}

impl TrainableClassifier {
    /// Begins with a Hugging Face folder, an encoder alone or a classifier, and a vocabulary that `tokenizer` may have enlarged.
    ///
    /// A stored head is kept where its labels are `labels`. With other labels it is left aside if `new_head` says so.
    ///
    /// # Errors
    /// A file is missing or damaged, or the folder's head has other labels and is to be kept.
    pub fn open(
        folder: &Path,
        tokenizer: EncoderTokenizer,
        labels: Vec<String>,
        new_head: bool,
        seed: u64,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        let path = folder.join(CONFIG_FILE);
        let (mut config, own_labels) = EncoderConfig::read(&path)?;
        config.vocabulary_size = config.vocabulary_size.max(tokenizer.vocabulary_size());
        let mut weights = EncoderWeights::open(folder, &config, device, seed)?;
        if new_head || own_labels != labels {
            let has_head = llm_runtime::LinearLoader::contains(&weights, head_of(&config));
            if has_head && !new_head {
                let problem = format!(
                    "its head knows the labels {}, the data have {}: begin with a new head, or take other data",
                    own_labels.join(", "),
                    labels.join(", ")
                );
                return Err(EncoderError::format(&path, problem));
            }
            weights = weights.without_head();
        }
        Self::build(&weights, config, tokenizer, labels, device)
    }

    /// Begins with fresh values.
    ///
    /// # Errors
    /// The configuration makes no sense.
    pub fn fresh(
        config: EncoderConfig,
        tokenizer: EncoderTokenizer,
        labels: Vec<String>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        let weights = EncoderWeights::fresh(&config, device, seed);
        Self::build(&weights, config, tokenizer, labels, device)
    }

    fn build(
        weights: &EncoderWeights,
        config: EncoderConfig,
        tokenizer: EncoderTokenizer,
        labels: Vec<String>,
        device: &Device,
    ) -> Result<Self, EncoderError> {
        if labels.len() < 2 {
            return Err(EncoderError::Invalid(format!("{} label: at least two are needed", labels.len())));
        }
        let variables = VariableLoader::new(weights);
        let model = Arc::new(SequenceClassifier::load(&variables, &config, labels.len(), device)?);
        let parameters = variables.into_parameters();
        let classifier = TextClassifier { model, tokenizer, labels };
        Ok(Self { classifier, parameters, made_fresh: weights.made_fresh() })
    }

    /// Writes a Hugging Face folder with the current values.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), EncoderError> {
        self.classifier.save(folder, &self.parameters)
    }
}

/// The last layer of a head.
fn head_of(config: &EncoderConfig) -> &'static str {
    match config.architecture {
        crate::Architecture::Bert => "classifier.weight",
        crate::Architecture::Roberta => "classifier.out_proj.weight",
    }
}

/// An encoder that gives each text one vector: the mean of its last hidden states, scaled to length 1, as sentence-transformers'
/// `all-*` models of BERT and RoBERTa have it.
pub struct SentenceEncoder {
    pub(crate) encoder: TextEncoder,
    pub(crate) tokenizer: EncoderTokenizer,
}

impl SentenceEncoder {
    /// Opens a Hugging Face folder; a head in it is left aside.
    ///
    /// # Errors
    /// A file is missing or damaged, values are missing, or the architecture is another.
    pub fn open(folder: &Path, device: &Device) -> Result<Self, EncoderError> {
        let (config, _) = EncoderConfig::read(&folder.join(CONFIG_FILE))?;
        let tokenizer = EncoderTokenizer::open(folder)?;
        check_vocabulary(folder, &tokenizer, &config)?;
        let weights = EncoderWeights::open(folder, &config, device, 0)?;
        let encoder = TextEncoder::load(&weights, &config, device)?;
        if let Some(name) = weights.made_fresh().first() {
            return Err(EncoderError::format(
                folder,
                format!("`{name}` is not whole: the folder lacks trained values"),
            ));
        }
        Ok(Self { encoder, tokenizer })
    }

    /// Of an encoder and its tokenizer.
    pub fn new(encoder: TextEncoder, tokenizer: EncoderTokenizer) -> Self {
        Self { encoder, tokenizer }
    }

    /// Width of the vectors.
    pub fn width(&self) -> usize {
        self.encoder.config().hidden_size
    }

    /// A vector of length 1 for each text.
    ///
    /// # Errors
    /// A text can't be tokenised, or the device fails.
    pub fn embed(&self, texts: &[&str], options: &ReadingOptions) -> Result<Vec<Vec<f32>>, EncoderError> {
        by_length(texts, &self.tokenizer, self.encoder.config(), options, |batch| {
            let means: Tensor = self.encoder.forward(batch, &Pass::evaluation())?.mean()?;
            Ok(means.to_vec2::<f32>()?.into_iter().map(of_length_one).collect())
        })
    }
}

fn of_length_one(vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt().max(1e-12);
    vector.into_iter().map(|value| (f64::from(value) / length) as f32).collect()
}

/// Writes a Hugging Face folder of an encoder without a head, whose values `weights` gives.
///
/// # Errors
/// The configuration makes no sense, or a file can't be written.
pub fn write_encoder(
    folder: &Path,
    config: &EncoderConfig,
    tokenizer: &EncoderTokenizer,
    weights: &dyn llm_runtime::LinearLoader,
) -> Result<(), EncoderError> {
    let variables = VariableLoader::new(weights);
    TextEncoder::load(&variables, config, &Device::Cpu)?;
    write_folder(folder, config, &[], tokenizer, &variables.into_parameters())
}

fn write_folder(
    folder: &Path,
    config: &EncoderConfig,
    labels: &[String],
    tokenizer: &EncoderTokenizer,
    parameters: &Parameters,
) -> Result<(), EncoderError> {
    std::fs::create_dir_all(folder).map_err(EncoderError::io(folder))?;
    let path = folder.join(CONFIG_FILE);
    let text = format!("{:#}\n", config.to_hugging_face(labels));
    std::fs::write(&path, text).map_err(EncoderError::io(&path))?;
    tokenizer.save(folder, config.architecture, config.longest())?;
    write_weights(&folder.join(WEIGHTS_FILE), parameters)
}

fn check_vocabulary(folder: &Path, tokenizer: &EncoderTokenizer, config: &EncoderConfig) -> Result<(), EncoderError> {
    let (size, rows) = (tokenizer.vocabulary_size(), config.vocabulary_size);
    if size <= rows {
        return Ok(());
    }
    let problem =
        format!("the tokenizer has {size} tokens, the model's word embedding {rows} rows: they do not belong together");
    Err(EncoderError::format(folder, problem))
}

/// With the note that transformers asks for. The file appears whole or not at all.
fn write_weights(path: &Path, parameters: &Parameters) -> Result<(), EncoderError> {
    let tensors: Vec<(String, Tensor)> =
        parameters.iter().map(|(name, variable)| (name.to_owned(), variable.as_tensor().clone())).collect();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    output_file::place(path, EncoderError::io(path), |partial| {
        safetensors::serialize_to_file(tensors, Some(metadata), partial)
            .map_err(|error| EncoderError::format(path, error))
    })
}
