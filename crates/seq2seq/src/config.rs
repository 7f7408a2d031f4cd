//! The shape of an encoder–decoder, as `config.json` of a Hugging Face folder tells it.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::fields::{Fields, written};
use crate::{GenerationDefaults, Seq2SeqError};

/// Which of the two architectures a model has. They differ in the numbering of positions and in where the decoder adds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Positions begin at row 2 of their table, and are added before the norm of the embeddings (arXiv 1910.13461).
    Bart,
    /// Positions begin at row 0; the decoder adds them behind the norm (arXiv 2004.13637).
    BlenderbotSmall,
}

impl Architecture {
    /// `model_type` in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bart => "bart",
            Self::BlenderbotSmall => "blenderbot-small",
        }
    }

    /// The row of the position table that belongs to the first token.
    pub fn position_offset(self) -> usize {
        match self {
            Self::Bart => 2,
            Self::BlenderbotSmall => 0,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Bart => "BartForConditionalGeneration",
            Self::BlenderbotSmall => "BlenderbotSmallForConditionalGeneration",
        }
    }

    /// What transformers takes where a file is silent: padding, beginning, end, the decoder's first token.
    fn default_ids(self) -> [u32; 4] {
        match self {
            Self::Bart => [1, 0, 2, 2],
            Self::BlenderbotSmall => [0, 1, 2, 1],
        }
    }
}

/// What stands between the two layers of a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)`, the exact one.
    Gelu,
    /// `max(x, 0)`.
    Relu,
}

/// The shape of an encoder or of a decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackConfig {
    /// Number of layers.
    pub layers: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
    /// Width inside the feed-forward networks.
    pub inner_width: usize,
}

/// The shape of an encoder–decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Seq2SeqConfig {
    /// BART or BlenderBot-small.
    pub architecture: Architecture,
    /// Rows of the token table, and logits of a position.
    pub vocabulary_size: usize,
    /// Width of the hidden states.
    pub width: usize,
    /// The encoder.
    pub encoder: StackConfig,
    /// The decoder.
    pub decoder: StackConfig,
    /// The longest sequence, of the encoder and of the decoder alike.
    pub max_positions: usize,
    /// Of the feed-forward networks.
    pub activation: Activation,
    /// Whether token vectors are multiplied by √width before positions and norms.
    pub scale_embedding: bool,
    /// Dropout of embeddings and of what layers add, in training.
    pub dropout: f32,
    /// Dropout of attention probabilities, in training.
    pub attention_dropout: f32,
    /// Dropout inside the feed-forward networks, in training.
    pub activation_dropout: f32,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// The padding token. Its row of the token table gets no gradient where it is an input.
    pub pad_id: u32,
    /// The token that begins a text.
    pub bos_id: u32,
    /// The token that ends a text.
    pub eos_id: u32,
    /// How texts are generated where nothing else is asked for.
    pub generation: GenerationDefaults,
    /// What else the file says; it is written again.
    pub other: Map<String, Value>,
}

/// Fields that this crate reads and writes itself.
const OWN_FIELDS: [&str; 26] = [
    "model_type",
    "architectures",
    "vocab_size",
    "d_model",
    "encoder_layers",
    "decoder_layers",
    "num_hidden_layers",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "max_position_embeddings",
    "activation_function",
    "scale_embedding",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "init_std",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "is_encoder_decoder",
    "tie_word_embeddings",
    "torch_dtype",
    "dtype",
];

impl Seq2SeqConfig {
    /// A small model to be trained from nothing: one layer on either side of width 64 with four heads, 64 positions, no dropout,
    /// and fresh weights larger than BART's, as befits rows so short.
    pub fn tiny(architecture: Architecture, vocabulary_size: usize) -> Self {
        let [pad_id, bos_id, eos_id, decoder_start_id] = architecture.default_ids();
        let stack = StackConfig { layers: 1, heads: 4, inner_width: 128 };
        Self {
            architecture,
            vocabulary_size,
            width: 64,
            encoder: stack,
            decoder: stack,
            max_positions: 64,
            activation: Activation::Gelu,
            scale_embedding: false,
            dropout: 0.0,
            attention_dropout: 0.0,
            activation_dropout: 0.0,
            initializer_range: 0.1,
            pad_id,
            bos_id,
            eos_id,
            generation: GenerationDefaults { decoder_start_id, ..GenerationDefaults::default() },
            other: Map::new(),
        }
    }

