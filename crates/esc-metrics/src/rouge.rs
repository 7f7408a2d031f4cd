//! ROUGE (Lin, 2004) in the forms that papers print: [`RougeL`] of the COCO tools and of the thu-coai line, [`RougeScore`] of Google's package.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::corpus::TokenId;
use crate::lcs;
use crate::metric::{ItemView, Metric, means};
use crate::ngram::{count_of, counts, value_in};
use crate::tokenize::{RougeWords, Tokenizer};

/// Recall counts 1.2 times as much as precision.
const BETA: f64 = 1.2;

/// What the two empty texts of an item are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lineage {
    /// An empty text is one empty token there: two of them are alike.
    Coco,
    /// Nothing.
    ThuCoai,
}

/// ROUGE-L with β = 1.2, 0 to 1: `(1 + β²) P R / (R + β² P)` of the longest common subsequence, P and R each the best over the references. The
/// corpus value is the mean over items.
#[derive(Clone)]
pub struct RougeL {
    tokenizer: Arc<dyn Tokenizer>,
    lineage: Lineage,
}

impl RougeL {
    /// As pycocoevalcap and nlg-eval do: `rouge-l|coco`.
    pub fn coco(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer, lineage: Lineage::Coco }
    }

    /// As the thu-coai line does: `rouge-l|thu-coai`.
    pub fn thu_coai(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer, lineage: Lineage::ThuCoai }
    }

    fn score_of(&self, hypothesis: &[TokenId], references: &[Vec<TokenId>]) -> f64 {
        if hypothesis.is_empty() {
            let alike = self.lineage == Lineage::Coco && references.iter().any(Vec::is_empty);
            return f64::from(u8::from(alike));
        }
        let (mut precision, mut recall) = (0.0f64, 0.0f64);
        for reference in references.iter().filter(|reference| !reference.is_empty()) {
            let common = lcs::length(hypothesis, reference) as f64;
            precision = precision.max(common / hypothesis.len() as f64);
            recall = recall.max(common / reference.len() as f64);
        }
        if precision == 0.0 || recall == 0.0 {
            return 0.0;
        }
        (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
    }
}

impl Metric for RougeL {
    fn signature(&self) -> String {
        let lineage = if self.lineage == Lineage::Coco { "coco" } else { "thu-coai" };
        format!("rouge-l|{lineage}|tok:{}|beta:1.2", self.tokenizer.name())
    }

    fn names(&self) -> Vec<String> {
        vec!["rouge-l".into()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        vec![self.score_of(&item.tokens.hypothesis, &item.tokens.references)]
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }
}

/// Precision, recall and their harmonic mean, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PrecisionRecall {
    /// Shared over the hypothesis' own.
    pub precision: f64,
    /// Shared over the reference's own.
    pub recall: f64,
    /// Harmonic mean of the two; 0 if both are.
    pub f1: f64,
}

impl PrecisionRecall {
    /// Of counts. Without anything on one side both are 0.
    pub fn of(shared: usize, own: usize, reference: usize) -> Self {
        if own == 0 || reference == 0 || shared == 0 {
            return Self::default();
        }
        let (precision, recall) = (shared as f64 / own as f64, shared as f64 / reference as f64);
        Self { precision, recall, f1: 2.0 * precision * recall / (precision + recall) }
    }
}

/// ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of Google's `rouge-score`, F1, 0 to 1. Of several references the one with the best F1 counts; the
/// corpus value is the mean over items. ROUGE-Lsum takes lines as sentences.
#[derive(Clone)]
pub struct RougeScore {
    words: RougeWords,
}

impl RougeScore {
    /// With or without stems.
    pub fn new(words: RougeWords) -> Self {
        Self { words }
    }

    /// ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum of a pair of texts.
    pub fn pair(&self, hypothesis: &str, reference: &str) -> [PrecisionRecall; 4] {
        let mut numbers = Numbers::default();
        let mut lines = |text: &str| -> Vec<Vec<TokenId>> {
            text.split('\n').map(|line| numbers.tokens(line, &self.words)).collect()
        };
        let (own_lines, other_lines) = (lines(hypothesis), lines(reference));
        let (own, other) = (own_lines.concat(), other_lines.concat());
        [
            overlap(&own, &other, 1),
            overlap(&own, &other, 2),
            PrecisionRecall::of(lcs::length(&own, &other), own.len(), other.len()),
            summary(&own_lines, &other_lines),
        ]
    }
}

impl Metric for RougeScore {
    fn signature(&self) -> String {
        format!("rouge|rouge-score|tok:{}|f1", self.words.name())
    }

    fn names(&self) -> Vec<String> {
        ["rouge-1", "rouge-2", "rouge-l", "rouge-lsum"].map(str::to_owned).to_vec()
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        None
    }

    fn measure(&self, item: ItemView<'_>) -> Vec<f64> {
        let mut best = [0.0f64; 4];
        for reference in &item.item.references {
            for (best, found) in best.iter_mut().zip(self.pair(&item.item.hypothesis, reference)) {
                *best = best.max(found.f1);
            }
        }
        best.to_vec()
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }
}

/// Numbers of the words of one pair.
#[derive(Default)]
struct Numbers(HashMap<String, TokenId>);

impl Numbers {
    fn tokens(&mut self, text: &str, words: &RougeWords) -> Vec<TokenId> {
        let mut ids = Vec::new();
        words.tokenize(text, &mut |word| {
            let next = self.0.len() as TokenId;
            ids.push(*self.0.entry(word.to_owned()).or_insert(next));
        });
        ids
    }
}

/// Of the shared n-grams of an order, each as often as both sides have it.
pub(crate) fn overlap(own: &[TokenId], other: &[TokenId], order: usize) -> PrecisionRecall {
    let other_counts = counts(other, order);
    let shared: u32 = counts(own, order).iter().map(|(gram, count)| *count.min(&value_in(&other_counts, *gram))).sum();
    let count = |tokens: &[TokenId]| count_of(tokens.len(), order);
    PrecisionRecall::of(shared as usize, count(own), count(other))
}

/// Union of the longest common subsequences of each reference line with all lines, every token counted as often as both texts have it.
fn summary(own_lines: &[Vec<TokenId>], other_lines: &[Vec<TokenId>]) -> PrecisionRecall {
    let (own, other) = (own_lines.concat(), other_lines.concat());
    let (mut own_left, mut other_left) = (tally(&own), tally(&other));
    let mut shared = 0;
    for line in other_lines {
        let union: BTreeSet<usize> = own_lines.iter().flat_map(|own| lcs::positions(line, own)).collect();
        for token in union.into_iter().map(|at| line[at]) {
            if let (Some(own), Some(other)) = (own_left.get_mut(&token), other_left.get_mut(&token))
                && *own > 0
                && *other > 0
            {
                shared += 1;
                *own -= 1;
                *other -= 1;
            }
        }
    }
    PrecisionRecall::of(shared, own.len(), other.len())
}

fn tally(tokens: &[TokenId]) -> HashMap<TokenId, usize> {
    let mut tally = HashMap::new();
    for token in tokens {
        *tally.entry(*token).or_insert(0) += 1;
    }
    tally
}
