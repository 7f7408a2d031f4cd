//! Sequences that go through an encoder together.
//!
//! They lie one after the other: embeddings, norms and linear layers never see padding. Only attention works on sequences of equal
//! length, and pads them for itself.

use candle_core::{Device, Result, Tensor};

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
        starts_of(&self.lengths).collect()
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

/// Where sequences of these lengths begin when they lie one after the other.
pub(crate) fn starts_of(lengths: &[usize]) -> impl Iterator<Item = usize> {
    lengths.iter().scan(0, |next, length| {
        let start = *next;
        *next += length;
        Some(start)
    })
}

/// How the sequences of a batch are padded to one length and cut again.
#[derive(Clone)]
pub(crate) struct Padding {
    pub(crate) sequences: usize,
    pub(crate) longest: usize,
    /// 0 for keys that are seen, the lowest number for those that are not, −∞ where a sequence has ended; `[sequences, longest]`.
    pub(crate) mask: Tensor,
    /// None where all sequences have one length.
    places: Option<Places>,
}

#[derive(Clone)]
struct Places {
    /// For each padded place its row, row 0 for padding; `[sequences · longest]`.
    to_padded: Tensor,
    /// For each row its padded place; `[rows]`.
    to_rows: Tensor,
}

impl Padding {
    pub(crate) fn new(batch: &EncoderBatch, device: &Device) -> Result<Self> {
        let (lengths, sequences) = (batch.lengths(), batch.len());
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut mask = vec![f32::NEG_INFINITY; sequences * longest];
        let mut to_padded = vec![0u32; sequences * longest];
        let mut to_rows = Vec::with_capacity(batch.ids().len());
        for (sequence, (start, length)) in batch.starts().into_iter().zip(lengths).enumerate() {
            for place in 0..*length {
                let (row, padded) = (start + place, sequence * longest + place);
                mask[padded] = if batch.attended()[row] { 0.0 } else { f32::MIN };
                to_padded[padded] = row as u32;
                to_rows.push(padded as u32);
            }
        }
        let is_ragged = to_rows.len() < to_padded.len();
        let places = is_ragged.then(|| -> Result<Places> {
            let to_padded = Tensor::from_vec(to_padded, sequences * longest, device)?;
            let rows = to_rows.len();
            Ok(Places { to_padded, to_rows: Tensor::from_vec(to_rows, rows, device)? })
        });
        let mask = Tensor::from_vec(mask, (sequences, longest), device)?;
        Ok(Self { sequences, longest, mask, places: places.transpose()? })
    }

    /// `[rows, width]` to `[sequences · longest, width]`.
    pub(crate) fn pad(&self, rows: &Tensor) -> Result<Tensor> {
        match &self.places {
            Some(places) => rows.index_select(&places.to_padded, 0),
            None => Ok(rows.clone()),
        }
    }

    /// `[sequences · longest, width]` to `[rows, width]`.
    pub(crate) fn cut(&self, padded: &Tensor) -> Result<Tensor> {
        match &self.places {
            Some(places) => padded.index_select(&places.to_rows, 0),
            None => Ok(padded.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_cutting_gives_the_rows_back() {
        let batch = EncoderBatch::of([&[5, 6, 7][..], &[8], &[9, 10]]);
        assert_eq!(batch.starts(), [0, 3, 4]);
        let padding = Padding::new(&batch, &Device::Cpu).unwrap();
        let rows = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap().reshape((6, 1)).unwrap();
        let padded = padding.pad(&rows).unwrap();
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&padded), [0.0, 1.0, 2.0, 3.0, 0.0, 0.0, 4.0, 5.0, 0.0]);
        assert_eq!(values(&padding.cut(&padded).unwrap()), values(&rows));
        let end = f32::NEG_INFINITY;
        assert_eq!(values(&padding.mask), [0.0, 0.0, 0.0, 0.0, end, end, 0.0, 0.0, end]);
    }
}
