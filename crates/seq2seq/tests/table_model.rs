//! A model whose logits are given by a function of the row and the ids so far.

use seq2seq::Seq2SeqError;
use seq2seq::search::{Decoded, DecodingIds, DecodingOptions, DecodingRow, StepModel, decode};

/// End and padding in all tests with tables.
pub(crate) const IDS: DecodingIds = DecodingIds { eos: 0, pad: 1 };

pub(crate) struct TableModel<F> {
    vocabulary: usize,
    logits: F,
    sequences: Vec<(usize, Vec<u32>)>,
    /// How many sequences each step had.
    pub(crate) widths: Vec<usize>,
}

impl<F: Fn(usize, &[u32]) -> Vec<f32>> TableModel<F> {
    /// `logits` of a row's number and the ids so far.
    pub(crate) fn new(rows: usize, vocabulary: usize, logits: F) -> Self {
        let sequences = (0..rows).map(|row| (row, Vec::new())).collect();
        Self { vocabulary, logits, sequences, widths: Vec::new() }
    }
}

impl<F: Fn(usize, &[u32]) -> Vec<f32> + Send> StepModel for TableModel<F> {
    fn vocabulary_size(&self) -> usize {
        self.vocabulary
    }

    fn step(&mut self, last_ids: &[u32]) -> Result<Vec<f32>, Seq2SeqError> {
        assert_eq!(last_ids.len(), self.sequences.len());
        self.widths.push(last_ids.len());
        let grown = self.sequences.iter_mut().zip(last_ids);
        Ok(grown
            .flat_map(|((row, ids), last)| {
                ids.push(*last);
                (self.logits)(*row, ids)
            })
            .collect())
    }

    fn reorder(&mut self, from: &[usize]) -> Result<(), Seq2SeqError> {
        self.sequences = from.iter().map(|from| self.sequences[*from].clone()).collect();
        Ok(())
    }
}

/// A row that begins with this prompt.
pub(crate) fn row(prompt: &[u32]) -> DecodingRow {
    DecodingRow { prompt: prompt.to_vec(), ..Default::default() }
}

/// Decodes one row that begins with the id 2; `logits` are those of the ids so far.
pub(crate) fn found(options: &DecodingOptions, logits: impl Fn(&[u32]) -> Vec<f32> + Sync) -> Vec<Decoded> {
    let vocabulary = logits(&[2]).len();
    let mut model = TableModel::new(1, vocabulary, |_, ids: &[u32]| logits(ids));
    decode(&mut model, &[row(&[2])], IDS, options).unwrap().remove(0)
}

pub(crate) fn ids(found: &[Decoded]) -> Vec<Vec<u32>> {
    found.iter().map(|decoded| decoded.ids.clone()).collect()
}

/// Logits whose softmax are these probabilities.
pub(crate) fn logits_of(probabilities: &[f64]) -> Vec<f32> {
    probabilities.iter().map(|probability| probability.ln() as f32).collect()
}

/// Logits between −2 and 6 from a hash of a seed and the last two ids; the end is favoured a little. There are few enough different ones that
/// rounding makes none of them equal.
pub(crate) fn hashed(seed: u64, vocabulary: u32, ids: &[u32]) -> Vec<f32> {
    let place = ids.len() as u64;
    let context = ids.iter().rev().take(2).fold(mix(seed, place), |hash, id| mix(hash, u64::from(*id)));
    let logit = |id: u32| (mix(context, u64::from(id)) >> 52) as f32 / 512.0 - 2.0;
    (0..vocabulary).map(|id| logit(id) + if id == IDS.eos { 1.0 } else { 0.0 }).collect()
}

/// The finaliser of SplitMix64.
fn mix(hash: u64, value: u64) -> u64 {
    let mut mixed = (hash ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
