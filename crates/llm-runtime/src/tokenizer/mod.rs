//! Tokenisers: `tokenizer.json`, SentencePiece's `tokenizer.model`, and the vocabulary inside a GGUF file.
//!
//! All three become a model of the `tokenizers` library without its control tokens: those are found by [`ControlTokens`], and only
//! where the caller allows it. So what a user writes can't become a control token, however it looks.

mod control;
mod gguf;
mod sentencepiece;
mod stream;
mod vocabulary;

use std::ops::Range;

use serde_json::Value;
use tokenizers::Tokenizer as Core;

pub use gguf::GgufVocabulary;
pub use stream::DecodeStream;

use self::control::{ControlToken, ControlTokens};

/// What can be wrong with a tokeniser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// `tokenizer.json` or `tokenizer_config.json` is not what it should be.
    #[error("not a tokenizer file: {0}")]
    Format(String),
    /// A SentencePiece file is damaged.
    #[error("not a SentencePiece model: {0}")]
    SentencePiece(String),
    /// A vocabulary inside a GGUF file does not fit together.
    #[error("the vocabulary in the file is damaged: {0}")]
    Vocabulary(String),
    /// A kind of tokeniser that is not supported.
    #[error("the tokenizer is of the kind `{kind}`, which is not supported (supported: {supported})")]
    Kind {
        /// What was found.
        kind: String,
        /// What would work.
        supported: &'static str,
    },
    /// A text could not be tokenised.
    #[error("the text could not be tokenised: {0}")]
    Encode(String),
}

/// Token ids and the bytes of the text that each stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Byte ranges of the text, as many as ids and never going back. Byte tokens of one character share its range; a
    /// beginning-of-sequence token that was added has an empty one.
    pub offsets: Vec<Range<usize>>,
}

/// A tokeniser.
pub struct Tokenizer {
    core: Core,
    control: ControlTokens,
    bos: Option<u32>,
    bos_token: String,
    eos: Vec<u32>,
    eos_token: String,
    adds_bos: bool,
    /// Whether bytes outside the vocabulary are tokens `<0x00>` … `<0xFF>`.
    byte_fallback: bool,
    vocabulary_size: usize,
}

/// The texts of the tokens that begin and end a sequence, as the model's files name them.
#[derive(Debug)]
struct Ends {
    bos: Option<String>,
    eos: Option<String>,
    adds_bos: Option<bool>,
    /// Where the files name none, a control token with a usual name serves.
    usual_names: bool,
}

const USUAL_BOS: [&str; 2] = ["<s>", "<|begin_of_text|>"];
const USUAL_EOS: [&str; 5] = ["</s>", "<|eot_id|>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>"];

impl Tokenizer {
    /// From `tokenizer.json` and, if there is one, `tokenizer_config.json`.
    ///
    /// # Errors
    /// A file is not what it should be.
    pub fn from_tokenizer_json(bytes: &[u8], config: Option<&str>) -> Result<Self, TokenizerError> {
        let format = |error: &dyn std::fmt::Display| TokenizerError::Format(error.to_string());
        let json: Value = serde_json::from_slice(bytes).map_err(|error| format(&error))?;
        let config: Value = match config {
            Some(text) => serde_json::from_str(text)
                .map_err(|error| TokenizerError::Format(format!("tokenizer_config.json: {error}")))?,
            None => Value::Null,
        };
        Self::from_json(json, ends(&config))
    }

    /// From SentencePiece's `tokenizer.model` (byte-pair models).
    ///
    /// # Errors
    /// The bytes are damaged, or the model is of another kind.
    pub fn from_sentencepiece(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let model = sentencepiece::read(bytes)?;
        let ends = Ends {
            bos: model.bos.clone(),
            eos: model.eos.clone(),
            adds_bos: Some(model.bos.is_some()),
            usual_names: false,
        };
        Self::from_json(model.pieces.to_json(), ends)
    }

    /// From the vocabulary inside a GGUF file, of the kind `llama` (SentencePiece) or `gpt2` (byte-level).
    ///
    /// # Errors
    /// The vocabulary does not fit together, or is of another kind.
    pub fn from_gguf(vocabulary: GgufVocabulary) -> Result<Self, TokenizerError> {
        let size = vocabulary.tokens.len();
        let extra = vocabulary.extra_eos.clone();
        let (json, ends) = vocabulary.into_json()?;
        let mut tokenizer = Self::from_json(json, ends)?;
        tokenizer.eos.extend(extra.into_iter().filter(|id| (*id as usize) < size));
        tokenizer.vocabulary_size = size;
        Ok(tokenizer)
    }

    fn from_json(mut json: Value, ends: Ends) -> Result<Self, TokenizerError> {
        let control = take_control_tokens(&mut json)?;
        let text = json.to_string();
        let adds_bos = ends.adds_bos.unwrap_or_else(|| text.contains("TemplateProcessing"));
        json["post_processor"] = Value::Null;
        json["truncation"] = Value::Null;
        json["padding"] = Value::Null;
        let core = Core::from_bytes(json.to_string()).map_err(|error| TokenizerError::Format(error.to_string()))?;
        let control = ControlTokens::new(control);
        let usual = |names: &[&str]| ends.usual_names.then(|| control.first_of(names)).flatten();
        let bos_token = ends.bos.clone().or_else(|| usual(&USUAL_BOS)).unwrap_or_default();
        let eos_token = ends.eos.clone().or_else(|| usual(&USUAL_EOS)).unwrap_or_default();
        let id = |token: &str| control.id(token).or_else(|| core.token_to_id(token));
        let (bos, eos) = (id(&bos_token), id(&eos_token).into_iter().collect());
        let vocabulary_size = vocabulary_size(&core, &control);
        let byte_fallback = text.contains("ByteFallback");
        let adds_bos = adds_bos && bos.is_some();
        Ok(Self { core, control, bos, bos_token, eos, eos_token, adds_bos, byte_fallback, vocabulary_size })
    }

