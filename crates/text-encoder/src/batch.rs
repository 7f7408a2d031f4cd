//! Sequences that go through an encoder together.
//!
//! They lie one after the other: embeddings, norms and linear layers never see padding.

/// Sequences that lie one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncoderBatch {
    ids: Vec<u32>,
    token_types: Vec<u32>,
    attended: Vec<bool>,
    lengths: Vec<usize>,
}

impl EncoderBatch {
    /// No sequences yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sequences of one segment.
    pub fn of<'a>(sequences: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let mut batch = Self::new();
        sequences.into_iter().for_each(|ids| batch.push(ids));
        batch
    }

    /// Adds a sequence of one segment (all token types 0).
    pub fn push(&mut self, ids: &[u32]) {
        self.push_segments(ids, &[]);
    }

    /// Adds a sequence with its token types; where they end, 0 follows.
    pub fn push_segments(&mut self, ids: &[u32], token_types: &[u32]) {
        self.push_masked(ids, token_types, &[]);
    }

    /// Adds a sequence some of whose tokens no other looks at, padding for instance; what `attended` does not reach is looked at.
    pub fn push_masked(&mut self, ids: &[u32], token_types: &[u32], attended: &[bool]) {
        let padded = |place: usize, values: &[u32]| values.get(place).copied().unwrap_or(0);
        self.ids.extend(ids);
        self.token_types.extend((0..ids.len()).map(|place| padded(place, token_types)));
        self.attended.extend((0..ids.len()).map(|place| attended.get(place).copied().unwrap_or(true)));
        self.lengths.push(ids.len());
    }

    /// All tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The token type of each.
    pub fn token_types(&self) -> &[u32] {
        &self.token_types
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// Where in `ids` each sequence begins.
    pub fn starts(&self) -> Vec<usize> {
        llm_runtime::starts_of(&self.lengths).collect()
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    pub(crate) fn attended(&self) -> &[bool] {
        &self.attended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_lie_one_after_the_other() {
        let mut batch = EncoderBatch::of([&[5, 6, 7][..], &[8]]);
        batch.push_masked(&[9, 10], &[1], &[false]);
        assert_eq!(batch.starts(), [0, 3, 4]);
        assert_eq!((batch.ids(), batch.token_types()), (&[5, 6, 7, 8, 9, 10][..], &[0, 0, 0, 0, 1, 0][..]));
        assert_eq!(batch.attended(), [true, true, true, true, false, true]);
    }
}
