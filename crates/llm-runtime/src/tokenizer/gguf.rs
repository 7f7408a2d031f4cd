//! The vocabulary inside a GGUF file (`tokenizer.ggml.*`): SentencePiece's (`llama`) or byte-level BPE (`gpt2`).

use sha2::{Digest, Sha256};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::bpe::{CoreParts, DummyPrefix};
use super::control::ControlToken;
use super::sentencepiece_bpe::{self, Piece, PieceType, Preparation};
use super::{Assembly, Spelling, Tokenizer, TokenizerError, Vocabulary};
use crate::sha256::hex;

/// What a GGUF file says about its tokenizer, key by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GgufVocabulary {
    /// `tokenizer.ggml.model`: `llama` or `gpt2`.
    pub model: String,
    /// `tokenizer.ggml.pre`: the pre-tokeniser of a `gpt2` vocabulary.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`: the pieces in the order of their ids.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`, one per token; needed by `llama`.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.token_type`, one per token, or empty: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused,
    /// 6 byte.
    pub token_types: Vec<i32>,
    /// `tokenizer.ggml.merges`: `left right`, the most important first; needed by `gpt2`.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<u32>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<u32>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unk: Option<u32>,
    /// Other tokens that end a text: `tokenizer.ggml.eot_token_id`, `tokenizer.ggml.eom_token_id`.
    pub extra_eos: Vec<u32>,
    /// `tokenizer.ggml.add_bos_token`; by default `llama` adds one, `gpt2` only with the pre-tokeniser `llama-bpe`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`; by default only `llama` adds one.
    pub add_space_prefix: Option<bool>,
}

impl Tokenizer {
    /// Builds a tokenizer from the vocabulary inside a GGUF file.
    ///
    /// # Errors
    /// The kind or the pre-tokeniser is unknown, arrays differ in length, or an id is outside the vocabulary.
    pub fn from_gguf(vocabulary: GgufVocabulary) -> Result<Self, TokenizerError> {
        vocabulary.check()?;
        match vocabulary.model.as_str() {
            "llama" => sentencepiece(&vocabulary),
            "gpt2" => byte_level(&vocabulary),
            other => Err(TokenizerError::Unsupported {
                what: "GGUF vocabulary (`tokenizer.ggml.model`)",
                found: other.into(),
                supported: "llama, gpt2",
            }),
        }
    }
}

impl GgufVocabulary {
    fn check(&self) -> Result<(), TokenizerError> {
        let size = self.tokens.len();
        if size == 0 {
            return Err(TokenizerError::field("tokenizer.ggml.tokens", "no tokens"));
        }
        for (key, length) in [("scores", self.scores.len()), ("token_type", self.token_types.len())] {
            if length != 0 && length != size {
                let problem = format!("{length} entries for {size} tokens: the file is damaged");
                return Err(TokenizerError::field(format!("tokenizer.ggml.{key}"), problem));
            }
        }
        let ids = [("bos_token_id", self.bos), ("eos_token_id", self.eos), ("unknown_token_id", self.unk)];
        let extra = self.extra_eos.iter().map(|id| ("eot_token_id", Some(*id)));
        for (key, id) in ids.into_iter().chain(extra) {
            if let Some(id) = id.filter(|id| *id as usize >= size) {
                let problem = format!("id {id} is outside the vocabulary of {size} tokens");
                return Err(TokenizerError::field(format!("tokenizer.ggml.{key}"), problem));
            }
        }
        Ok(())
    }

    /// The kind of each token; those that have a special role are control tokens, whatever the file says.
    fn kinds(&self) -> Result<Vec<PieceType>, TokenizerError> {
        let mut kinds = vec![PieceType::Normal; self.tokens.len()];
        for (number, (kind, code)) in kinds.iter_mut().zip(&self.token_types).enumerate() {
            *kind = PieceType::from_number(*code).ok_or_else(|| {
                TokenizerError::field(
                    format!("tokenizer.ggml.token_type[{number}]"),
                    format!("{code} (expected 1 to 6)"),
                )
            })?;
        }
        for id in [self.bos, self.eos].into_iter().flatten().chain(self.extra_eos.iter().copied()) {
            kinds[id as usize] = PieceType::Control;
        }
        Ok(kinds)
    }

    fn eos(&self) -> Vec<u32> {
        let mut eos: Vec<u32> = Vec::new();
        for id in self.eos.iter().chain(&self.extra_eos) {
            if !eos.contains(id) {
                eos.push(*id);
            }
        }
        eos
    }

    fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        add(self.model.as_bytes());
        add(self.pre.as_deref().unwrap_or_default().as_bytes());
        self.tokens.iter().chain(&self.merges).for_each(|text| add(text.as_bytes()));
        self.scores.iter().for_each(|score| add(&score.to_le_bytes()));
        self.token_types.iter().for_each(|kind| add(&kind.to_le_bytes()));
        add(format!("{:?}", (self.bos, self.eos, self.unk, &self.extra_eos, self.add_bos, self.add_space_prefix))
            .as_bytes());
        hex(&hash.finalize())
    }
}

