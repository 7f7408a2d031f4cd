//! BLEU as the COCO caption tools and nlg-eval compute it.

use std::sync::Arc;

use super::{BleuCounts, names};
use crate::metric::{ItemView, Metric};
use crate::ngram::MAX_ORDER;
use crate::tokenize::Tokenizer;

/// Keeps a fraction of nothing above zero; part of the definition, as perfect answers of two words show (BLEU-3 is 0.01).
const TINY: f64 = 1e-15;
/// Keeps denominators above zero.
const SMALL: f64 = 1e-9;

/// Which reference's length a hypothesis is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReferenceLength {
    /// The one closest to the hypothesis, the shorter of two.
    #[default]
    Closest,
    /// The shortest.
    Shortest,
    /// The mean of all.
    Average,
}

impl ReferenceLength {
    fn name(self) -> &'static str {
        match self {
            Self::Closest => "closest",
            Self::Shortest => "shortest",
            Self::Average => "average",
        }
    }
}

/// BLEU-1 to BLEU-4 of pycocoevalcap and nlg-eval, 0 to 1. BLEU-k is the geometric mean of `(matches + 1e-15) / (n-grams + 1e-9)`
/// of orders up to k, both summed over the corpus, times `exp(1 − 1/ratio)` where the corpus is shorter than its references.
#[derive(Clone)]
pub struct CocoBleu {
    tokenizer: Arc<dyn Tokenizer>,
    reference_length: ReferenceLength,
}

impl CocoBleu {
    /// With this tokenisation.
    pub fn new(tokenizer: Arc<dyn Tokenizer>, reference_length: ReferenceLength) -> Self {
        Self { tokenizer, reference_length }
    }

    /// BLEU-1 to BLEU-4 of counts.
    pub fn values(counts: &BleuCounts) -> [f64; MAX_ORDER] {
        let ratio = (counts.hypothesis_length + TINY) / (counts.reference_length + SMALL);
        let brevity_penalty = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|at| {
            product *= (counts.matches[at] + TINY) / (counts.totals[at] + SMALL);
            product.powf(1.0 / (at + 1) as f64) * brevity_penalty
        })
    }
}

impl Metric for CocoBleu {
    fn signature(&self) -> String {
        format!("bleu|coco|tok:{}|ref:{}", self.tokenizer.name(), self.reference_length.name())
    }

    fn names(&self) -> Vec<String> {
        names()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        let references = &item.tokens.references;
        let mut counts = BleuCounts::of(&item.tokens.hypothesis, references);
        let lengths = references.iter().map(|reference| reference.len() as f64);
        match self.reference_length {
            ReferenceLength::Closest => {}
            ReferenceLength::Shortest => counts.reference_length = lengths.fold(f64::INFINITY, f64::min),
            ReferenceLength::Average => counts.reference_length = lengths.sum::<f64>() / references.len() as f64,
        }
        counts.row()
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        Self::values(&BleuCounts::from_row(sums)).to_vec()
    }
}
