//! BERTScore's matching: how well the tokens of two texts match by their contextual embeddings.
//!
//! With token embeddings x of the hypothesis and y of a reference, scaled to length 1, and token weights w, P = Σ w(x)
//! max_y x·y / Σ w(x), R = Σ w(y) max_x x·y / Σ w(y), F = 2PR / (P + R) (Zhang et al., ICLR 2020). Which encoder and
//! layer the embeddings come from is the caller's business, and belongs into the signature beside the number.
//!
//! ```
//! use esc_metrics::bertscore::{BertScore, TokenEmbeddings};
//!
//! // Two tokens and one token of an encoder of width 2.
//! let hypothesis = TokenEmbeddings::new(&[1.0_f32, 0.0, 0.0, 2.0], 2)?;
//! let reference = TokenEmbeddings::new(&[3.0_f32, 0.0], 2)?;
//! let score = BertScore::of(&hypothesis, &reference)?;
//! assert_eq!((score.precision, score.recall), (0.5, 1.0));
//! # Ok::<(), esc_metrics::Error>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::embedding::{dot, normalise};

/// The embeddings of a text's tokens, special ones included, and their weights.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEmbeddings {
    width: usize,
    /// `[token, width]`, each token's of length 1, or 0 where it is zero.
    values: Vec<f64>,
    weights: Vec<f64>,
}

impl TokenEmbeddings {
    /// From the encoder's output of one text, flat: `[token, width]`. Every token weighs 1.
    ///
    /// # Errors
    /// The numbers do not fill whole tokens, or one is not finite.
    pub fn new<T: Copy + Into<f64>>(values: &[T], width: usize) -> Result<Self, Error> {
        if width == 0 || !values.len().is_multiple_of(width) {
            let found = values.len();
            return Err(Error::Setting(format!("{found} numbers are no whole number of embeddings of width {width}")));
        }
        let mut values: Vec<f64> = values.iter().map(|value| (*value).into()).collect();
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::Setting(format!("the embedding of token {} is not finite", place / width)));
        }
        values.chunks_exact_mut(width).for_each(normalise);
        let weights = vec![1.0; values.len() / width];
        Ok(Self { width, values, weights })
    }

    /// Weighs tokens, e.g. by [`Idf`]. A token of weight 0 (bert-score gives it to special tokens, with or without idf)
    /// does not count itself, but others may still match it.
    ///
    /// # Errors
    /// There are more or fewer weights than tokens, or one is negative or not finite.
    pub fn with_weights(self, weights: Vec<f64>) -> Result<Self, Error> {
        if weights.len() != self.weights.len() {
            let (left, right) = (self.weights.len(), weights.len());
            return Err(Error::Lengths { what: "embedded tokens and weights", left, right });
        }
        if let Some(token) = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err(Error::Setting(format!("token {token} weighs {}: weights start at 0", weights[token])));
        }
        Ok(Self { weights, ..self })
    }

    /// Tokens.
    pub fn tokens(&self) -> usize {
        self.weights.len()
    }

    /// The places of tokens that weigh 0.
    pub(crate) fn weightless(&self) -> impl Iterator<Item = usize> + '_ {
        self.weights.iter().enumerate().filter(|(_, weight)| **weight == 0.0).map(|(place, _)| place)
    }

    fn vectors(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    fn weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// The weighted mean of values of the tokens.
    fn mean(&self, values: &[f64]) -> f64 {
        dot(&self.weights, values) / self.weight()
    }
}

/// How well the tokens of two texts match; -1 to 1 before rescaling.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BertScore {
    /// Of the hypothesis' tokens.
    pub precision: f64,
    /// Of the reference's tokens.
    pub recall: f64,
    /// Harmonic mean of the two; 0 where they cancel.
    pub f1: f64,
}

