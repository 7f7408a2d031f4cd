//! BLEU as NLTK computes it, with its smoothing methods (Chen and Cherry, 2014).

use std::sync::Arc;

use super::{BleuCounts, matches, names};
use crate::corpus::TokenId;
use crate::error::Error;
use crate::metric::{ItemView, Metric};
use crate::ngram::{MAX_ORDER, count_of};
use crate::tokenize::Tokenizer;

/// What becomes of orders without a match; numbered as in NLTK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smoothing {
    /// 0: the smallest positive float, so that one empty order of four gives about 1e-78.
    None,
    /// 1: 0.1 matches.
    Epsilon,
    /// 2: one match and one n-gram more, from order 2 on.
    AddOne,
    /// 3: `1 / 2^k` matches, k counting the empty orders. What the thu-coai line uses.
    Halving,
    /// 4: as 3, more for short hypotheses: `ln(length) / (5 · 2^k)`.
    HalvingByLength,
    /// 5: the mean of the neighbouring orders. One sentence at a time; may exceed 1.
    Neighbours,
    /// 6: a prior from the two lower orders. One sentence at a time, and only with a trigram match.
    Interpolated,
    /// 7: 4, then 5. One sentence at a time.
    HalvingAndNeighbours,
}

impl Smoothing {
    /// NLTK's number of the method.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Epsilon => 1,
            Self::AddOne => 2,
            Self::Halving => 3,
            Self::HalvingByLength => 4,
            Self::Neighbours => 5,
            Self::Interpolated => 6,
            Self::HalvingAndNeighbours => 7,
        }
    }

    /// The method with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::None,
            Self::Epsilon,
            Self::AddOne,
            Self::Halving,
            Self::HalvingByLength,
            Self::Neighbours,
            Self::Interpolated,
            Self::HalvingAndNeighbours,
        ]
        .into_iter()
        .find(|method| method.number() == number)
    }
}

/// BLEU-1 to BLEU-4 of NLTK's `corpus_bleu`, 0 to 1. Short hypotheses count as one n-gram of every order in the denominators, so values differ
/// slightly from [`super::CocoBleu`].
#[derive(Clone)]
pub struct NltkBleu {
    tokenizer: Arc<dyn Tokenizer>,
    smoothing: Smoothing,
}

impl NltkBleu {
    /// With this tokenisation and smoothing.
    ///
    /// # Errors
    /// The smoothing is one of those that take single sentences ([`sentence_bleu`] has them).
    pub fn new(tokenizer: Arc<dyn Tokenizer>, smoothing: Smoothing) -> Result<Self, Error> {
        if smoothing.number() > 4 {
            let problem = format!("smoothing {} needs one sentence, not a corpus", smoothing.number());
            return Err(Error::Undefined { metric: "bleu|nltk", problem });
        }
        Ok(Self { tokenizer, smoothing })
    }
}

impl Metric for NltkBleu {
    fn signature(&self) -> String {
        format!("bleu|nltk|tok:{}|ref:closest|smooth:{}", self.tokenizer.name(), self.smoothing.number())
    }

    fn names(&self) -> Vec<String> {
        names()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        let mut counts = BleuCounts::of(&item.tokens.hypothesis, &item.tokens.references);
        counts.totals = counts.totals.map(|total| total.max(1.0));
        counts.row()
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        let counts = BleuCounts::from_row(sums);
        (1..=MAX_ORDER)
            .map(|order| {
                let fractions: Vec<Fraction> = (0..order).map(|at| Fraction::of(&counts, at)).collect();
                let smoothed = smooth_counts(&fractions, self.smoothing, counts.hypothesis_length);
                combine(&counts, &smoothed)
            })
            .collect()
    }
}

/// BLEU of one sentence with equal weights up to `order` (1 to 4), any smoothing, 0 to 1 (method 5 and 7 may exceed 1).
///
/// # Errors
/// The order is out of range, or method 6 is asked for an order below 3 or without a trigram match.
pub fn sentence_bleu(
    hypothesis: &[TokenId],
    references: &[Vec<TokenId>],
    order: usize,
    smoothing: Smoothing,
) -> Result<f64, Error> {
    if !(1..=MAX_ORDER).contains(&order) {
        return Err(Error::Setting(format!("BLEU of order {order}: expected 1 to {MAX_ORDER}")));
    }
    let mut counts = BleuCounts::of(hypothesis, references);
    counts.totals = counts.totals.map(|total| total.max(1.0));
    if counts.matches[0] == 0.0 {
        return Ok(0.0);
    }
    let fractions: Vec<Fraction> = (0..order).map(|at| Fraction::of(&counts, at)).collect();
    let neighbours = |precisions: &[f64]| neighbours(precisions, five_gram_precision(hypothesis, references));
    let plain = || fractions.iter().map(Fraction::value).collect::<Vec<f64>>();
    let smoothed = match smoothing {
        Smoothing::Neighbours => neighbours(&plain()),
        Smoothing::Interpolated => interpolated(&fractions, hypothesis.len())?,
        Smoothing::HalvingAndNeighbours => {
            neighbours(&smooth_counts(&fractions, Smoothing::HalvingByLength, counts.hypothesis_length))
        }
        _ => smooth_counts(&fractions, smoothing, counts.hypothesis_length),
    };
    Ok(combine(&counts, &smoothed))
}

