//! Texts to the token ids that an encoder reads, framed by its first and last token.
//!
//! This is not [`llm_runtime::Tokenizer`], because encoders have other vocabularies (WordPiece, Unigram), frame what they read, cut it
//! to a length and never decode. What they share is that no text can become a control token: those are no part of what texts are
//! matched with.

use std::collections::HashMap;
use std::path::Path;

use llm_runtime::input_file;
use llm_runtime::tokenizer::{byte_level_json, read_merges, read_vocabulary, tokens_around};
use serde_json::{Map, Value, json};

use crate::config::Architecture;
use crate::{EncoderError, vocabulary};

const TOKENIZER_FILE: &str = "tokenizer.json";
const CONFIG_FILE: &str = "tokenizer_config.json";

/// A vocabulary with the rules to use it, and what stands before and behind a text.
#[derive(Clone)]
pub struct EncoderTokenizer {
    /// The whole file, to be written again.
    json: Value,
    /// `tokenizer_config.json`.
    config: Map<String, Value>,
    core: Core,
    first: u32,
    last: u32,
    padding: Option<u32>,
}

impl EncoderTokenizer {
    /// Reads the tokenizer of a Hugging Face folder: `tokenizer.json`; else `vocab.txt` (WordPiece), or `vocab.json` and `merges.txt`
    /// (RoBERTa's byte pairs).
    ///
    /// # Errors
    /// There is none of them, or a file is damaged or names no first and last token.
    pub fn open(folder: &Path) -> Result<Self, EncoderError> {
        let read = |name: &str| {
            let path = folder.join(name);
            path.is_file().then(|| std::fs::read(&path).map_err(EncoderError::io(&path))).transpose()
        };
        let config: Map<String, Value> = match read(CONFIG_FILE)? {
            Some(bytes) => parse(&folder.join(CONFIG_FILE), &bytes)?,
            None => Map::new(),
        };
        let text = |bytes: Vec<u8>, name: &str| {
            input_file::text_of(bytes).map_err(|error| EncoderError::format(&folder.join(name), error))
        };
        let (path, json) = match (read(TOKENIZER_FILE)?, read("vocab.txt")?, read("vocab.json")?, read("merges.txt")?) {
            (Some(bytes), ..) => {
                let path = folder.join(TOKENIZER_FILE);
                let json = parse(&path, &bytes)?;
                (path, json)
            }
            (None, Some(pieces), ..) => {
                let lower_case = config.get("do_lower_case").and_then(Value::as_bool).unwrap_or(true);
                (folder.join("vocab.txt"), vocabulary::word_piece_json(text(pieces, "vocab.txt")?.lines(), lower_case))
            }
            (None, None, Some(pieces), Some(merges)) => {
                let (path, merges_path) = (folder.join("vocab.json"), folder.join("merges.txt"));
                let pieces = parse(&path, &pieces)?;
                let pieces = read_vocabulary(&pieces).map_err(|problem| EncoderError::format(&path, problem))?;
                let merges = text(merges, "merges.txt")?;
                let json = read_merges(&merges).and_then(|merges| byte_level_json(&pieces, &merges));
                (path, json.map_err(|problem| EncoderError::format(&merges_path, problem))?)
            }
            _ => {
                let problem = "no tokenizer.json, no vocab.txt, and no vocab.json with merges.txt is here";
                return Err(EncoderError::format(folder, problem));
            }
        };
        Self::new(json, config).map_err(|problem| EncoderError::format(&path, problem))
    }

    /// A WordPiece tokenizer of BERT's kind for these pieces, the first of which are `[PAD] [UNK] [CLS] [SEP] [MASK]`.
    ///
    /// # Errors
    /// These five are not there.
    pub fn word_piece(pieces: &[String]) -> Result<Self, EncoderError> {
        let json = vocabulary::word_piece_json(pieces.iter().map(String::as_str), true);
        Self::new(json, vocabulary::word_piece_config()).map_err(EncoderError::Invalid)
    }

