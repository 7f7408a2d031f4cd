//! Text to token ids and back, with the byte range of every token.
//!
//! A [`Tokenizer`] comes from `tokenizer.json`, from SentencePiece's `tokenizer.model` or from the vocabulary inside a GGUF
//! file. Control tokens are never found in plain text: the byte-pair core does not know them, and only
//! [`Tokenizer::encode_rendered`] recognises them, outside the byte ranges that hold what people wrote. Each piece of text
//! between control tokens is encoded for itself, as transformers' fast tokenizers do.

mod bpe;
mod control;
mod convert;
mod decode;
mod error;
mod gguf;
mod json;
mod protobuf;
mod sentencepiece;
mod sentencepiece_bpe;
mod two_files;
mod vocabulary;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

pub use self::control::{ControlSegment, ControlToken, ControlTokens};
pub use self::decode::{ControlTokenText, DecodeStream};
pub use self::error::TokenizerError;
pub use self::gguf::GgufVocabulary;
pub use self::json::tokens_around;
pub use self::two_files::{Merge, byte_level_json, read_merges, read_vocabulary};
pub use self::vocabulary::Vocabulary;

use self::bpe::{Core, CoreParts};
use self::decode::Spelling;

/// Token ids and where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoding {
    /// The ids.
    pub ids: Vec<u32>,
    /// For each id its bytes in the text. Starts and ends never decrease. Tokens that spell the bytes of one character all
    /// have that character's range; what is not in the text (a beginning of sequence, SentencePiece's dummy prefix) has an
    /// empty one.
    pub offsets: Vec<Range<usize>>,
}

/// A vocabulary with the rules to use it.
#[derive(Clone)]
pub struct Tokenizer {
    core: Core,
    vocabulary: Vocabulary,
    control: ControlTokens,
    control_ids: HashSet<u32>,
    spelling: Spelling,
    bos: Option<u32>,
    eos: Vec<u32>,
    unk: Option<u32>,
    bos_token: String,
    eos_token: String,
    adds_bos: bool,
    sha256: String,
}

/// What the readers of the formats find.
struct Assembly {
    vocabulary: Vocabulary,
    control: Vec<ControlToken>,
    parts: CoreParts,
    spelling: Spelling,
    bos: Option<u32>,
    /// The main end of sequence first.
    eos: Vec<u32>,
    unk: Option<u32>,
    /// The texts of `bos` and `eos[0]`, where they are not those of the vocabulary.
    bos_token: Option<String>,
    eos_token: Option<String>,
    adds_bos: bool,
    sha256: String,
}

impl Default for Assembly {
    fn default() -> Self {
        Self {
            vocabulary: Vocabulary::default(),
            control: Vec::new(),
            parts: CoreParts::default(),
            spelling: Spelling::ByteLevel,
            bos: None,
            eos: Vec::new(),
            unk: None,
            bos_token: None,
            eos_token: None,
            adds_bos: false,
            sha256: String::new(),
        }
    }
}

impl Tokenizer {
    fn assemble(parts: Assembly) -> Result<Self, TokenizerError> {
        let control_ids: HashSet<u32> = parts.control.iter().map(|token| token.id).collect();
        let core = Core::new(&parts.vocabulary, &control_ids, parts.parts)?;
        let text = |id: Option<u32>| id.and_then(|id| parts.vocabulary.piece(id)).unwrap_or_default().to_owned();
        Ok(Self {
            core,
            control: ControlTokens::new(parts.control),
            control_ids,
            spelling: parts.spelling,
            bos_token: parts.bos_token.unwrap_or_else(|| text(parts.bos)),
            eos_token: parts.eos_token.unwrap_or_else(|| text(parts.eos.first().copied())),
            bos: parts.bos,
            eos: parts.eos,
            unk: parts.unk,
            adds_bos: parts.adds_bos,
            sha256: parts.sha256,
            vocabulary: parts.vocabulary,
        })
    }

    /// Encodes plain text: control tokens in it are text, and no beginning of sequence is added.
    ///
    /// # Errors
    /// The tokenizer's own rules fail on the text.
    pub fn encode(&self, text: &str) -> Result<Encoding, TokenizerError> {
        let mut encoding = Encoding::default();
        self.core.encode(text, 0..text.len(), &mut encoding)?;
        Ok(encoding)
    }

    /// As [`Self::encode`], with the beginning of sequence before it where the vocabulary has one.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_with_bos(&self, text: &str) -> Result<Encoding, TokenizerError> {
        let mut encoding =
            Encoding { ids: self.bos.into_iter().collect(), offsets: self.bos.map(|_| 0..0).into_iter().collect() };
        self.core.encode(text, 0..text.len(), &mut encoding)?;
        Ok(encoding)
    }

    /// Encodes a rendered chat: control tokens become single ids, but only where they touch none of the `protected` byte
    /// ranges (the messages' contents). No beginning of sequence is added: templates write it themselves.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_rendered(&self, text: &str, protected: &[Range<usize>]) -> Result<Encoding, TokenizerError> {
        let mut encoding = Encoding::default();
        for segment in self.control.split(text, protected) {
            match segment {
                ControlSegment::Plain(range) => self.core.encode(text, range, &mut encoding)?,
                ControlSegment::Control(id, range) => {
                    encoding.ids.push(id);
                    encoding.offsets.push(range);
                }
            }
        }
        Ok(encoding)
    }

    /// A token's piece as the vocabulary spells it; `None` outside the vocabulary.
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.vocabulary.piece(id)
    }

    /// The id of a piece, control tokens included.
    pub fn id_of(&self, piece: &str) -> Option<u32> {
        self.vocabulary.id(piece)
    }

    /// Whether an id is a control token, the unknown token included.
    pub fn is_control(&self, id: u32) -> bool {
        self.control_ids.contains(&id)
    }

    /// The beginning of sequence.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// All tokens that end a text: the end of sequence first, then ends of turn.
    pub fn eos(&self) -> &[u32] {
        &self.eos
    }

    /// The unknown token.
    pub fn unk(&self) -> Option<u32> {
        self.unk
    }

    /// One more than the largest id.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.size()
    }

    /// The text of the beginning of sequence, for templates; empty if there is none.
    pub fn bos_token(&self) -> &str {
        &self.bos_token
    }

    /// The text of the end of sequence, for templates; empty if there is none.
    pub fn eos_token(&self) -> &str {
        &self.eos_token
    }

    /// Whether plain prompts of this model begin with the beginning of sequence.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// Hex SHA-256 of the tokenizer's file, or of the vocabulary that a GGUF file holds.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocabulary_size", &self.vocabulary_size())
            .field("bos", &self.bos)
            .field("eos", &self.eos)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}
