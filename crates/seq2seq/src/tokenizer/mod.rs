//! Texts to the token ids that an encoder–decoder reads and writes, and back.
//!
//! Two kinds: BART's byte pairs, which spell every text and put `<s> … </s>` around it, and BlenderBot-small's lower-cased words,
//! which put nothing around a text. In both, plain text never becomes a special token. Where one is wanted inside a text, either
//! its id stands between two texts ([`Seq2SeqTokenizer::encode_segments`]), or the caller vouches for the text
//! ([`Seq2SeqTokenizer::encode_with_special`], as transformers reads every text).

mod added;
mod blenderbot_small;
mod byte_level;
mod clean_up;
mod configuration;
mod folder;
mod learn;
mod pair_merges;
mod roles;
mod truncation;

use std::fmt;
use std::path::Path;

use llm_runtime::{ControlTokenText, hex};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use self::added::AddedTokenKind;
pub use self::clean_up::clean_up_english;
pub use self::roles::SpecialIds;
pub use self::truncation::{Truncation, TruncationSide};

use self::added::AddedToken;
use self::blenderbot_small::BlenderbotSmall;
use self::byte_level::ByteLevel;
use self::configuration::Configuration;
use self::roles::Roles;
use crate::Seq2SeqError;

/// How a tokenizer cuts texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenizerKind {
    /// Byte-level byte pairs, as GPT-2 and RoBERTa have them.
    Bart,
    /// Lower-cased words and byte pairs over characters.
    BlenderbotSmall,
}

/// A part of what a model reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// A text; special tokens that are written in it are text.
    Text(&'a str),
    /// A token, special or not.
    Token(u32),
}

/// What special tokens are that are written in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SpecialText {
    IsText,
    IsToken,
}

/// A vocabulary with the rules to use it.
///
/// ```
/// use seq2seq::{Segment, Seq2SeqTokenizer, Truncation};
///
/// # fn main() -> Result<(), seq2seq::Seq2SeqError> {
/// let tokenizer = Seq2SeqTokenizer::learn_byte_pairs(&["I feel alone.", "You feel alone?"], 300)?;
/// let end = Segment::Token(tokenizer.special().eos);
/// let turns = tokenizer.encode_segments(&[Segment::Text("I feel alone."), end, Segment::Text("You do?")])?;
/// let read = tokenizer.frame(&turns, Some(Truncation::left(512)))?;
/// assert_eq!(read.first(), Some(&tokenizer.special().bos));
/// assert_eq!(tokenizer.decode_text(&read), "I feel alone.You do?");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Seq2SeqTokenizer {
    core: Core,
    roles: Roles,
    special: SpecialIds,
    /// Tokens with a role and added tokens, by ascending id.
    added: Vec<AddedToken>,
    /// What stands before and behind a text.
    around: Option<(u32, u32)>,
    /// `tokenizer_config.json`.
    config: Map<String, Value>,
}

#[derive(Clone)]
enum Core {
    Bart(Box<ByteLevel>),
    BlenderbotSmall(Box<BlenderbotSmall>),
}

impl Seq2SeqTokenizer {
    /// Reads the tokenizer of a Hugging Face folder.
    ///
    /// Its kind is what `tokenizer_config.json` (`tokenizer_class`) or `config.json` (`model_type`) names, else what the vocabulary
    /// looks like. BART's comes from `tokenizer.json`, else from `vocab.json` and `merges.txt`; BlenderBot-small's always from
    /// these two. Added tokens are taken from all files that list some.
    ///
    /// # Errors
    /// The files are not there, or one is damaged; the error names the file, and the line or the entry where there is one.
    pub fn open(folder: &Path) -> Result<Self, Seq2SeqError> {
        folder::open(folder)
    }

