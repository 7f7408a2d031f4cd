//! SentencePiece's `tokenizer.model`: a protobuf message with pieces, training options and normalisation options.

use super::protobuf::{Fields, Value};
use super::sentencepiece_bpe::{Piece, PieceType, Preparation, assemble};
use super::{Assembly, GgufVocabulary, Spelling, Tokenizer, TokenizerError};
use crate::sha256::sha256_of;

const FORMAT: &str = "tokenizer.model (SentencePiece)";

/// The message `ModelProto`, as far as it matters here, with its defaults.
struct Model {
    pieces: Vec<Piece>,
    /// 1 is unigram, which the format takes where nothing is said.
    model_type: i32,
    unk: i32,
    bos: i32,
    eos: i32,
    whitespace_as_suffix: bool,
    normalization: String,
    has_charsmap: bool,
    escapes_whitespaces: bool,
    preparation: Preparation,
}

impl Tokenizer {
    /// Reads SentencePiece's `tokenizer.model`. Only byte-pair models without character mapping are supported, as Llama-2
    /// and Mistral have them.
    ///
    /// # Errors
    /// The bytes are damaged or something else, or the model is of another kind (unigram, word, char).
    pub fn from_sentencepiece(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let mut model = Model::read(bytes)?;
        model.check()?;
        let id = |id: i32| u32::try_from(id).ok().filter(|id| (*id as usize) < model.pieces.len());
        let (unk, bos, eos) = (id(model.unk), id(model.bos), id(model.eos));
        for control in [bos, eos].into_iter().flatten() {
            model.pieces[control as usize].kind = PieceType::Control;
        }
        let (vocabulary, control, parts) = assemble(&model.pieces, unk, model.preparation)?;
        Self::assemble(Assembly {
            spelling: Spelling::SentencePiece { strip_first_blank: model.preparation.add_dummy_prefix },
            vocabulary,
            control,
            parts,
            bos,
            eos: eos.into_iter().collect(),
            unk,
            adds_bos: bos.is_some(),
            sha256: sha256_of(bytes),
            ..Assembly::default()
        })
    }
}

impl GgufVocabulary {
    /// The pieces of a `tokenizer.model` in the form of GGUF files.
    ///
    /// # Errors
    /// As [`Tokenizer::from_sentencepiece`].
    pub fn of_sentencepiece(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let model = Model::read(bytes)?;
        model.check()?;
        let id = |id: i32| u32::try_from(id).ok().filter(|id| (*id as usize) < model.pieces.len());
        Ok(Self {
            model: "llama".into(),
            tokens: model.pieces.iter().map(|piece| piece.text.clone()).collect(),
            scores: model.pieces.iter().map(|piece| piece.score).collect(),
            token_types: model.pieces.iter().map(|piece| piece.kind.number()).collect(),
            bos: id(model.bos),
            eos: id(model.eos),
            unk: id(model.unk),
            add_bos: Some(true),
            add_space_prefix: Some(model.preparation.add_dummy_prefix),
            ..Self::default()
        })
    }
}

impl Model {
    fn read(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let mut model = Self {
            pieces: Vec::new(),
            model_type: 1,
            unk: 0,
            bos: 1,
            eos: 2,
            whitespace_as_suffix: false,
            normalization: String::new(),
            has_charsmap: false,
            escapes_whitespaces: true,
            preparation: Preparation { add_dummy_prefix: true, remove_extra_whitespaces: true },
        };
        for field in Fields::of(bytes) {
            let field =
                field.map_err(|at| unreadable(format!("damaged or cut off at byte {at} of {}", bytes.len())))?;
            match (field.number, field.value) {
                (1, Value::Bytes(piece)) => {
                    let number = model.pieces.len();
                    model.pieces.push(read_piece(piece, number)?);
                }
                (2, Value::Bytes(spec)) => model.read_trainer_spec(spec)?,
                (3, Value::Bytes(spec)) => model.read_normalizer_spec(spec)?,
                _ => {}
            }
        }
        Ok(model)
    }

    fn read_trainer_spec(&mut self, spec: &[u8]) -> Result<(), TokenizerError> {
        for field in Fields::of(spec) {
            let field = field.map_err(|at| unreadable(format!("trainer_spec is damaged at its byte {at}")))?;
            let number =
                || field.value.int().ok_or_else(|| unreadable(format!("trainer_spec.{}: not a number", field.number)));
            match field.number {
                3 => self.model_type = number()?,
                24 => self.whitespace_as_suffix = field.value.bool().unwrap_or(false),
                40 => self.unk = number()?,
                41 => self.bos = number()?,
                42 => self.eos = number()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_normalizer_spec(&mut self, spec: &[u8]) -> Result<(), TokenizerError> {
        for field in Fields::of(spec) {
            let field = field.map_err(|at| unreadable(format!("normalizer_spec is damaged at its byte {at}")))?;
            match field.number {
                1 => self.normalization = field.value.text().unwrap_or_default().to_owned(),
                2 => self.has_charsmap = field.value.bytes().is_some_and(|map| !map.is_empty()),
                3 => self.preparation.add_dummy_prefix = field.value.bool().unwrap_or(true),
                4 => self.preparation.remove_extra_whitespaces = field.value.bool().unwrap_or(true),
                5 => self.escapes_whitespaces = field.value.bool().unwrap_or(true),
                _ => {}
            }
        }
        Ok(())
    }

    /// Refuses what the byte-pair recipe does not cover.
    fn check(&self) -> Result<(), TokenizerError> {
        let unsupported = |what, found: &str, supported| {
            Err(TokenizerError::Unsupported { what, found: found.to_owned(), supported })
        };
        if self.pieces.is_empty() {
            return Err(unreadable("it has no pieces".into()));
        }
        match self.model_type {
            2 => {}
            1 => return unsupported("SentencePiece model type", "unigram", "bpe"),
            3 => return unsupported("SentencePiece model type", "word", "bpe"),
            4 => return unsupported("SentencePiece model type", "char", "bpe"),
            other => return unsupported("SentencePiece model type", &other.to_string(), "bpe"),
        }
        if self.has_charsmap {
            return unsupported("SentencePiece normalisation", &self.normalization, "identity");
        }
        if self.whitespace_as_suffix {
            return unsupported("SentencePiece option", "treat_whitespace_as_suffix", "blanks before words");
        }
        if !self.escapes_whitespaces {
            return unsupported("SentencePiece option", "escape_whitespaces = false", "blanks written as ▁");
        }
        Ok(())
    }
}

fn read_piece(bytes: &[u8], number: usize) -> Result<Piece, TokenizerError> {
    let damaged = |problem: &str| unreadable(format!("piece {number} {problem}"));
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceType::Normal };
    for field in Fields::of(bytes) {
        let field = field.map_err(|_| damaged("is damaged"))?;
        match field.number {
            1 => piece.text = field.value.text().ok_or_else(|| damaged("is not valid UTF-8"))?.to_owned(),
            2 => piece.score = field.value.float().ok_or_else(|| damaged("has a score that is no number"))?,
            3 => {
                let kind = field.value.int().and_then(PieceType::from_number);
                piece.kind = kind.ok_or_else(|| damaged("has an unknown type"))?;
            }
            _ => {}
        }
    }
    Ok(piece)
}

fn unreadable(problem: String) -> TokenizerError {
    TokenizerError::Unreadable { format: FORMAT, problem }
}
