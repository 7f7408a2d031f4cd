//! How a model's own files want texts to be generated.

use std::path::Path;

use llm_runtime::EarlyStopping;
use serde_json::{Map, Value, json};

use crate::Seq2SeqError;
use crate::fields::Fields;

/// What `generation_config.json` says, or the same fields of `config.json` in folders that are older than that file.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationDefaults {
    /// The decoder's first token.
    pub decoder_start_id: u32,
    /// The only token that may follow the first one.
    pub forced_bos_id: Option<u32>,
    /// The only token that may stand at the last place.
    pub forced_eos_id: Option<u32>,
    /// Tokens of the longest output, the decoder's first token included.
    pub max_length: Option<usize>,
    /// Tokens of the shortest output, the decoder's first token included.
    pub min_length: Option<usize>,
    /// Beams of beam search; 1 is greedy.
    pub beam_width: Option<usize>,
    /// Power of the length by which hypotheses' scores are divided.
    pub length_penalty: Option<f64>,
    /// Length of the n-grams that stand once.
    pub no_repeat_ngram_size: Option<usize>,
    /// When beam search ends.
    pub early_stopping: Option<EarlyStopping>,
    /// What else the file says; it is written again.
    pub other: Map<String, Value>,
}

impl Default for GenerationDefaults {
    fn default() -> Self {
        Self {
            decoder_start_id: 2,
            forced_bos_id: None,
            forced_eos_id: Some(2),
            max_length: None,
            min_length: None,
            beam_width: None,
            length_penalty: None,
            no_repeat_ngram_size: None,
            early_stopping: None,
            other: Map::new(),
        }
    }
}

/// The file of a folder that tells how to generate.
pub(crate) const GENERATION_FILE: &str = "generation_config.json";

impl GenerationDefaults {
    /// Fields of `config.json` that belong here.
    pub(crate) const FIELDS: &[&str] = &[
        "forced_bos_token_id",
        "forced_eos_token_id",
        "max_length",
        "min_length",
        "num_beams",
        "length_penalty",
        "no_repeat_ngram_size",
        "early_stopping",
    ];

    /// From the folder's own file, else from `config`; there transformers' classes force the token 2 at the end where the field is missing.
    pub(crate) fn read(folder: &Path, config: &Fields<'_>, start_id: u32) -> Result<Self, Seq2SeqError> {
        let path = folder.join(GENERATION_FILE);
        let start_id = config.id("decoder_start_token_id")?.unwrap_or(start_id);
        if !path.is_file() {
            let mut found = Self::parse(config, start_id, &[])?;
            found.other = Map::new();
            if !config.has("forced_eos_token_id") {
                found.forced_eos_id = Some(2);
            }
            return Ok(found);
        }
        let json = Fields::read(&path)?;
        Self::parse(&Fields { path: &path, json: &json }, start_id, &OWN_FIELDS)
    }

    fn parse(fields: &Fields<'_>, start_id: u32, own: &[&str]) -> Result<Self, Seq2SeqError> {
        Ok(Self {
            decoder_start_id: fields.id("decoder_start_token_id")?.unwrap_or(start_id),
            forced_bos_id: fields.id("forced_bos_token_id")?,
            forced_eos_id: fields.id("forced_eos_token_id")?,
            max_length: fields.optional_size("max_length")?,
            min_length: fields.optional_size("min_length")?,
            beam_width: fields.optional_size("num_beams")?,
            length_penalty: fields.optional_number("length_penalty")?,
            no_repeat_ngram_size: fields.optional_size("no_repeat_ngram_size")?,
            early_stopping: match &fields.json["early_stopping"] {
                Value::Null => None,
                Value::Bool(true) => Some(EarlyStopping::Yes),
                Value::Bool(false) => Some(EarlyStopping::No),
                Value::String(never) if never == "never" => Some(EarlyStopping::Never),
                other => {
                    let problem = format!("`early_stopping` is {other}: expected true, false or \"never\"");
                    return Err(fields.problem(problem));
                }
            },
            other: fields.other(own, Self::FIELDS),
        })
    }

    /// `generation_config.json` as transformers reads it, with the model's own ids.
    pub(crate) fn to_hugging_face(&self, pad_id: u32, bos_id: u32, eos_id: u32) -> Value {
        let mut json = json!({
            "pad_token_id": pad_id,
            "bos_token_id": bos_id,
            "eos_token_id": eos_id,
            "decoder_start_token_id": self.decoder_start_id,
        });
        let early_stopping = self.early_stopping.map(|choice| match choice {
            EarlyStopping::Yes => json!(true),
            EarlyStopping::No => json!(false),
            EarlyStopping::Never => json!("never"),
        });
        let optional = [
            ("forced_bos_token_id", self.forced_bos_id.map(|id| json!(id))),
            ("forced_eos_token_id", self.forced_eos_id.map(|id| json!(id))),
            ("max_length", self.max_length.map(|length| json!(length))),
            ("min_length", self.min_length.map(|length| json!(length))),
            ("num_beams", self.beam_width.map(|width| json!(width))),
            ("length_penalty", self.length_penalty.map(|penalty| json!(penalty))),
            ("no_repeat_ngram_size", self.no_repeat_ngram_size.map(|size| json!(size))),
            ("early_stopping", early_stopping),
        ];
        if let Some(fields) = json.as_object_mut() {
            let given = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            fields.extend(given);
            for (name, value) in &self.other {
                fields.entry(name).or_insert_with(|| value.clone());
            }
        }
        json
    }
}

/// Fields of `generation_config.json` that are written from elsewhere.
const OWN_FIELDS: [&str; 4] = ["pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"];
