//! SentencePiece's byte-pair encoding, expressed for the `tokenizers` library.
//!
//! SentencePiece merges the neighbours whose union has the highest score, wherever that union comes from. So each piece
//! gives one merge per way to cut it into two pieces; these are sorted by (left id, right id), and all merges by
//! falling score. Blanks become `▁`, one more stands before the text, and what has no piece is written in bytes.

use std::collections::HashSet;

use tokenizers::AddedToken;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Prepend, Replace, Sequence};

use super::bpe::{CoreParts, DummyPrefix};
use super::control::ControlToken;
use super::{TokenizerError, Vocabulary};

/// Longer pieces are damage: real ones have at most some 50 bytes, and the number of cuts to try grows with the square.
const MAX_PIECE_BYTES: usize = 512;

/// SentencePiece's kinds of piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceType {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

impl PieceType {
    pub(super) fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }

    pub(super) fn number(self) -> i32 {
        match self {
            Self::Normal => 1,
            Self::Unknown => 2,
            Self::Control => 3,
            Self::UserDefined => 4,
            Self::Unused => 5,
            Self::Byte => 6,
        }
    }

    /// Whether text must never become this piece.
    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Unknown | Self::Control)
    }
}

/// A piece of the vocabulary; its id is its place.
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: PieceType,
}

/// How the text is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preparation {
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
}

/// The pieces' vocabulary, control tokens and core parts.
pub(super) fn assemble(
    pieces: &[Piece],
    unk: Option<u32>,
    preparation: Preparation,
) -> Result<(Vocabulary, Vec<ControlToken>, CoreParts), TokenizerError> {
    let mut vocabulary = Vocabulary::default();
    let mut control = Vec::new();
    for (id, piece) in (0u32..).zip(pieces) {
        vocabulary.insert(id, &piece.text);
        if piece.kind.is_control() {
            control.push(ControlToken::new(id, &piece.text));
        }
    }
    let added = pieces.iter().filter(|piece| piece.kind == PieceType::UserDefined && !piece.text.is_empty());
    let parts = CoreParts {
        merges: merges(pieces, &vocabulary)?,
        unk: unk.and_then(|id| pieces.get(id as usize)).map(|piece| piece.text.clone()),
        byte_fallback: pieces.iter().any(|piece| piece.kind == PieceType::Byte),
        fuse_unk: true,
        normalizer: Some(normalizer(preparation)?.into()),
        added: added.map(|piece| AddedToken::from(piece.text.clone(), false).normalized(false)).collect(),
        prefix: preparation.add_dummy_prefix.then_some(DummyPrefix { piece: "▁", unless_before: &[] }),
        ..CoreParts::default()
    };
    Ok((vocabulary, control, parts))
}

/// All ways to cut a piece into two, for all pieces, the most important first.
fn merges(pieces: &[Piece], vocabulary: &Vocabulary) -> Result<Vec<(String, String)>, TokenizerError> {
    let ordinary: HashSet<u32> =
        (0u32..).zip(pieces).filter(|(_, piece)| piece.kind == PieceType::Normal).map(|(id, _)| id).collect();
    let ordinary_id = |piece: &str| vocabulary.id(piece).filter(|id| ordinary.contains(id));
    let mut merges: Vec<(f32, &str, &str)> = Vec::new();
    for (number, piece) in pieces.iter().enumerate().filter(|(_, piece)| piece.kind == PieceType::Normal) {
        if piece.text.len() > MAX_PIECE_BYTES {
            let problem = format!("{} bytes long (at most {MAX_PIECE_BYTES} are possible)", piece.text.len());
            return Err(TokenizerError::field(format!("pieces[{number}]"), problem));
        }
        if piece.score.is_nan() {
            return Err(TokenizerError::field(format!("scores[{number}]"), "not a number"));
        }
        let cuts = piece.text.char_indices().skip(1).map(|(at, _)| piece.text.split_at(at));
        let mut cuts: Vec<_> =
            cuts.filter_map(|(left, right)| Some((ordinary_id(left)?, ordinary_id(right)?, left, right))).collect();
        cuts.sort_unstable_by_key(|(left, right, ..)| (*left, *right));
        merges.extend(cuts.into_iter().map(|(_, _, left, right)| (piece.score, left, right)));
    }
    merges.sort_by(|(left, ..), (right, ..)| right.total_cmp(left));
    Ok(merges.into_iter().map(|(_, left, right)| (left.to_owned(), right.to_owned())).collect())
}

fn normalizer(preparation: Preparation) -> Result<Sequence, TokenizerError> {
    let replace = |pattern: ReplacePattern, content: &str| {
        Replace::new(pattern, content).map_err(|error| TokenizerError::field("normalizer_spec", error.to_string()))
    };
    let mut steps = Vec::new();
    if preparation.remove_extra_whitespaces {
        steps.push(replace(ReplacePattern::Regex("^ +| +$".into()), "")?.into());
        steps.push(replace(ReplacePattern::Regex(" {2,}".into()), " ")?.into());
    }
    if preparation.add_dummy_prefix {
        steps.push(Prepend::new("▁".into()).into());
    }
    steps.push(replace(ReplacePattern::String(" ".into()), "▁")?.into());
    Ok(Sequence::new(steps))
}