impl BertScore {
    /// Matches a hypothesis with a reference. All is 0 if either has no token with a weight, as bert-score reports it.
    ///
    /// # Errors
    /// The embeddings differ in width.
    pub fn of(hypothesis: &TokenEmbeddings, reference: &TokenEmbeddings) -> Result<Self, Error> {
        if hypothesis.width != reference.width {
            let (left, right) = (hypothesis.width, reference.width);
            return Err(Error::Lengths { what: "widths of two texts' embeddings", left, right });
        }
        if [hypothesis, reference].iter().any(|text| text.weight() == 0.0) {
            return Ok(Self { precision: 0.0, recall: 0.0, f1: 0.0 });
        }
        let mut best_of_hypothesis = vec![f64::NEG_INFINITY; hypothesis.tokens()];
        let mut best_of_reference = vec![f64::NEG_INFINITY; reference.tokens()];
        for (token, best) in hypothesis.vectors().zip(&mut best_of_hypothesis) {
            for (other, best_of_other) in reference.vectors().zip(&mut best_of_reference) {
                let cosine = dot(token, other);
                *best = best.max(cosine);
                *best_of_other = best_of_other.max(cosine);
            }
        }
        Ok(Self::new(hypothesis.mean(&best_of_hypothesis), reference.mean(&best_of_reference)))
    }

    /// The best of several references: the largest of each number, as bert-score takes it. `None` without references.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn best_of(hypothesis: &TokenEmbeddings, references: &[TokenEmbeddings]) -> Result<Option<Self>, Error> {
        let scores = references.iter().map(|reference| Self::of(hypothesis, reference));
        let scores = scores.collect::<Result<Vec<Self>, Error>>()?;
        Ok(scores.into_iter().reduce(|best, other| Self {
            precision: best.precision.max(other.precision),
            recall: best.recall.max(other.recall),
            f1: best.f1.max(other.f1),
        }))
    }

    /// (x - b) / (1 - b) for each number x and its baseline b, the mean score of texts that have nothing to do with one
    /// another.
    ///
    /// # Errors
    /// A baseline is not below 1.
    pub fn rescaled(&self, baseline: &Self) -> Result<Self, Error> {
        let rescale = |value: f64, baseline: f64| {
            let problem = || Error::Setting(format!("a baseline of {baseline}: it must be a number below 1"));
            (baseline < 1.0).then(|| (value - baseline) / (1.0 - baseline)).ok_or_else(problem)
        };
        Ok(Self {
            precision: rescale(self.precision, baseline.precision)?,
            recall: rescale(self.recall, baseline.recall)?,
            f1: rescale(self.f1, baseline.f1)?,
        })
    }

    fn new(precision: f64, recall: f64) -> Self {
        let f1 = 2.0 * precision * recall / (precision + recall);
        Self { precision, recall, f1: if f1.is_finite() { f1 } else { 0.0 } }
    }
}

/// Token weights by how few references hold a token: ln((N + 1) / (df + 1)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Idf {
    references: usize,
    frequencies: BTreeMap<u32, usize>,
    special: BTreeSet<u32>,
}

impl Idf {
    /// Counts the references' token ids; `special` ones (beginning, separator) weigh 0.
    pub fn of_references<R: AsRef<[u32]>>(references: &[R], special: &[u32]) -> Self {
        let mut frequencies = BTreeMap::new();
        for reference in references {
            for token in reference.as_ref().iter().collect::<BTreeSet<_>>() {
                *frequencies.entry(*token).or_insert(0) += 1;
            }
        }
        Self { references: references.len(), frequencies, special: special.iter().copied().collect() }
    }

    /// A token's weight; ln(N + 1) if no reference holds it.
    pub fn weight(&self, token: u32) -> f64 {
        if self.special.contains(&token) {
            return 0.0;
        }
        let frequency = self.frequencies.get(&token).copied().unwrap_or(0);
        ((self.references + 1) as f64 / (frequency + 1) as f64).ln()
    }

    /// The weights of a text's tokens.
    pub fn weights(&self, tokens: &[u32]) -> Vec<f64> {
        tokens.iter().map(|token| self.weight(*token)).collect()
    }
}
