//! BART's tokenizer: GPT-2's byte pairs, which spell every text.

use llm_runtime::Tokenizer;
use llm_runtime::tokenizer::{TokenizerError, tokens_around};
use serde_json::{Value, json};

use super::SpecialText;
use super::added::AddedToken;

/// `tokenizer.json`, and what encodes and decodes by it.
#[derive(Clone)]
pub(super) struct ByteLevel {
    json: Value,
    tokenizer: Tokenizer,
}

impl ByteLevel {
    /// Takes a `tokenizer.json` whose list of added tokens is replaced by `added`.
    pub(super) fn new(mut json: Value, added: &[AddedToken]) -> Result<Self, TokenizerError> {
        json["added_tokens"] = json!(added);
        let tokenizer = Tokenizer::from_tokenizer_json(json.to_string().as_bytes(), None)?;
        Ok(Self { json, tokenizer })
    }

    /// The same with other added tokens.
    pub(super) fn with_added(&self, added: &[AddedToken]) -> Result<Self, TokenizerError> {
        Self::new(self.json.clone(), added)
    }

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The whole file.
    pub(super) fn json(&self) -> &Value {
        &self.json
    }

    /// The tokens that the file puts around a text.
    pub(super) fn around(&self) -> Option<(String, String)> {
        let (first, last) = tokens_around(&self.json["post_processor"]);
        first.zip(last)
    }

    /// Appends the ids of a text.
    pub(super) fn encode(&self, text: &str, special: SpecialText, ids: &mut Vec<u32>) -> Result<(), TokenizerError> {
        let encoding = match special {
            SpecialText::IsText => self.tokenizer.encode(text)?,
            SpecialText::IsToken => self.tokenizer.encode_rendered(text, &[])?,
        };
        ids.extend(encoding.ids);
        Ok(())
    }
}
