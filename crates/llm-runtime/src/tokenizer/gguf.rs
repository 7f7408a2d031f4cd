//! The vocabulary inside a GGUF file: `llama` (SentencePiece byte-pair) or `gpt2` (byte-level byte-pair).

use serde_json::{Value, json};

use super::vocabulary::{Piece, PieceKind, Pieces};
use super::{Ends, TokenizerError};

/// The `tokenizer.ggml.*` entries of a GGUF file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `llama` or `gpt2`.
    pub model: String,
    /// How `gpt2` kinds split text into words: `default`, `gpt-2`, `llama-bpe`, `qwen2` …
    pub pre: Option<String>,
    /// The pieces; the index is the id.
    pub tokens: Vec<String>,
    /// Their scores (`llama`); empty otherwise.
    pub scores: Vec<f32>,
    /// Their kinds: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. Empty means all normal.
    pub token_types: Vec<i32>,
    /// Pairs `left right` (`gpt2`), most important first; empty otherwise.
    pub merges: Vec<String>,
    /// Beginning of sequence.
    pub bos: Option<u32>,
    /// End of sequence.
    pub eos: Option<u32>,
    /// The unknown token.
    pub unk: Option<u32>,
    /// Further ends: end of turn, end of message.
    pub extra_eos: Vec<u32>,
    /// Whether plain texts begin with the beginning of sequence.
    pub add_bos: Option<bool>,
    /// Whether a blank is put before each text (`llama`).
    pub add_space_prefix: Option<bool>,
}

impl GgufVocabulary {
    pub(super) fn into_json(self) -> Result<(Value, Ends), TokenizerError> {
        self.check()?;
        let text = |id: Option<u32>| id.map(|id| self.tokens[id as usize].clone());
        let is_llama = self.model == "llama";
        let ends = Ends {
            bos: text(self.bos),
            eos: text(self.eos),
            adds_bos: Some(self.add_bos.unwrap_or(is_llama)),
            usual_names: false,
        };
        let json = match self.model.as_str() {
            "llama" => self.sentencepiece(),
            "gpt2" => self.byte_level()?,
            other => return Err(TokenizerError::Kind { kind: other.to_owned(), supported: "llama, gpt2" }),
        };
        Ok((json, ends))
    }

    fn check(&self) -> Result<(), TokenizerError> {
        let wrong = |problem: String| Err(TokenizerError::Vocabulary(problem));
        let count = self.tokens.len();
        if count == 0 {
            return wrong("it has no tokens".into());
        }
        if self.model == "llama" && self.scores.len() != count {
            return wrong(format!("{count} tokens, but {} scores", self.scores.len()));
        }
        if !self.token_types.is_empty() && self.token_types.len() != count {
            return wrong(format!("{count} tokens, but {} token types", self.token_types.len()));
        }
        for (name, id) in [("bos", self.bos), ("eos", self.eos), ("unknown", self.unk)] {
            if id.is_some_and(|id| id as usize >= count) {
                return wrong(format!("the {name} token is outside the {count} tokens"));
            }
        }
        Ok(())
    }

    fn kind(&self, id: usize) -> PieceKind {
        self.token_types.get(id).map_or(PieceKind::Normal, |number| PieceKind::from_number((*number).into()))
    }

    fn sentencepiece(&self) -> Value {
        let piece = |(id, text): (usize, &String)| Piece {
            text: text.clone(),
            score: self.scores[id],
            kind: if self.unk == Some(id as u32) { PieceKind::Unknown } else { self.kind(id) },
        };
        let pieces = self.tokens.iter().enumerate().map(piece).collect();
        Pieces { pieces, adds_space_prefix: self.add_space_prefix.unwrap_or(true) }.to_json()
    }

    fn byte_level(&self) -> Result<Value, TokenizerError> {
        let vocabulary: serde_json::Map<String, Value> =
            self.tokens.iter().enumerate().map(|(id, token)| (token.clone(), id.into())).collect();
        let merges = self
            .merges
            .iter()
            .map(|merge| match merge.split_once(' ') {
                Some((left, right)) if vocabulary.contains_key(&format!("{left}{right}")) => Ok([left, right]),
                _ => Err(TokenizerError::Vocabulary(format!("the merge `{merge}` does not give a token"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let added: Vec<Value> = self
            .tokens
            .iter()
            .enumerate()
            .filter(|(id, _)| matches!(self.kind(*id), PieceKind::Control | PieceKind::UserDefined))
            .map(|(id, token)| {
                json!({
                    "id": id, "content": token, "special": self.kind(id) == PieceKind::Control,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
                })
            })
            .collect();
        Ok(json!({
            "version": "1.0",
            "added_tokens": added,
            "normalizer": null,
            "pre_tokenizer": self.word_splitter()?,
            "post_processor": null,
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "ignore_merges": self.pre.as_deref() == Some("llama-bpe"), "vocab": vocabulary, "merges": merges},
        }))
    }

    /// How text is split into words before merging: the patterns of the models' own tokenisers.
    fn word_splitter(&self) -> Result<Value, TokenizerError> {
        const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
        let pattern = match self.pre.as_deref().unwrap_or("default") {
            "default" | "gpt-2" => {
                return Ok(
                    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}),
                );
            }
            "llama-bpe" | "llama3" | "llama-v3" => LLAMA_3,
            "qwen2" => QWEN_2,
            other => {
                return Err(TokenizerError::Kind {
                    kind: format!("gpt2 with the word splitter {other}"),
                    supported: "gpt2 with default, gpt-2, llama-bpe, qwen2",
                });
            }
        };
        Ok(json!({
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
            ],
        }))
    }
}