    fn new(json: Value, config: Map<String, Value>) -> Result<Self, String> {
        let frame = Frame::of(&json, &config);
        let core = Core::new(&json)?;
        let id = |what: &str, name: Option<&str>| {
            let name = name.ok_or_else(|| format!("it does not say which token stands {what} a text"))?;
            core.id(name)
                .ok_or_else(|| format!("the token `{name}`, which stands {what} a text, is not in the vocabulary"))
        };
        let first = id("before", frame.first.as_deref())?;
        let last = id("behind", frame.last.as_deref())?;
        let padding = frame.padding.as_deref().and_then(|name| core.id(name));
        Ok(Self { first, last, padding, json, config, core })
    }

    /// The ids of a text with the first and the last token around them, at most `longest` in all. What is too long loses its
    /// beginning, as the published classifier has it: how a response ends tells more.
    ///
    /// # Errors
    /// There is room for no token of the text, or the tokenizer's own rules fail on it.
    pub fn encode(&self, text: &str, longest: usize) -> Result<Vec<u32>, EncoderError> {
        let room = longest.checked_sub(2).filter(|room| *room > 0).ok_or_else(|| {
            EncoderError::Invalid(format!(
                "texts of at most {longest} tokens: at least 3 are needed, for what frames them"
            ))
        })?;
        let ids = self.core.encode(text)?;
        let kept = &ids[ids.len().saturating_sub(room)..];
        Ok([&[self.first], kept, &[self.last]].concat())
    }

    /// The ids of a text with nothing around them, for inputs of several parts.
    ///
    /// # Errors
    /// The tokenizer's own rules fail on the text.
    pub fn encode_part(&self, text: &str) -> Result<Vec<u32>, EncoderError> {
        self.core.encode(text)
    }

    /// The token that stands before a text (`[CLS]`).
    pub fn first(&self) -> u32 {
        self.first
    }

    /// The token that stands behind a text (`[SEP]`).
    pub fn last(&self) -> u32 {
        self.last
    }

    /// Adds tokens that texts are matched with as they stand (`<seeker>`); those that the vocabulary has are left out. Gives the number
    /// of new ones: the encoder needs as many more rows in its word embedding.
    ///
    /// # Errors
    /// A token is empty.
    pub fn add_tokens(&mut self, tokens: &[String]) -> Result<usize, EncoderError> {
        let mut added = 0;
        for token in tokens {
            if token.trim().is_empty() {
                return Err(EncoderError::Invalid("a token to be added is empty".into()));
            }
            if self.core.id(token).is_some() {
                continue;
            }
            let entry = json!({
                "id": self.vocabulary_size(), "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": false,
            });
            match self.json["added_tokens"].as_array_mut() {
                Some(entries) => entries.push(entry),
                None => self.json["added_tokens"] = json!([entry]),
            }
            self.core = Core::new(&self.json).map_err(EncoderError::Invalid)?;
            added += 1;
        }
        Ok(added)
    }

    /// One more than the largest id.
    pub fn vocabulary_size(&self) -> usize {
        self.core.largest_id as usize + 1
    }

