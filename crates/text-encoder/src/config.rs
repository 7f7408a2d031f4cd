//! The shape of an encoder, as `config.json` of a Hugging Face folder tells it.

use std::collections::BTreeMap;
use std::path::Path;

use llm_runtime::input_file;
use serde_json::{Map, Value, json};

use crate::EncoderError;

/// Which of the two architectures an encoder has. They differ in how positions are counted, in the names of tensors, and in the
/// head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Positions from 0; pooler and one projection (arXiv 1810.04805).
    Bert,
    /// Positions from the padding id on; a head of two layers (arXiv 1907.11692). XLM-RoBERTa is the same.
    Roberta,
}

impl Architecture {
    /// What names of tensors begin with in a model with a head.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
        }
    }
}

/// The shape of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// BERT or RoBERTa.
    pub architecture: Architecture,
    /// Rows of the word embedding.
    pub vocabulary_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
    /// Rows of the position embedding. With RoBERTa those up to the padding id are not for text.
    pub max_positions: usize,
    /// Rows of the token type embedding.
    pub type_vocabulary_size: usize,
    /// Added to variances in the norms.
    pub layer_norm_eps: f64,
    /// Dropout of embeddings and of what layers add, in training.
    pub hidden_dropout: f32,
    /// Dropout of attention probabilities, in training.
    pub attention_dropout: f32,
    /// Dropout in the head, in training; none takes `hidden_dropout`.
    pub classifier_dropout: Option<f32>,
    /// The padding token.
    pub pad_id: u32,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// What else the file says; it is written again.
    pub other: Map<String, Value>,
}

/// Fields that this crate reads and writes itself.
const OWN_FIELDS: [&str; 21] = [
    "model_type",
    "architectures",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "pad_token_id",
    "initializer_range",
    "hidden_act",
    "id2label",
    "label2id",
    "problem_type",
    "torch_dtype",
    "dtype",
];

impl EncoderConfig {
    /// A small encoder to be trained from nothing: two layers of width 64 with four heads, 128 positions. Its fresh weights are larger
    /// than BERT's, as befits rows so short.
    pub fn tiny(vocabulary_size: usize, pad_id: u32) -> Self {
        Self {
            architecture: Architecture::Bert,
            vocabulary_size,
            hidden_size: 64,
            intermediate_size: 128,
            layers: 2,
            heads: 4,
            max_positions: 128,
            type_vocabulary_size: 2,
            layer_norm_eps: 1e-12,
            hidden_dropout: 0.1,
            attention_dropout: 0.1,
            classifier_dropout: None,
            pad_id,
            initializer_range: 0.1,
            other: Map::new(),
        }
    }

    /// Reads `config.json`: the encoder's shape, and the labels of its head in the order of their numbers (none if the file has no
    /// `id2label`).
    ///
    /// # Errors
    /// The file can't be read, is of another architecture, lacks a field, or asks for something that is not supported.
    pub fn read(path: &Path) -> Result<(Self, Vec<String>), EncoderError> {
        let text = input_file::read_text(path).map_err(EncoderError::io(path))?;
        let json: Value = serde_json::from_str(&text)
            .map_err(|error| EncoderError::format(path, format!("not a JSON file: {error}")))?;
        let fields = Fields { path, json: &json };
        let architecture = fields.architecture()?;
        fields.refuse_unsupported()?;
        let is_roberta = architecture == Architecture::Roberta;
        let config = Self {
            architecture,
            vocabulary_size: fields.size("vocab_size")?,
            hidden_size: fields.size("hidden_size")?,
            intermediate_size: fields.size("intermediate_size")?,
            layers: fields.size("num_hidden_layers")?,
            heads: fields.size("num_attention_heads")?,
            max_positions: fields.size("max_position_embeddings")?,
            type_vocabulary_size: fields.size("type_vocab_size")?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-12)?,
            hidden_dropout: fields.number("hidden_dropout_prob", 0.1)? as f32,
            attention_dropout: fields.number("attention_probs_dropout_prob", 0.1)? as f32,
            classifier_dropout: match &json["classifier_dropout"] {
                Value::Null => None,
                _ => Some(fields.number("classifier_dropout", 0.1)? as f32),
            },
            pad_id: match &json["pad_token_id"] {
                Value::Null => u32::from(is_roberta),
                _ => fields.size("pad_token_id")? as u32,
            },
            initializer_range: fields.number("initializer_range", 0.02)?,
            other: fields.other(),
        };
        config.check().map_err(|problem| EncoderError::format(path, problem))?;
        Ok((config, fields.labels()?))
    }

    /// The longest sequence, its first and last token included.
    pub fn longest(&self) -> usize {
        match self.architecture {
            Architecture::Bert => self.max_positions,
            Architecture::Roberta => self.max_positions.saturating_sub(self.pad_id as usize + 1),
        }
    }

    /// Says what is out of range.
    pub(crate) fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocabulary_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("type_vocab_size", self.type_vocabulary_size),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("`{name}` is 0: expected at least 1"));
        }
        if !self.hidden_size.is_multiple_of(self.heads) {
            return Err(format!("{} heads do not divide a width of {}", self.heads, self.hidden_size));
        }
        if self.longest() < 3 {
            return Err(format!("`max_position_embeddings` is {}: no text fits", self.max_positions));
        }
        let dropouts = [
            ("hidden_dropout_prob", Some(self.hidden_dropout)),
            ("attention_probs_dropout_prob", Some(self.attention_dropout)),
            ("classifier_dropout", self.classifier_dropout),
        ];
        let outside = |dropout: &f32| !(0.0..1.0).contains(dropout);
        if let Some((name, Some(value))) = dropouts.iter().find(|(_, dropout)| dropout.as_ref().is_some_and(outside)) {
            return Err(format!("`{name}` is {value}: expected a probability below 1"));
        }
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if !positive(self.layer_norm_eps) || !positive(self.initializer_range) {
            return Err("`layer_norm_eps` and `initializer_range` must be positive numbers".into());
        }
        if self.pad_id as usize >= self.vocabulary_size {
            return Err(format!("`pad_token_id` is {}, outside the vocabulary", self.pad_id));
        }
        Ok(())
    }

    /// As transformers reads it, for a classifier with these labels.
    pub fn to_hugging_face(&self, labels: &[String]) -> Value {
        let (model_type, class) = match self.architecture {
            Architecture::Bert => ("bert", "BertForSequenceClassification"),
            Architecture::Roberta => ("roberta", "RobertaForSequenceClassification"),
        };
        let names: Map<String, Value> =
            labels.iter().enumerate().map(|(number, label)| (number.to_string(), json!(label))).collect();
        let numbers: Map<String, Value> =
            labels.iter().enumerate().map(|(number, label)| (label.clone(), json!(number))).collect();
        let mut json = json!({
            "model_type": model_type,
            "architectures": [class],
            "vocab_size": self.vocabulary_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "max_position_embeddings": self.max_positions,
            "type_vocab_size": self.type_vocabulary_size,
            "layer_norm_eps": self.layer_norm_eps,
            "hidden_act": "gelu",
            "hidden_dropout_prob": written(self.hidden_dropout),
            "attention_probs_dropout_prob": written(self.attention_dropout),
            "classifier_dropout": self.classifier_dropout.map(written),
            "pad_token_id": self.pad_id,
            "initializer_range": self.initializer_range,
            "position_embedding_type": "absolute",
            "id2label": names,
            "label2id": numbers,
            "problem_type": "single_label_classification",
            "torch_dtype": "float32",
        });
        if let Some(fields) = json.as_object_mut() {
            for (name, value) in &self.other {
                fields.entry(name).or_insert_with(|| value.clone());
            }
        }
        json
    }
}