/// The `llama` kind.
fn sentencepiece(vocabulary: &GgufVocabulary) -> Result<Tokenizer, TokenizerError> {
    if vocabulary.scores.is_empty() {
        return Err(TokenizerError::field(
            "tokenizer.ggml.scores",
            "missing, but a `llama` vocabulary merges by score",
        ));
    }
    let kinds = vocabulary.kinds()?;
    let texts = vocabulary.tokens.iter().zip(&vocabulary.scores).zip(&kinds);
    let pieces: Vec<Piece> =
        texts.map(|((text, score), kind)| Piece { text: text.clone(), score: *score, kind: *kind }).collect();
    let unk = vocabulary.unk.or_else(|| {
        let unknown = kinds.iter().position(|kind| *kind == PieceType::Unknown)?;
        u32::try_from(unknown).ok()
    });
    let add_dummy_prefix = vocabulary.add_space_prefix.unwrap_or(true);
    let preparation = Preparation { add_dummy_prefix, remove_extra_whitespaces: false };
    let (pieces, control, parts) = sentencepiece_bpe::assemble(&pieces, unk, preparation)?;
    Tokenizer::assemble(Assembly {
        spelling: Spelling::SentencePiece { strip_first_blank: add_dummy_prefix },
        vocabulary: pieces,
        control,
        parts,
        bos: vocabulary.bos,
        eos: vocabulary.eos(),
        unk,
        adds_bos: vocabulary.add_bos.unwrap_or(true) && vocabulary.bos.is_some(),
        sha256: vocabulary.sha256(),
        ..Assembly::default()
    })
}

/// The `gpt2` kind.
fn byte_level(vocabulary: &GgufVocabulary) -> Result<Tokenizer, TokenizerError> {
    let words = WordSplitting::named(vocabulary.pre.as_deref())?;
    let mut pieces = Vocabulary::default();
    let mut control = Vec::new();
    let mut added = Vec::new();
    for ((id, text), kind) in (0u32..).zip(&vocabulary.tokens).zip(vocabulary.kinds()?) {
        pieces.insert(id, text);
        if kind.is_control() {
            control.push(ControlToken::new(id, text));
        } else if kind == PieceType::UserDefined && !text.is_empty() {
            added.push(AddedToken::from(text.clone(), false).normalized(false));
        }
    }
    let add_prefix_space = vocabulary.add_space_prefix.unwrap_or(false);
    let parts = CoreParts {
        merges: split_merges(&vocabulary.merges)?,
        ignore_merges: words == WordSplitting::Llama3,
        normalizer: (words == WordSplitting::Qwen2).then(|| NFC.into()),
        pre_tokenizer: Some(words.pre_tokenizer(add_prefix_space)?),
        added,
        prefix: add_prefix_space.then_some(DummyPrefix { piece: "Ġ", unless_before: &[' '] }),
        ..CoreParts::default()
    };
    let adds_bos = vocabulary.add_bos.unwrap_or(words == WordSplitting::Llama3);
    Tokenizer::assemble(Assembly {
        spelling: Spelling::ByteLevel,
        vocabulary: pieces,
        control,
        parts,
        bos: vocabulary.bos,
        eos: vocabulary.eos(),
        unk: vocabulary.unk,
        adds_bos: adds_bos && vocabulary.bos.is_some(),
        sha256: vocabulary.sha256(),
        ..Assembly::default()
    })
}

fn split_merges(merges: &[String]) -> Result<Vec<(String, String)>, TokenizerError> {
    let split = |(number, merge): (usize, &String)| {
        // A piece may itself be a blank only in damaged files: byte-level pieces write blanks as `Ġ`.
        merge.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned())).ok_or_else(|| {
            TokenizerError::field(
                format!("tokenizer.ggml.merges[{number}]"),
                format!("`{merge}` (expected two pieces with a blank between them)"),
            )
        })
    };
    merges.iter().enumerate().map(split).collect()
}

/// How a text is cut into words before merging. The regular expressions are the models' own, as their `tokenizer.json` have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WordSplitting {
    Gpt2,
    Llama3,
    Qwen2,
}

pub(super) const LLAMA3_WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2_WORDS: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl WordSplitting {
    fn named(pre: Option<&str>) -> Result<Self, TokenizerError> {
        match pre {
            None | Some("" | "default" | "gpt-2" | "gpt2") => Ok(Self::Gpt2),
            Some("llama-bpe" | "llama3" | "llama-v3") => Ok(Self::Llama3),
            Some("qwen2" | "deepseek-r1-qwen") => Ok(Self::Qwen2),
            Some(other) => Err(TokenizerError::Unsupported {
                what: "GGUF pre-tokeniser (`tokenizer.ggml.pre`)",
                found: other.into(),
                supported: "default, gpt-2, llama-bpe, qwen2",
            }),
        }
    }

    fn pre_tokenizer(self, add_prefix_space: bool) -> Result<PreTokenizerWrapper, TokenizerError> {
        let regex = match self {
            Self::Gpt2 => return Ok(ByteLevel::new(add_prefix_space, true, true).into()),
            Self::Llama3 => LLAMA3_WORDS,
            Self::Qwen2 => QWEN2_WORDS,
        };
        let split = Split::new(SplitPattern::Regex(regex.into()), SplitDelimiterBehavior::Isolated, false)
            .map_err(|error| TokenizerError::field("tokenizer.ggml.pre", error.to_string()))?;
        let bytes = ByteLevel::new(add_prefix_space, true, false);
        Ok(Sequence::new(vec![split.into(), bytes.into()]).into())
    }
}
