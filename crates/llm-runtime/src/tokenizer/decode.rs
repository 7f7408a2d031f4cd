//! From token ids back to text, whole or as it is generated.
//!
//! Both go through the same assembler, so that what is streamed adds up to what is decoded at once. Pieces become bytes;
//! bytes become text as soon as they make whole characters. Bytes that make none become U+FFFD: one for each byte, as in
//! SentencePiece, or one for each broken character in byte-level vocabularies, as in the `tokenizers` library.

use super::{Tokenizer, TokenizerError};

/// What decoding does with control tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlTokenText {
    /// They leave no trace.
    Skip,
    /// Their literal text appears.
    Keep,
}

/// How pieces spell bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `▁` is a blank and `<0x0A>` a byte; a blank at the very beginning may be the dummy prefix.
    SentencePiece { strip_first_blank: bool },
    /// Each character stands for a byte (GPT-2's table).
    ByteLevel,
}

impl Spelling {
    /// Appends the bytes of a piece.
    fn spell(self, piece: &str, bytes: &mut Vec<u8>) {
        match self {
            Self::SentencePiece { .. } => match byte_piece(piece) {
                Some(byte) => bytes.push(byte),
                None => bytes.extend_from_slice(piece.replace('▁', " ").as_bytes()),
            },
            Self::ByteLevel => {
                let start = bytes.len();
                for character in piece.chars() {
                    let Some(byte) = byte_of(character) else {
                        // An added token stands for itself.
                        bytes.truncate(start);
                        bytes.extend_from_slice(piece.as_bytes());
                        return;
                    };
                    bytes.push(byte);
                }
            }
        }
    }
}

/// The byte that `<0x0A>` stands for.
fn byte_piece(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_byte = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_byte.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// GPT-2's table read backwards: printable bytes of Latin-1 stand for themselves, the other 68 for U+0100 onwards.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    let is_printable = |code: u32| matches!(code, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    match code {
        _ if is_printable(code) => u8::try_from(code).ok(),
        0x100..=0x143 => {
            let other = (0..=0xFFu32).filter(|byte| !is_printable(*byte)).nth(code as usize - 0x100)?;
            u8::try_from(other).ok()
        }
        _ => None,
    }
}

/// Bytes on their way to text.
#[derive(Debug, Clone)]
struct Assembler {
    spelling: Spelling,
    begun: bool,
    /// The beginning of a character whose rest has not come yet.
    pending: Vec<u8>,
}

impl Assembler {
    fn new(spelling: Spelling) -> Self {
        Self { spelling, begun: false, pending: Vec::new() }
    }

    /// Appends the whole characters that a piece completes.
    fn push(&mut self, piece: &str, text: &mut String) {
        self.spelling.spell(piece, &mut self.pending);
        self.drop_first_blank();
        let bytes = std::mem::take(&mut self.pending);
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let is_incomplete = chunks.peek().is_none() && is_beginning(chunk.invalid());
            if is_incomplete {
                self.pending.extend_from_slice(chunk.invalid());
            } else {
                self.replace(chunk.invalid(), text);
            }
        }
    }

    /// Appends what is left when no more pieces come.
    fn finish(&mut self, text: &mut String) {
        let rest = std::mem::take(&mut self.pending);
        self.replace(&rest, text);
    }

    fn replace(&self, broken: &[u8], text: &mut String) {
        let count = match self.spelling {
            Spelling::SentencePiece { .. } => broken.len(),
            Spelling::ByteLevel => usize::from(!broken.is_empty()),
        };
        text.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, count));
    }

    fn drop_first_blank(&mut self) {
        if self.begun || self.pending.is_empty() {
            return;
        }
        self.begun = true;
        let strips = self.spelling == Spelling::SentencePiece { strip_first_blank: true };
        if strips && self.pending[0] == b' ' {
            self.pending.remove(0);
        }
    }
}

/// Whether bytes may become a character when more come.
fn is_beginning(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Turns generated ids into text as they come. Made by [`Tokenizer::decode_stream`]; skips control tokens.
#[derive(Clone)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    assembler: Assembler,
}