/// A probability with the digits people gave it: 0.1 and not 0.10000000149.
fn written(probability: f32) -> f64 {
    probability.to_string().parse().unwrap_or_else(|_| f64::from(probability))
}

/// The fields of a file.
struct Fields<'a> {
    path: &'a Path,
    json: &'a Value,
}

impl Fields<'_> {
    fn problem(&self, problem: impl std::fmt::Display) -> EncoderError {
        EncoderError::format(self.path, problem)
    }

    fn architecture(&self) -> Result<Architecture, EncoderError> {
        // Old files name only a class.
        let class = self.json["architectures"][0].as_str().unwrap_or_default();
        let kind = class.split("For").next().unwrap_or_default().trim_end_matches("Model").to_lowercase();
        match self.json["model_type"].as_str().unwrap_or(&kind) {
            "bert" => Ok(Architecture::Bert),
            "roberta" | "xlm-roberta" | "xlmroberta" => Ok(Architecture::Roberta),
            "" => Err(self.problem("`model_type` is missing: expected the configuration of a BERT or RoBERTa model")),
            other => Err(EncoderError::Architecture { path: self.path.into(), architecture: other.to_owned() }),
        }
    }

    /// What would change the numbers and is not computed here.
    fn refuse_unsupported(&self) -> Result<(), EncoderError> {
        let expected = [
            ("hidden_act", "gelu"),
            ("position_embedding_type", "absolute"),
            ("problem_type", "single_label_classification"),
        ];
        for (name, supported) in expected {
            if let Some(found) = self.json[name].as_str().filter(|found| *found != supported) {
                return Err(self.problem(format!("`{name}` is `{found}`: only `{supported}` is supported")));
            }
        }
        match self.json["is_decoder"] == true {
            true => Err(self.problem("`is_decoder` is true: expected an encoder")),
            false => Ok(()),
        }
    }

    fn size(&self, name: &str) -> Result<usize, EncoderError> {
        let size = self.json[name].as_u64().and_then(|size| usize::try_from(size).ok());
        size.filter(|size| *size < 1 << 32)
            .ok_or_else(|| self.problem(format!("`{name}` is {}: expected a number", self.json[name])))
    }

    fn number(&self, name: &str, default: f64) -> Result<f64, EncoderError> {
        match &self.json[name] {
            Value::Null => Ok(default),
            value => value.as_f64().ok_or_else(|| self.problem(format!("`{name}` is {value}: expected a number"))),
        }
    }

    fn labels(&self) -> Result<Vec<String>, EncoderError> {
        let Some(names) = self.json["id2label"].as_object() else { return Ok(Vec::new()) };
        let mut labels = BTreeMap::new();
        for (number, label) in names {
            let parsed = number.parse::<usize>().ok().zip(label.as_str());
            let (number, label) =
                parsed.ok_or_else(|| self.problem(format!("`id2label` has `{number}: {label}`: expected a name")))?;
            labels.insert(number, label.to_owned());
        }
        if labels.keys().copied().ne(0..labels.len()) {
            return Err(self.problem("`id2label` does not number its labels from 0 on"));
        }
        let labels: Vec<String> = labels.into_values().collect();
        for (number, label) in labels.iter().enumerate() {
            let other = &self.json["label2id"][label];
            if other.as_u64().is_some_and(|other| other != number as u64) {
                return Err(self.problem(format!(
                    "`id2label` and `label2id` contradict each other: `{label}` is {number} and {other}"
                )));
            }
        }
        Ok(labels)
    }

    fn other(&self) -> Map<String, Value> {
        let all = self.json.as_object().into_iter().flatten();
        all.filter(|(name, _)| !OWN_FIELDS.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}