    /// The token that fills batches up; not used here, where batches are not filled up.
    pub fn padding(&self) -> Option<u32> {
        self.padding
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json`. `longest` is noted as the model's limit.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path, architecture: Architecture, longest: usize) -> Result<(), EncoderError> {
        let class = match architecture {
            Architecture::Bert => "BertTokenizer",
            Architecture::Roberta => "RobertaTokenizer",
        };
        let mut config = self.config.clone();
        config.entry("tokenizer_class").or_insert_with(|| json!(class));
        config.insert("model_max_length".into(), json!(longest));
        config.insert("truncation_side".into(), json!("left"));
        for (name, value) in [(TOKENIZER_FILE, &self.json), (CONFIG_FILE, &Value::Object(config))] {
            let path = folder.join(name);
            std::fs::write(&path, format!("{value:#}\n")).map_err(EncoderError::io(&path))?;
        }
        Ok(())
    }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, EncoderError> {
    serde_json::from_slice(bytes)
        .map_err(|error| EncoderError::format(path, format!("not the JSON that is expected here: {error}")))
}

/// What stands around a text.
struct Frame {
    first: Option<String>,
    last: Option<String>,
    padding: Option<String>,
}

impl Frame {
    /// From the post-processor, else from the configuration, else by the usual names.
    fn of(json: &Value, config: &Map<String, Value>) -> Self {
        let (first, last) = tokens_around(&json["post_processor"]);
        let named = |key: &str| {
            let token = config.get(key)?;
            token.as_str().or_else(|| token["content"].as_str()).map(str::to_owned)
        };
        let is_known = |name: &str| {
            let added = json["added_tokens"].as_array().into_iter().flatten();
            !json["model"]["vocab"][name].is_null() || added.into_iter().any(|token| token["content"] == name)
        };
        let usual = |names: [&str; 2]| names.into_iter().find(|name| is_known(name)).map(str::to_owned);
        Self {
            first: first.or_else(|| named("cls_token")).or_else(|| usual(["[CLS]", "<s>"])),
            last: last.or_else(|| named("sep_token")).or_else(|| usual(["[SEP]", "</s>"])),
            padding: named("pad_token").or_else(|| usual(["[PAD]", "<pad>"])),
        }
    }
}

/// Encodes plain text.
#[derive(Clone)]
struct Core {
    tokenizer: tokenizers::Tokenizer,
    /// Control tokens, which no text may become, with what stands for them if one does.
    control: HashMap<String, u32>,
    replaced: HashMap<u32, u32>,
    largest_id: u32,
}

impl Core {
    /// The file's tokenizer without control tokens, post-processing, truncation and padding.
    fn new(json: &Value) -> Result<Self, String> {
        let entries = match &json["added_tokens"] {
            Value::Null => [].as_slice(),
            entries => entries.as_array().map(Vec::as_slice).ok_or("`added_tokens` is no list")?,
        };
        let mut control = HashMap::new();
        let mut ordinary = Vec::new();
        for entry in entries {
            let id = entry["id"].as_u64().and_then(|id| u32::try_from(id).ok());
            let (Some(id), Some(content)) = (id, entry["content"].as_str()) else {
                return Err(format!("`added_tokens` has {entry}: expected an object with `id` and `content`"));
            };
            match entry["special"] == true {
                true => drop(control.insert(content.to_owned(), id)),
                false => ordinary.push((content.to_owned(), id, entry.clone())),
            }
        }
        let mut plain = json.clone();
        let fields = plain.as_object_mut().ok_or("not a tokenizer.json: expected an object")?;
        for name in ["post_processor", "truncation", "padding"] {
            fields.insert(name.into(), Value::Null);
        }
        fields.insert("added_tokens".into(), ordinary.iter().map(|(_, _, entry)| entry.clone()).collect());
        let bytes = serde_json::to_vec(&plain).map_err(|error| error.to_string())?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|error| format!("not a tokenizer.json that can be used: {error}"))?;
        Ok(Self::assemble(tokenizer, control, ordinary))
    }

    fn assemble(
        tokenizer: tokenizers::Tokenizer,
        control: HashMap<String, u32>,
        ordinary: Vec<(String, u32, Value)>,
    ) -> Self {
        let mut replaced = HashMap::new();
        // Without the control tokens before them, the library may have numbered added tokens anew.
        for (content, id, _) in &ordinary {
            if let Some(other) = tokenizer.token_to_id(content).filter(|other| other != id) {
                replaced.insert(other, *id);
            }
        }
        let vocabulary = tokenizer.get_vocab(false);
        let unknown = ["[UNK]", "<unk>"].into_iter().find_map(|name| vocabulary.get(name).or(control.get(name)));
        for (content, id) in &control {
            if let (Some(own), Some(unknown)) = (vocabulary.get(content), unknown)
                && own != unknown
            {
                replaced.insert(*id, *unknown);
            }
        }
        let ids = vocabulary.values().chain(control.values()).chain(ordinary.iter().map(|(_, id, _)| id));
        let largest_id = ids.copied().max().unwrap_or(0);
        Self { tokenizer, control, replaced, largest_id }
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>, EncoderError> {
        let encoding =
            self.tokenizer.encode_fast(text, false).map_err(|error| EncoderError::Tokenize(error.to_string()))?;
        Ok(encoding.get_ids().iter().map(|id| self.replaced.get(id).copied().unwrap_or(*id)).collect())
    }

    /// The id of a token, control tokens included.
    fn id(&self, token: &str) -> Option<u32> {
        self.control.get(token).copied().or_else(|| self.tokenizer.token_to_id(token))
    }
}
