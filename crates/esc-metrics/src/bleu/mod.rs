//! BLEU (Papineni et al., 2002) in the three forms that papers print: [`CocoBleu`], [`NltkBleu`], [`SacreBleu`].
//!
//! All three compare clipped n-gram matches with the hypothesis' n-grams, both summed over the corpus, and punish short hypotheses. They
//! differ in tokenisation, in what happens where nothing matches, and in whose length counts.

mod coco;
mod nltk;
mod sacre;

pub use coco::{CocoBleu, ReferenceLength};
pub use nltk::{NltkBleu, Smoothing, sentence_bleu};
pub(crate) use sacre::VERSION as SACREBLEU_VERSION;
pub use sacre::{SacreBleu, SacreSmoothing};

use crate::corpus::TokenId;
use crate::ngram::{MAX_ORDER, Ngram, count_of, counts, value_in};

/// N-gram matches and lengths of an item, or their sums over items.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BleuCounts {
    /// Matched n-grams of order 1 to 4, each clipped by its largest count in a reference.
    pub matches: [f64; MAX_ORDER],
    /// N-grams of the hypothesis.
    pub totals: [f64; MAX_ORDER],
    /// Tokens of the hypothesis.
    pub hypothesis_length: f64,
    /// Tokens of the reference whose length counts.
    pub reference_length: f64,
}

/// Numbers in a row of statistics.
const WIDTH: usize = 2 * MAX_ORDER + 2;

impl BleuCounts {
    /// Of one item; the reference length is the closest one, the shorter of two that are equally close.
    pub fn of(hypothesis: &[TokenId], references: &[Vec<TokenId>]) -> Self {
        let lengths = references.iter().map(Vec::len);
        Self {
            matches: std::array::from_fn(|at| matches(hypothesis, references, at + 1)),
            totals: std::array::from_fn(|at| count_of(hypothesis.len(), at + 1) as f64),
            hypothesis_length: hypothesis.len() as f64,
            reference_length: closest(hypothesis.len(), lengths) as f64,
        }
    }

    fn row(&self) -> Vec<f64> {
        [&self.matches[..], &self.totals, &[self.hypothesis_length, self.reference_length]].concat()
    }

    /// Of a row or a sum of rows; what is missing is 0.
    fn from_row(row: &[f64]) -> Self {
        let at = |at: usize| row.get(at).copied().unwrap_or(0.0);
        Self {
            matches: std::array::from_fn(at),
            totals: std::array::from_fn(|order| at(MAX_ORDER + order)),
            hypothesis_length: at(WIDTH - 2),
            reference_length: at(WIDTH - 1),
        }
    }
}

/// Clipped matches of one order.
fn matches(hypothesis: &[TokenId], references: &[Vec<TokenId>], order: usize) -> f64 {
    let counted: Vec<Vec<(Ngram, u32)>> = references.iter().map(|reference| counts(reference, order)).collect();
    let clipped = counts(hypothesis, order).into_iter().map(|(gram, count)| {
        let most = counted.iter().map(|counted| value_in(counted, gram)).max().unwrap_or(0);
        count.min(most) as usize
    });
    clipped.sum::<usize>() as f64
}

fn closest(length: usize, references: impl Iterator<Item = usize>) -> usize {
    references.min_by_key(|reference| (reference.abs_diff(length), *reference)).unwrap_or(0)
}

/// `bleu-1` to `bleu-4`.
fn names() -> Vec<String> {
    (1..=MAX_ORDER).map(|order| format!("bleu-{order}")).collect()
}
