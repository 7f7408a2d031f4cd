//! Token sequences that go through an encoder or a decoder together.

use crate::Seq2SeqError;

/// Sequences that lie one after the other: no padding, so embeddings, norms and linear layers waste nothing on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenBatch {
    ids: Vec<u32>,
    attended: Vec<bool>,
    lengths: Vec<usize>,
}

impl TokenBatch {
    /// No sequences yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sequences all of whose tokens are looked at.
    pub fn of<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut batch = Self::new();
        sequences.into_iter().for_each(|ids| batch.push(ids));
        batch
    }

    /// Adds a sequence.
    pub fn push(&mut self, ids: &[u32]) {
        self.push_masked(ids, &[]);
    }

    /// Adds a sequence some of whose tokens no other looks at, padding for instance; what `attended` does not reach is looked at.
    pub fn push_masked(&mut self, ids: &[u32], attended: &[bool]) {
        self.ids.extend(ids);
        self.attended.extend((0..ids.len()).map(|place| attended.get(place).copied().unwrap_or(true)));
        self.lengths.push(ids.len());
    }

    /// All tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The tokens of each sequence.
    pub fn sequences(&self) -> impl Iterator<Item = &[u32]> {
        self.lengths.iter().scan(0, |start, length| {
            let sequence = self.ids.get(*start..*start + length);
            *start += length;
            sequence
        })
    }

    /// Whether others look at each token.
    pub fn attended(&self) -> &[bool] {
        &self.attended
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Says what does not fit a stack with so many positions and tokens.
    pub(crate) fn check(&self, max_positions: usize, vocabulary: usize) -> Result<(), Seq2SeqError> {
        if self.is_empty() || self.lengths.contains(&0) {
            return Err(Seq2SeqError::Invalid("a batch needs sequences of at least one token".into()));
        }
        if let Some(length) = self.lengths.iter().find(|length| **length > max_positions) {
            let problem = format!("a sequence of {length} tokens: the model takes {max_positions}: cut inputs to that");
            return Err(Seq2SeqError::Invalid(problem));
        }
        check_ids(&self.ids, vocabulary)
    }
}

pub(crate) fn check_ids(ids: &[u32], vocabulary: usize) -> Result<(), Seq2SeqError> {
    match ids.iter().find(|id| **id as usize >= vocabulary) {
        Some(id) => Err(Seq2SeqError::Invalid(format!("the token {id} is outside the vocabulary of {vocabulary}"))),
        None => Ok(()),
    }
}
