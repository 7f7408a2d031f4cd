//! Reads SentencePiece's `tokenizer.model`: the fields of its protocol buffer that matter here.
//!
//! Field numbers are those of `sentencepiece_model.proto`: the model has pieces (1), a trainer spec (2) and a normaliser spec (3).

use super::TokenizerError;
use super::vocabulary::{Piece, PieceKind, Pieces};

/// A SentencePiece model.
#[derive(Debug)]
pub(super) struct SentencePiece {
    pub(super) pieces: Pieces,
    pub(super) bos: Option<String>,
    pub(super) eos: Option<String>,
}

/// SentencePiece's number of the byte-pair model.
const BPE: u64 = 2;

/// Settings with SentencePiece's defaults.
struct Settings {
    model_type: u64,
    unk: i64,
    bos: i64,
    eos: i64,
    adds_space_prefix: bool,
    removes_extra_spaces: bool,
}

pub(super) fn read(bytes: &[u8]) -> Result<SentencePiece, TokenizerError> {
    let mut pieces = Vec::new();
    let mut settings =
        Settings { model_type: 1, unk: 0, bos: 1, eos: 2, adds_space_prefix: true, removes_extra_spaces: true };
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => pieces.push(piece(bytes)?),
            (2, Wire::Bytes(bytes)) => trainer(bytes, &mut settings)?,
            (3, Wire::Bytes(bytes)) => normalizer(bytes, &mut settings)?,
            _ => {}
        }
    }
    if pieces.is_empty() {
        return Err(damaged("it has no pieces"));
    }
    if settings.model_type != BPE {
        let kind =
            ["unknown", "unigram", "bpe", "word", "char"].get(settings.model_type as usize).unwrap_or(&"unknown");
        return Err(TokenizerError::Kind { kind: format!("SentencePiece {kind}"), supported: "SentencePiece bpe" });
    }
    if settings.removes_extra_spaces {
        return Err(TokenizerError::Kind {
            kind: "SentencePiece with removal of extra blanks".into(),
            supported: "SentencePiece bpe that keeps blanks",
        });
    }
    let text = |id: i64| usize::try_from(id).ok().and_then(|id| pieces.get(id)).map(|piece: &Piece| piece.text.clone());
    let (bos, eos) = (text(settings.bos), text(settings.eos));
    if text(settings.unk).is_none() {
        return Err(damaged("the id of the unknown token is outside the vocabulary"));
    }
    let pieces = Pieces { pieces, adds_space_prefix: settings.adds_space_prefix };
    Ok(SentencePiece { pieces, bos, eos })
}

fn damaged(problem: &str) -> TokenizerError {
    TokenizerError::SentencePiece(problem.to_owned())
}

fn piece(bytes: &[u8]) -> Result<Piece, TokenizerError> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Normal };
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(text)) => {
                piece.text = std::str::from_utf8(text).map_err(|_| damaged("a piece is not UTF-8 text"))?.to_owned();
            }
            (2, Wire::Fixed32(bits)) => piece.score = f32::from_bits(bits),
            (3, Wire::Varint(kind)) => piece.kind = PieceKind::from_number(kind as i64),
            _ => {}
        }
    }
    Ok(piece)
}

fn trainer(bytes: &[u8], settings: &mut Settings) -> Result<(), TokenizerError> {
    for field in Fields(bytes) {
        match field? {
            (3, Wire::Varint(kind)) => settings.model_type = kind,
            // Ids are signed: -1 stands for none.
            (40, Wire::Varint(id)) => settings.unk = id as i64,
            (41, Wire::Varint(id)) => settings.bos = id as i64,
            (42, Wire::Varint(id)) => settings.eos = id as i64,
            _ => {}
        }
    }
    Ok(())
}

fn normalizer(bytes: &[u8], settings: &mut Settings) -> Result<(), TokenizerError> {
    for field in Fields(bytes) {
        match field? {
            (3, Wire::Varint(flag)) => settings.adds_space_prefix = flag != 0,
            (4, Wire::Varint(flag)) => settings.removes_extra_spaces = flag != 0,
            _ => {}
        }
    }
    Ok(())
}

/// A value as the wire has it.
enum Wire<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of a message, in order.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), TokenizerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Wire<'a>), TokenizerError> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Wire::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| damaged("a length is too large"))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => match self.take(4)?.first_chunk() {
                Some(bytes) => Wire::Fixed32(u32::from_le_bytes(*bytes)),
                None => return Err(damaged("it breaks off")),
            },
            kind => return Err(damaged(&format!("a field is of the unknown kind {kind}"))),
        };
        Ok((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], TokenizerError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| damaged("it breaks off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, TokenizerError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take(1)? else { return Err(damaged("it breaks off")) };
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too long"))
    }
}