/// Matches over n-grams, never reduced: smoothing changes the two apart.
#[derive(Clone, Copy)]
struct Fraction {
    matches: f64,
    total: f64,
}

impl Fraction {
    fn of(counts: &BleuCounts, at: usize) -> Self {
        Self { matches: counts.matches[at], total: counts.totals[at] }
    }

    fn value(&self) -> f64 {
        self.matches / self.total
    }
}

/// Methods 0 to 4.
fn smooth_counts(fractions: &[Fraction], smoothing: Smoothing, hypothesis_length: f64) -> Vec<f64> {
    let mut empty_orders = 0;
    fractions
        .iter()
        .enumerate()
        .map(|(at, fraction)| {
            let Fraction { matches, total } = *fraction;
            if smoothing == Smoothing::AddOne && at > 0 {
                return (matches + 1.0) / (total + 1.0);
            }
            if matches > 0.0 {
                return matches / total;
            }
            empty_orders += 1;
            let halved = 0.5f64.powi(empty_orders);
            match smoothing {
                Smoothing::None => f64::MIN_POSITIVE,
                Smoothing::Epsilon => 0.1 / total,
                Smoothing::Halving => halved / total,
                Smoothing::HalvingByLength if hypothesis_length > 1.0 => halved * hypothesis_length.ln() / 5.0 / total,
                _ => 0.0,
            }
        })
        .collect()
}

/// Method 5: each precision becomes the mean of itself, the next one and the one before as it was changed.
fn neighbours(precisions: &[f64], next_order: f64) -> Vec<f64> {
    let next = precisions.iter().skip(1).copied().chain(std::iter::once(next_order));
    let mut before = precisions.first().map_or(1.0, |first| first + 1.0);
    precisions
        .iter()
        .zip(next)
        .map(|(precision, next)| {
            before = (before + precision + next) / 3.0;
            before
        })
        .collect()
}

/// Method 6: from order 3 on, five pseudo-counts of what the two orders before lead one to expect.
fn interpolated(fractions: &[Fraction], length: usize) -> Result<Vec<f64>, Error> {
    let undefined = |problem: &str| Error::Undefined { metric: "bleu|nltk|smooth:6", problem: problem.into() };
    match fractions.get(2) {
        None => return Err(undefined("needs order 3 or more")),
        Some(fraction) if fraction.matches == 0.0 => return Err(undefined("needs a trigram match")),
        Some(_) => {}
    }
    let mut precisions: Vec<f64> = fractions.iter().map(Fraction::value).collect();
    for at in 2..precisions.len() {
        let (before, last) = (precisions[at - 2], precisions[at - 1]);
        let prior = if before == 0.0 { 0.0 } else { last * last / before };
        precisions[at] = (fractions[at].matches + 5.0 * prior) / (count_of(length, at + 1) as f64 + 5.0);
    }
    Ok(precisions)
}

/// The precision of order 5, which method 5 looks at whatever the order asked for.
fn five_gram_precision(hypothesis: &[TokenId], references: &[Vec<TokenId>]) -> f64 {
    let (short, long) = pair_tokens(hypothesis, references);
    matches(&short, &long, 4) / count_of(hypothesis.len(), 5).max(1) as f64
}

/// Numbers the neighbouring pairs of tokens, so that n-grams of five tokens are n-grams of four pairs.
fn pair_tokens(hypothesis: &[TokenId], references: &[Vec<TokenId>]) -> (Vec<TokenId>, Vec<Vec<TokenId>>) {
    let mut numbers = std::collections::HashMap::new();
    let mut pairs = |tokens: &[TokenId]| -> Vec<TokenId> {
        tokens
            .windows(2)
            .map(|pair| {
                let next = numbers.len() as TokenId;
                *numbers.entry((pair[0], pair[1])).or_insert(next)
            })
            .collect()
    };
    (pairs(hypothesis), references.iter().map(|reference| pairs(reference)).collect())
}

/// Geometric mean with brevity penalty. Orders without a value are left out of the sum, not of the weights.
fn combine(counts: &BleuCounts, precisions: &[f64]) -> f64 {
    if counts.matches[0] == 0.0 || counts.hypothesis_length == 0.0 {
        return 0.0;
    }
    let BleuCounts { hypothesis_length, reference_length, .. } = *counts;
    let brevity_penalty =
        if hypothesis_length > reference_length { 1.0 } else { (1.0 - reference_length / hypothesis_length).exp() };
    let weight = 1.0 / precisions.len() as f64;
    let sum: f64 =
        precisions.iter().filter(|precision| **precision > 0.0).map(|precision| weight * precision.ln()).sum();
    brevity_penalty * sum.exp()
}