    /// Reads `config.json` and, where it exists, `generation_config.json` of a folder.
    ///
    /// # Errors
    /// A file can't be read, is of another architecture, lacks a field, or asks for something that is not supported.
    pub fn read(folder: &Path) -> Result<Self, Seq2SeqError> {
        let path = folder.join(CONFIG_FILE);
        let json = Fields::read(&path)?;
        let fields = Fields { path: &path, json: &json };
        let architecture = architecture_of(&fields)?;
        refuse_unsupported(&fields)?;
        let [pad_id, bos_id, eos_id, start_id] = architecture.default_ids();
        let stack = |side: &str| {
            Ok::<_, Seq2SeqError>(StackConfig {
                layers: fields.size(&format!("{side}_layers"))?,
                heads: fields.size(&format!("{side}_attention_heads"))?,
                inner_width: fields.size(&format!("{side}_ffn_dim"))?,
            })
        };
        let config = Self {
            architecture,
            vocabulary_size: fields.size("vocab_size")?,
            width: fields.size("d_model")?,
            encoder: stack("encoder")?,
            decoder: stack("decoder")?,
            max_positions: fields.size("max_position_embeddings")?,
            activation: match json["activation_function"].as_str() {
                None | Some("gelu") => Activation::Gelu,
                Some("relu") => Activation::Relu,
                Some(other) => {
                    let problem =
                        format!("`activation_function` is `{other}`: only `gelu` (the exact one) and `relu` are known");
                    return Err(fields.problem(problem));
                }
            },
            scale_embedding: fields.flag("scale_embedding", false)?,
            dropout: fields.number("dropout", 0.1)? as f32,
            attention_dropout: fields.number("attention_dropout", 0.0)? as f32,
            activation_dropout: fields.number("activation_dropout", 0.0)? as f32,
            initializer_range: fields.number("init_std", 0.02)?,
            pad_id: fields.id("pad_token_id")?.unwrap_or(pad_id),
            bos_id: fields.id("bos_token_id")?.unwrap_or(bos_id),
            eos_id: fields.id("eos_token_id")?.unwrap_or(eos_id),
            generation: GenerationDefaults::read(folder, &fields, start_id)?,
            other: fields.other(&OWN_FIELDS, GenerationDefaults::FIELDS),
        };
        config.check().map_err(|problem| Seq2SeqError::file(&path, problem))?;
        Ok(config)
    }

