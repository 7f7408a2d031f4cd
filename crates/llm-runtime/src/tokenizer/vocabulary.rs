//! Pieces by id and ids by piece.

use std::collections::HashMap;

use super::TokenizerError;

/// Ids beyond this are taken for damage: no tokenizer comes near, and the table is as long as the largest id.
const MAX_ID: u64 = 1 << 24;

/// The pieces of a tokenizer, control tokens included.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    pieces: Vec<Option<String>>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Adds a piece. A piece that stands twice keeps its first id, an id that is given twice its last piece. The table is as long as the
    /// largest id: check ids that come from elsewhere, as [`read_vocabulary`](super::read_vocabulary) does.
    pub fn insert(&mut self, id: u32, piece: &str) {
        let index = id as usize;
        if self.pieces.len() <= index {
            self.pieces.resize(index + 1, None);
        }
        self.pieces[index] = Some(piece.to_owned());
        self.ids.entry(piece.to_owned()).or_insert(id);
    }

    /// The piece of an id; `None` where there is none.
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.pieces.get(id as usize)?.as_deref()
    }

    /// The id of a piece.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.ids.get(piece).copied()
    }

    /// One more than the largest id.
    pub fn size(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &str)> {
        self.ids.iter().map(|(piece, id)| (*id, piece.as_str()))
    }
}

/// An id read from a file.
pub(super) fn checked_id(id: u64, field: impl FnOnce() -> String) -> Result<u32, TokenizerError> {
    match u32::try_from(id) {
        Ok(small) if id < MAX_ID => Ok(small),
        _ => Err(TokenizerError::field(field(), format!("token id {id} is impossibly large"))),
    }
}