    /// Writes the files that [`Self::open`] and transformers read: `vocab.json`, `merges.txt`, `tokenizer_config.json`,
    /// `special_tokens_map.json`; for BART `tokenizer.json`; `added_tokens.json` where tokens have been added.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn save(&self, folder: &Path) -> Result<(), Seq2SeqError> {
        folder::save(self, folder)
    }

    /// Learns BART's kind of vocabulary from texts: `<s> <pad> </s> <unk>`, the 256 bytes, the most frequent pairs, `<mask>`; at most
    /// `size` tokens, fewer if no more pairs occur twice. The same texts give the same vocabulary.
    ///
    /// # Errors
    /// `size` is less than 261, the number of tokens without any pair.
    pub fn learn_byte_pairs(texts: &[&str], size: usize) -> Result<Self, Seq2SeqError> {
        learn::byte_pairs(texts, size)
    }

    /// Learns BlenderBot-small's kind of vocabulary from texts: `__null__ __start__ __end__ __unk__ __newln__`, the letters there are, within words and at
    /// their ends, and the most frequent pairs, up to `size` tokens (more only if letters alone are more). The same texts give the same vocabulary.
    ///
    /// # Errors
    /// The texts can't be learned from.
    pub fn learn_blenderbot_small(texts: &[&str], size: usize) -> Result<Self, Seq2SeqError> {
        learn::blenderbot_small(texts, size)
    }

    fn assemble(
        core: Core,
        roles: Roles,
        added: Vec<AddedToken>,
        config: Map<String, Value>,
    ) -> Result<Self, Seq2SeqError> {
        let special = roles.ids(core.kind(), |name| core.id(name))?;
        let around = match &core {
            Core::Bart(tokenizer) => {
                let named = tokenizer.around().and_then(|(first, last)| core.id(&first).zip(core.id(&last)));
                Some(named.unwrap_or((special.bos, special.eos)))
            }
            Core::BlenderbotSmall(_) => None,
        };
        Ok(Self { core, roles, special, added, around, config })
    }

    /// The ids of a text, and nothing around them. A text gives the same ids alone and as a segment.
    ///
    /// # Errors
    /// The tokenizer's own rules fail on the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Seq2SeqError> {
        self.encode_segments(&[Segment::Text(text)])
    }

    /// As [`Self::encode`], but a special token that is written in the text (`</s>`, `[Question]`) becomes that token. So does
    /// transformers read every text; it is only right for texts that nobody else has written.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_with_special(&self, text: &str) -> Result<Vec<u32>, Seq2SeqError> {
        let mut ids = Vec::new();
        self.core.encode(text, SpecialText::IsToken, &mut ids)?;
        Ok(ids)
    }

    /// The ids of texts and tokens one after another, each text encoded for itself: turns with `</s>` between them give what
    /// transformers gives for the turns joined by a literal `</s>`.
    ///
    /// # Errors
    /// A token is outside the vocabulary, or as [`Self::encode`].
    pub fn encode_segments(&self, segments: &[Segment<'_>]) -> Result<Vec<u32>, Seq2SeqError> {
        let mut ids = Vec::new();
        for segment in segments {
            match *segment {
                Segment::Text(text) => self.core.encode(text, SpecialText::IsText, &mut ids)?,
                Segment::Token(id) => {
                    let size = self.vocabulary_size();
                    self.token(id).ok_or_else(|| {
                        Seq2SeqError::Invalid(format!("token id {id} is outside the vocabulary of {size} tokens"))
                    })?;
                    ids.push(id);
                }
            }
        }
        Ok(ids)
    }

    /// Puts around ids what stands around a text (BART: `<s> … </s>`; BlenderBot-small: nothing), after the ids are cut so that all
    /// together are no more than may stay.
    ///
    /// # Errors
    /// There is no room for a single id.
    pub fn frame(&self, ids: &[u32], truncation: Option<Truncation>) -> Result<Vec<u32>, Seq2SeqError> {
        let needed = if self.around.is_some() { 2 } else { 0 };
        let kept = match truncation {
            None => ids,
            Some(Truncation { longest, side }) => {
                let room = longest.checked_sub(needed).filter(|room| *room > 0).ok_or_else(|| {
                    let least = needed + 1;
                    Seq2SeqError::Invalid(format!("sequences of at most {longest} tokens: at least {least} are needed"))
                })?;
                Truncation { longest: room, side }.cut(ids)
            }
        };
        let (first, last) = self.around.unzip();
        Ok(first.into_iter().chain(kept.iter().copied()).chain(last).collect())
    }

    /// The text of ids. BART's bytes come back as they were, broken characters as U+FFFD; BlenderBot-small's pieces are set apart by
    /// blanks, also before punctuation, unless a piece continues its word. [`clean_up_english`] takes such blanks away.
    ///
    /// # Errors
    /// An id is outside the vocabulary.
    pub fn decode(&self, ids: &[u32], special: ControlTokenText) -> Result<String, Seq2SeqError> {
        match &self.core {
            Core::Bart(tokenizer) => tokenizer.tokenizer().decode(ids, special).map_err(invalid),
            Core::BlenderbotSmall(tokenizer) => tokenizer.decode(ids, special),
        }
    }

    /// The text of generated ids: special tokens are skipped, and so is what lies outside the vocabulary, since a model's output can
    /// be wider than its tokenizer.
    pub fn decode_text(&self, ids: &[u32]) -> String {
        let known: Vec<u32> = ids.iter().copied().filter(|id| self.token(*id).is_some()).collect();
        self.decode(&known, ControlTokenText::Skip).unwrap_or_default()
    }

    /// A token as the vocabulary spells it (BART: `Ġhello`; BlenderBot-small: `hel@@`); `None` outside the vocabulary.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.core.token(id)
    }

    /// The id of a token as the vocabulary spells it, special tokens included.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.core.id(token)
    }

    /// The tokens that have a role.
    pub fn special(&self) -> SpecialIds {
        self.special
    }

    /// Whether an id is a special token: one with a role, or an added one that is no text.
    pub fn is_special(&self, id: u32) -> bool {
        self.added.binary_search_by_key(&id, |token| token.id).is_ok_and(|at| self.added[at].special)
    }

    /// One more than the largest id.
    pub fn vocabulary_size(&self) -> usize {
        self.core.size()
    }

    /// Hex SHA-256 of what decides the ids of texts: kind, vocabulary, merges and special tokens. It is the same for a tokenizer and for the one that
    /// [`Self::open`] makes of what [`Self::save`] wrote, however the files are laid out.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{:?}\n", self.kind()));
        for id in 0..u32::try_from(self.vocabulary_size()).unwrap_or(u32::MAX) {
            // Lengths keep "ab" + "c" apart from "a" + "bc".
            let piece = self.token(id).unwrap_or_default();
            hash.update((piece.len() as u64).to_le_bytes());
            hash.update(piece);
            hash.update([u8::from(self.is_special(id))]);
        }
        hash.update(folder::merges(self));
        hex(&hash.finalize())
    }

    /// How texts are cut.
    pub fn kind(&self) -> TokenizerKind {
        self.core.kind()
    }

    /// Adds tokens behind the vocabulary, in this order. One that the vocabulary has keeps its id, and becomes special if it was not
    /// and is to be. Gives the number of new ids: a model needs as many more rows in its embeddings.
    ///
    /// # Errors
    /// A token is empty or blank; then none is added.
    pub fn add_tokens(&mut self, tokens: &[&str], kind: AddedTokenKind) -> Result<usize, Seq2SeqError> {
        if tokens.iter().any(|token| token.trim().is_empty()) {
            return Err(Seq2SeqError::Invalid("a token to be added is empty".into()));
        }
        let before = self.vocabulary_size();
        let mut added = self.added.clone();
        let mut next = u32::try_from(before).unwrap_or(u32::MAX);
        for token in tokens {
            if let Some(known) = added.iter_mut().find(|known| known.content == *token) {
                known.special |= kind == AddedTokenKind::Special;
                continue;
            }
            let known = self.id(token);
            let mut new = AddedToken::new(known.unwrap_or(next), token, kind);
            new.is_extra = known.is_none();
            next += u32::from(new.is_extra);
            added.push(new);
        }
        added.sort_by_key(|token| token.id);
        match &mut self.core {
            Core::Bart(tokenizer) => **tokenizer = tokenizer.with_added(&added).map_err(invalid)?,
            Core::BlenderbotSmall(tokenizer) => tokenizer.set_added(&added),
        }
        self.added = added;
        Ok(self.vocabulary_size() - before)
    }
}