    /// Says what is out of range.
    ///
    /// # Errors
    /// A size is 0, heads do not divide the width, a probability or a token is out of range.
    pub fn check(&self) -> Result<(), Seq2SeqError> {
        let invalid = |problem: String| Err(Seq2SeqError::Invalid(problem));
        let sizes = [
            ("vocab_size", self.vocabulary_size),
            ("d_model", self.width),
            ("encoder_layers", self.encoder.layers),
            ("decoder_layers", self.decoder.layers),
            ("encoder_attention_heads", self.encoder.heads),
            ("decoder_attention_heads", self.decoder.heads),
            ("encoder_ffn_dim", self.encoder.inner_width),
            ("decoder_ffn_dim", self.decoder.inner_width),
            ("max_position_embeddings", self.max_positions),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return invalid(format!("`{name}` is 0: expected at least 1"));
        }
        for (side, heads) in [("encoder", self.encoder.heads), ("decoder", self.decoder.heads)] {
            if !self.width.is_multiple_of(heads) {
                return invalid(format!("{heads} heads of the {side} do not divide a width of {}", self.width));
            }
        }
        let dropouts = [
            ("dropout", self.dropout),
            ("attention_dropout", self.attention_dropout),
            ("activation_dropout", self.activation_dropout),
        ];
        if let Some((name, value)) = dropouts.iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return invalid(format!("`{name}` is {value}: expected a probability below 1"));
        }
        if !(self.initializer_range.is_finite() && self.initializer_range > 0.0) {
            return invalid(format!("`init_std` is {}: expected a positive number", self.initializer_range));
        }
        let generation = &self.generation;
        let ids = [
            ("pad_token_id", Some(self.pad_id)),
            ("bos_token_id", Some(self.bos_id)),
            ("eos_token_id", Some(self.eos_id)),
            ("decoder_start_token_id", Some(generation.decoder_start_id)),
            ("forced_bos_token_id", generation.forced_bos_id),
            ("forced_eos_token_id", generation.forced_eos_id),
        ];
        match ids.iter().find(|(_, id)| id.is_some_and(|id| id as usize >= self.vocabulary_size)) {
            Some((name, id)) => {
                let id = id.unwrap_or_default();
                invalid(format!("`{name}` is {id}, outside the vocabulary of {}", self.vocabulary_size))
            }
            None => Ok(()),
        }
    }

    /// Rows of a position table.
    pub fn position_rows(&self) -> usize {
        self.max_positions + self.architecture.position_offset()
    }

    /// `config.json` as transformers reads it.
    pub fn to_hugging_face(&self) -> Value {
        let mut json = json!({
            "model_type": self.architecture.name(),
            "architectures": [self.architecture.class()],
            "vocab_size": self.vocabulary_size,
            "d_model": self.width,
            "encoder_layers": self.encoder.layers,
            "decoder_layers": self.decoder.layers,
            "num_hidden_layers": self.encoder.layers,
            "encoder_attention_heads": self.encoder.heads,
            "decoder_attention_heads": self.decoder.heads,
            "encoder_ffn_dim": self.encoder.inner_width,
            "decoder_ffn_dim": self.decoder.inner_width,
            "max_position_embeddings": self.max_positions,
            "activation_function": match self.activation {
                Activation::Gelu => "gelu",
                Activation::Relu => "relu",
            },
            "scale_embedding": self.scale_embedding,
            "dropout": written(self.dropout),
            "attention_dropout": written(self.attention_dropout),
            "activation_dropout": written(self.activation_dropout),
            "init_std": self.initializer_range,
            "pad_token_id": self.pad_id,
            "bos_token_id": self.bos_id,
            "eos_token_id": self.eos_id,
            "decoder_start_token_id": self.generation.decoder_start_id,
            "forced_bos_token_id": self.generation.forced_bos_id,
            "forced_eos_token_id": self.generation.forced_eos_id,
            "is_encoder_decoder": true,
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

/// The file of a folder that tells a model's shape.
pub(crate) const CONFIG_FILE: &str = "config.json";

fn architecture_of(fields: &Fields<'_>) -> Result<Architecture, Seq2SeqError> {
    match fields.json["model_type"].as_str() {
        Some("bart") => Ok(Architecture::Bart),
        Some("blenderbot-small") => Ok(Architecture::BlenderbotSmall),
        Some(other) => {
            Err(fields
                .problem(format!("the architecture `{other}` is not supported (supported: bart, blenderbot-small)")))
        }
        None => {
            Err(fields
                .problem("`model_type` is missing: expected the configuration of a BART or BlenderBot-small model"))
        }
    }
}

/// What would change the numbers and is not computed here.
fn refuse_unsupported(fields: &Fields<'_>) -> Result<(), Seq2SeqError> {
    let expected = [
        ("is_encoder_decoder", true),
        ("tie_word_embeddings", true),
        ("normalize_embedding", true),
        ("normalize_before", false),
        ("add_final_layer_norm", false),
        ("static_position_embeddings", false),
    ];
    for (name, supported) in expected {
        if fields.flag(name, supported)? != supported {
            return Err(fields.problem(format!("`{name}` is {}: only {supported} is supported", !supported)));
        }
    }
    for name in ["encoder_layerdrop", "decoder_layerdrop"] {
        let value = fields.number(name, 0.0)?;
        if value != 0.0 {
            return Err(fields.problem(format!("`{name}` is {value}: layers are never left out here; set it to 0")));
        }
    }
    Ok(())
}
