//! The hyper-parameters of a Llama-like model, read from a Hugging Face `config.json` or from GGUF metadata.

use std::path::Path;

use serde_json::{Value, json};

use crate::Error;

/// Shape and constants of a Llama, Llama-3 or Mistral model.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Number of token ids.
    pub vocabulary_size: usize,
    /// Longest sequence the model was made for.
    pub context_length: usize,
    /// Constant of the root-mean-square norms.
    pub rms_norm_eps: f32,
    /// Base of the rotary embedding.
    pub rope_theta: f32,
    /// How rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
    /// A position sees itself and the `sliding_window - 1` before it.
    pub sliding_window: Option<usize>,
    /// The output head is the token embedding.
    pub tied_head: bool,
    /// Biases on the attention projections.
    pub attention_bias: bool,
    /// Biases in the feed-forward block.
    pub mlp_bias: bool,
}

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// As trained.
    None,
    /// All frequencies divided by the factor.
    Linear(f32),
    /// Llama-3: low frequencies divided by `factor`, high ones kept, a smooth passage between.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f32,
        /// Wavelengths above `original_context / low_frequency_factor` are divided.
        low_frequency_factor: f32,
        /// Wavelengths below `original_context / high_frequency_factor` are kept.
        high_frequency_factor: f32,
        /// Context length before the stretch.
        original_context: f32,
    },
    /// One divisor for each of the `head_dim / 2` frequencies (GGUF's `rope_freqs.weight`).
    Divisors(Vec<f32>),
}

impl LlamaConfig {
    /// The `config.json` of a folder with weights of this type.
    ///
    /// # Errors
    /// The rotary frequencies are stretched by a table, which `config.json` can't express.
    pub fn to_hugging_face(&self, dtype: crate::FloatType) -> Result<Value, Error> {
        let scaling = match &self.rope_scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear(factor) => json!({"rope_type": "linear", "factor": factor}),
            RopeScaling::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_context } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_frequency_factor,
                "high_freq_factor": high_frequency_factor,
                "original_max_position_embeddings": *original_context as u64,
            }),
            RopeScaling::Divisors(_) => {
                return Err(Error::Invalid(
                    "the GGUF file has a table of rotary divisors, which config.json can't express: export to GGUF, or start from the original folder".into(),
                ));
            }
        };
        let architecture = if self.sliding_window.is_some() { "MistralForCausalLM" } else { "LlamaForCausalLM" };
        Ok(json!({
            "architectures": [architecture],
            "model_type": if self.sliding_window.is_some() { "mistral" } else { "llama" },
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_value_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocabulary_size,
            "max_position_embeddings": self.context_length,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": scaling,
            "sliding_window": self.sliding_window,
            "attention_bias": self.attention_bias,
            "mlp_bias": self.mlp_bias,
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied_head,
            "torch_dtype": dtype.torch_name(),
        }))
    }

    /// Reads `config.json` in the layout of transformers 4 or 5.
    ///
    /// # Errors
    /// The file can't be read, is not JSON, lacks a field, or names an architecture or a rotary scaling that is not
    /// supported.
    pub fn from_hugging_face(path: &Path) -> Result<Self, Error> {
        let text = crate::input_file::read_text(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let json: Value = serde_json::from_str(&text)
            .map_err(|error| Error::Format { path: path.into(), problem: format!("not a JSON file: {error}") })?;
        Self::from_hugging_face_json(&json, path)
    }

    fn from_hugging_face_json(json: &Value, path: &Path) -> Result<Self, Error> {
        let architecture = json["architectures"][0].as_str().or(json["model_type"].as_str()).unwrap_or("(none named)");
        let fields = Fields { json, path };
        let sliding_window = match architecture {
            "LlamaForCausalLM" | "llama" => None,
            "MistralForCausalLM" | "mistral" => fields.optional_size("sliding_window")?,
            other => return Err(Error::Architecture { path: path.into(), architecture: other.into() }),
        };
        if let Some(activation) = json["hidden_act"].as_str().filter(|name| *name != "silu") {
            return Err(fields.problem(format!("hidden_act `{activation}` is not supported (expected silu)")));
        }
        let hidden_size = fields.size("hidden_size")?;
        let heads = fields.size("num_attention_heads")?;
        let head_dim = match fields.optional_size("head_dim")? {
            Some(dim) => dim,
            None => hidden_size / heads.max(1),
        };
        let config = Self {
            hidden_size,
            intermediate_size: fields.size("intermediate_size")?,
            layers: fields.size("num_hidden_layers")?,
            heads,
            key_value_heads: fields.optional_size("num_key_value_heads")?.unwrap_or(heads),
            head_dim,
            vocabulary_size: fields.size("vocab_size")?,
            context_length: fields.optional_size("max_position_embeddings")?.unwrap_or(2048),
            rms_norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: fields
                .number("rope_theta")?
                .or_else(|| json["rope_parameters"]["rope_theta"].as_f64().map(|theta| theta as f32))
                .unwrap_or(10_000.0),
            rope_scaling: fields.rope_scaling()?,
            sliding_window,
            tied_head: json["tie_word_embeddings"].as_bool().unwrap_or(false),
            attention_bias: json["attention_bias"].as_bool().unwrap_or(false),
            mlp_bias: json["mlp_bias"].as_bool().unwrap_or(false),
        };
        config.check().map_err(|problem| fields.problem(problem))?;
        Ok(config)
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn check(&self) -> Result<(), String> {
        let sizes = [
            ("hidden size", self.hidden_size),
            ("intermediate size", self.intermediate_size),
            ("layers", self.layers),
            ("heads", self.heads),
            ("key/value heads", self.key_value_heads),
            ("head width", self.head_dim),
            ("vocabulary", self.vocabulary_size),
            ("context length", self.context_length),
        ];
        for (name, value) in sizes {
            if value == 0 || value > 1 << 28 {
                return Err(format!("{name} is {value}"));
            }
        }
        if !self.heads.is_multiple_of(self.key_value_heads) {
            return Err(format!("{} heads can't share {} key/value heads", self.heads, self.key_value_heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(format!("head width {} is odd", self.head_dim));
        }
        if self.sliding_window == Some(0) {
            return Err("a sliding window of 0 positions".into());
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return Err(format!("rope_theta is {}", self.rope_theta));
        }
        Ok(())
    }

    /// Rotary frequencies, `head_dim / 2` of them, in radians per position.
    pub fn rope_frequencies(&self) -> Vec<f32> {
        let plain = (0..self.head_dim / 2).map(|i| {
            let exponent = (2 * i) as f32 / self.head_dim as f32;
            1.0 / self.rope_theta.powf(exponent)
        });
        match &self.rope_scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear(factor) => plain.map(|frequency| frequency / factor).collect(),
            RopeScaling::Divisors(divisors) => {
                plain.zip(divisors).map(|(frequency, divisor)| frequency / divisor).collect()
            }
            RopeScaling::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_context } => plain
                .map(|frequency| {
                    let wavelength = 2.0 * std::f32::consts::PI / frequency;
                    if wavelength < original_context / high_frequency_factor {
                        frequency
                    } else if wavelength > original_context / low_frequency_factor {
                        frequency / factor
                    } else {
                        let smooth = (original_context / wavelength - low_frequency_factor)
                            / (high_frequency_factor - low_frequency_factor);
                        (1.0 - smooth) * frequency / factor + smooth * frequency
                    }
                })
                .collect(),
        }
    }

    /// Number of parameters of all weight matrices and norms.
    pub fn parameters(&self) -> u64 {
        let (hidden, heads, groups) = (self.hidden_size as u64, self.heads as u64, self.key_value_heads as u64);
        let attention = hidden * self.head_dim as u64 * (2 * heads + 2 * groups);
        let feed_forward = 3 * hidden * self.intermediate_size as u64;
        let embeddings = self.vocabulary_size as u64 * hidden * if self.tied_head { 1 } else { 2 };
        self.layers as u64 * (attention + feed_forward + 2 * hidden) + embeddings + hidden
    }
}

/// Reads fields with errors that name file and field.
struct Fields<'a> {
    json: &'a Value,
    path: &'a Path,
}