impl DecodeStream<'_> {
    /// Takes one id; gives the characters that are now complete, if any. An id outside the vocabulary gives nothing: a
    /// model's output can be wider than its tokenizer.
    ///
    /// The texts of all calls and of [`Self::finish`] add up to what [`Tokenizer::decode_text`] gives for all ids.
    pub fn push(&mut self, id: u32) -> Option<String> {
        if self.tokenizer.is_control(id) {
            return None;
        }
        let mut text = String::new();
        self.assembler.push(self.tokenizer.piece(id)?, &mut text);
        (!text.is_empty()).then_some(text)
    }

    /// What is left at the end: U+FFFD for a character whose last bytes never came.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        self.assembler.finish(&mut text);
        text
    }
}

impl Tokenizer {
    /// The text of ids, without the dummy prefix and without any clean-up of blanks.
    ///
    /// # Errors
    /// An id is outside the vocabulary.
    pub fn decode(&self, ids: &[u32], control_tokens: ControlTokenText) -> Result<String, TokenizerError> {
        let mut text = String::new();
        let mut assembler = Assembler::new(self.spelling);
        for id in ids {
            let size = self.vocabulary_size();
            let piece = self.piece(*id).ok_or(TokenizerError::UnknownId { id: *id, size })?;
            if control_tokens == ControlTokenText::Keep || !self.is_control(*id) {
                assembler.push(piece, &mut text);
            }
        }
        assembler.finish(&mut text);
        Ok(text)
    }

    /// The bytes that a token stands for within a text; not always whole characters. `None` outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.spelling.spell(self.piece(id)?, &mut bytes);
        Some(bytes)
    }

    /// The text of generated ids: control tokens are skipped, and so is what lies outside the vocabulary, since a
    /// model's output can be wider than its tokenizer.
    pub fn decode_text(&self, ids: &[u32]) -> String {
        let mut stream = self.decode_stream();
        let mut text: String = ids.iter().filter_map(|id| stream.push(*id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// What one token looks like on its own: its text, a control token's literal, or bytes as `<0xE5>` where they are no
    /// whole characters.
    pub fn token_text(&self, id: u32) -> String {
        let mut bytes = Vec::new();
        self.spelling.spell(self.piece(id).unwrap_or_default(), &mut bytes);
        String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().map(|byte| format!("<0x{byte:02X}>")).collect())
    }

    /// Begins a text that comes id by id.
    pub fn decode_stream(&self) -> DecodeStream<'_> {
        DecodeStream { tokenizer: self, assembler: Assembler::new(self.spelling) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(spelling: Spelling, pieces: &[&str]) -> Vec<String> {
        let mut assembler = Assembler::new(spelling);
        let mut texts = Vec::new();
        for piece in pieces {
            let mut text = String::new();
            assembler.push(piece, &mut text);
            texts.push(text);
        }
        let mut rest = String::new();
        assembler.finish(&mut rest);
        texts.push(rest);
        texts
    }

    const SENTENCEPIECE: Spelling = Spelling::SentencePiece { strip_first_blank: true };

    #[test]
    fn only_the_first_blank_goes() {
        assert_eq!(texts(SENTENCEPIECE, &["▁", "▁a", "▁b"]), ["", " a", " b", ""]);
    }

    #[test]
    fn bytes_wait_for_their_character() {
        let smile = ["<0xF0>", "<0x9F>", "<0x99>", "<0x82>"];
        assert_eq!(texts(SENTENCEPIECE, &smile), ["", "", "", "🙂", ""]);
        assert_eq!(texts(SENTENCEPIECE, &["<0xE5>", "<0x8F>", "a"]), ["", "", "\u{FFFD}\u{FFFD}a", ""]);
        assert_eq!(texts(SENTENCEPIECE, &["<0xE5>", "<0x8F>"]), ["", "", "\u{FFFD}\u{FFFD}"]);
        assert_eq!(texts(Spelling::ByteLevel, &["å", "ı"]), ["", "", "\u{FFFD}"]);
    }

    #[test]
    fn byte_level_pieces_spell_gpt2_bytes() {
        assert_eq!(texts(Spelling::ByteLevel, &["ĠHello", "Ċ", "<|▁|>"]), [" Hello", "\n", "<|▁|>", ""]);
        let all: Vec<u8> = ('\0'..='\u{143}').filter_map(byte_of).collect();
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 256);
    }
}