impl Core {
    fn kind(&self) -> TokenizerKind {
        match self {
            Self::Bart(_) => TokenizerKind::Bart,
            Self::BlenderbotSmall(_) => TokenizerKind::BlenderbotSmall,
        }
    }

    fn encode(&self, text: &str, special: SpecialText, ids: &mut Vec<u32>) -> Result<(), Seq2SeqError> {
        match self {
            Self::Bart(tokenizer) => tokenizer.encode(text, special, ids).map_err(invalid)?,
            Self::BlenderbotSmall(tokenizer) => tokenizer.encode(text, special, ids),
        }
        Ok(())
    }

    fn token(&self, id: u32) -> Option<&str> {
        match self {
            Self::Bart(tokenizer) => tokenizer.tokenizer().piece(id),
            Self::BlenderbotSmall(tokenizer) => tokenizer.vocabulary().piece(id),
        }
    }

    fn id(&self, token: &str) -> Option<u32> {
        match self {
            Self::Bart(tokenizer) => tokenizer.tokenizer().id_of(token),
            Self::BlenderbotSmall(tokenizer) => tokenizer.vocabulary().id(token),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Bart(tokenizer) => tokenizer.tokenizer().vocabulary_size(),
            Self::BlenderbotSmall(tokenizer) => tokenizer.vocabulary().size(),
        }
    }
}

impl fmt::Debug for Seq2SeqTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seq2SeqTokenizer")
            .field("kind", &self.kind())
            .field("vocabulary_size", &self.vocabulary_size())
            .field("special", &self.special)
            .finish_non_exhaustive()
    }
}

fn invalid(error: impl fmt::Display) -> Seq2SeqError {
    Seq2SeqError::Invalid(error.to_string())
}