impl Fields<'_> {
    fn problem(&self, problem: impl Into<String>) -> Error {
        Error::Format { path: self.path.into(), problem: problem.into() }
    }

    fn size(&self, name: &str) -> Result<usize, Error> {
        self.optional_size(name)?.ok_or_else(|| self.problem(format!("the field `{name}` is missing")))
    }

    fn optional_size(&self, name: &str) -> Result<Option<usize>, Error> {
        match &self.json[name] {
            Value::Null => Ok(None),
            value => value
                .as_u64()
                .map(|value| Some(value as usize))
                .ok_or_else(|| self.problem(format!("the field `{name}` is {value}, expected a whole number"))),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f32>, Error> {
        match &self.json[name] {
            Value::Null => Ok(None),
            value => value
                .as_f64()
                .map(|value| Some(value as f32))
                .ok_or_else(|| self.problem(format!("the field `{name}` is {value}, expected a number"))),
        }
    }

    fn rope_scaling(&self) -> Result<RopeScaling, Error> {
        let scaling = match &self.json["rope_scaling"] {
            Value::Null => &self.json["rope_parameters"],
            given => given,
        };
        let number = |name: &str| {
            scaling[name]
                .as_f64()
                .map(|value| value as f32)
                .ok_or_else(|| self.problem(format!("the rotary scaling lacks the number `{name}`")))
        };
        match scaling["rope_type"].as_str().or(scaling["type"].as_str()) {
            None | Some("default") => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear(number("factor")?)),
            Some("llama3") => Ok(RopeScaling::Llama3 {
                factor: number("factor")?,
                low_frequency_factor: number("low_freq_factor")?,
                high_frequency_factor: number("high_freq_factor")?,
                original_context: number("original_max_position_embeddings")?,
            }),
            Some(other) => {
                Err(self
                    .problem(format!("rotary scaling `{other}` is not supported (supported: default, linear, llama3)")))
            }
        }
    }
}