    /// Tokens of a plain text. What looks like a control token stays text; nothing is added.
    ///
    /// # Errors
    /// The text can't be tokenised.
    pub fn encode(&self, text: &str) -> Result<Encoding, TokenizerError> {
        let mut encoding = Encoding::default();
        self.encode_plain(text, 0, &mut encoding)?;
        Ok(encoding)
    }

    /// As [`Self::encode`], after the beginning-of-sequence token if there is one.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_with_bos(&self, text: &str) -> Result<Encoding, TokenizerError> {
        let ids: Vec<u32> = self.bos.into_iter().collect();
        let mut encoding = Encoding { offsets: vec![0..0; ids.len()], ids };
        self.encode_plain(text, 0, &mut encoding)?;
        Ok(encoding)
    }

    /// Tokens of a rendered chat: control tokens become single ids unless they touch one of the `protected` byte ranges. The text
    /// between two control tokens is tokenised by itself. Nothing is added: the template writes the beginning of sequence.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_rendered(&self, text: &str, protected: &[Range<usize>]) -> Result<Encoding, TokenizerError> {
        let mut encoding = Encoding::default();
        let mut from = 0;
        for (range, id) in self.control.find(text, protected) {
            self.encode_plain(&text[from..range.start], from, &mut encoding)?;
            encoding.ids.push(id);
            from = range.end;
            encoding.offsets.push(range);
        }
        self.encode_plain(&text[from..], from, &mut encoding)?;
        Ok(encoding)
    }

    fn encode_plain(&self, text: &str, start: usize, encoding: &mut Encoding) -> Result<(), TokenizerError> {
        // An empty text has no tokens; a prefix rule of the library could add one.
        if text.is_empty() {
            return Ok(());
        }
        let found = self.core.encode(text, false).map_err(|error| TokenizerError::Encode(error.to_string()))?;
        encoding.ids.extend_from_slice(found.get_ids());
        encoding.offsets.extend(found.get_offsets().iter().map(|(from, to)| start + from..start + to));
        Ok(())
    }

    /// The text of tokens, control tokens left out. Ids outside the vocabulary are left out as well.
    pub fn decode_text(&self, ids: &[u32]) -> String {
        let plain: Vec<u32> = ids.iter().copied().filter(|id| !self.control.contains(*id)).collect();
        // The library fails only for decoders that need what the vocabulary lacks; there is no text then.
        self.core.decode(&plain, false).unwrap_or_default()
    }

    /// Decodes tokens one by one.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream::new(self)
    }

    /// The text of one token as the vocabulary has it, e.g. `▁the` or `<0x0A>`.
    pub fn piece(&self, id: u32) -> Option<String> {
        self.control.text(id).map(str::to_owned).or_else(|| self.core.id_to_token(id))
    }

    /// The id of a token by its text in the vocabulary.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.control.id(piece).or_else(|| self.core.token_to_id(piece))
    }

    /// The beginning-of-sequence token.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// Its text; empty if there is none.
    pub fn bos_token(&self) -> &str {
        &self.bos_token
    }

    /// Tokens that end a sequence.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// The text of the first of them; empty if there is none.
    pub fn eos_token(&self) -> &str {
        &self.eos_token
    }

    /// Whether plain texts begin with the beginning-of-sequence token.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// One more than the highest id.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary_size
    }

    /// Whether the id stands for a single byte, so that the text is not known before its neighbours are.
    fn is_byte(&self, id: u32) -> bool {
        self.byte_fallback
            && self
                .core
                .id_to_token(id)
                .is_some_and(|piece| piece.len() == 6 && piece.starts_with("<0x") && piece.ends_with('>'))
    }

    fn is_control(&self, id: u32) -> bool {
        self.control.contains(id)
    }
}

fn vocabulary_size(core: &Core, control: &ControlTokens) -> usize {
    let highest = core.get_vocab(true).into_values().max().into_iter().chain(control.ids()).max();
    highest.map_or(0, |highest| highest as usize + 1)
}

/// Takes the special added tokens out of a `tokenizer.json`. Other added tokens are ordinary vocabulary and stay.
fn take_control_tokens(json: &mut Value) -> Result<Vec<ControlToken>, TokenizerError> {
    let Some(added) = json["added_tokens"].as_array_mut() else { return Ok(Vec::new()) };
    let mut control = Vec::new();
    let mut wrong = None;
    added.retain(|token| {
        if token["special"].as_bool() != Some(true) {
            return true;
        }
        match (token["content"].as_str(), token["id"].as_u64().and_then(|id| u32::try_from(id).ok())) {
            (Some(text), Some(id)) => control.push(ControlToken {
                text: text.to_owned(),
                id,
                strips_left: token["lstrip"].as_bool().unwrap_or(false),
                strips_right: token["rstrip"].as_bool().unwrap_or(false),
            }),
            _ => wrong = Some(token.to_string()),
        }
        false
    });
    match wrong {
        Some(token) => Err(TokenizerError::Format(format!("an added token lacks `id` or `content`: {token}"))),
        None => Ok(control),
    }
}

/// What `tokenizer_config.json` says of the ends of a sequence. A token is a text or an object with `content`.
fn ends(config: &Value) -> Ends {
    let text = |value: &Value| value.as_str().or(value["content"].as_str()).map(str::to_owned);
    Ends {
        bos: text(&config["bos_token"]),
        eos: text(&config["eos_token"]),
        adds_bos: config["add_bos_token"].as_bool(),
        usual_names: true,
    }
}
