//! CIDEr (Vedantam et al., 2015): cosines of n-gram counts that are weighted by how rare the n-grams are.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::corpus::{TokenId, TokenItem};
use crate::error::Error;
use crate::metric::{ItemView, Metric, Statistics, means};
use crate::ngram::{MAX_ORDER, Ngram, counts, value_in};
use crate::tokenize::Tokenizer;

/// Width of the penalty for different lengths, in bigrams.
const SIGMA: f64 = 6.0;

/// Which of the two scores that are called CIDEr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What the COCO tools print under this name: clipped counts and a penalty for different lengths, features of CIDEr-D.
    Coco,
    /// The cosine alone.
    Plain,
}

/// CIDEr, 0 to 10: the mean over orders 1 to 4 of the similarity of tf-idf vectors, times 10, averaged over references and items.
///
/// How rare an n-gram is depends on the references of all items that are scored, so an item's value depends on its company, and
/// one item alone scores 0. A stored corpus's numbers ([`DocumentFrequencies`]) can be used instead.
#[derive(Clone)]
pub struct Cider {
    tokenizer: Arc<dyn Tokenizer>,
    kind: Kind,
    stored: Option<Arc<DocumentFrequencies>>,
}

impl Cider {
    /// What the COCO tools, nlg-eval and papers call CIDEr: `cider|coco`.
    pub fn coco(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer, kind: Kind::Coco, stored: None }
    }

    /// The cosine without clipping and penalty: `cider-plain`.
    pub fn plain(tokenizer: Arc<dyn Tokenizer>) -> Self {
        Self { tokenizer, kind: Kind::Plain, stored: None }
    }

    /// The same with the document frequencies of a stored corpus: `cider-d|df:NAME`.
    pub fn with_frequencies(self, stored: DocumentFrequencies) -> Self {
        Self { stored: Some(Arc::new(stored)), ..self }
    }
}

/// In how many documents (items' reference sets) n-grams occur.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DocumentFrequencies {
    /// Name in signatures.
    pub name: String,
    /// Documents in all.
    pub documents: usize,
    /// N-grams as their tokens joined by a space.
    pub counts: HashMap<String, u32>,
}

impl DocumentFrequencies {
    /// Counts the references of items under a tokenisation.
    pub fn of(name: impl Into<String>, references: &[Vec<String>], tokenizer: &dyn Tokenizer) -> Self {
        let mut counts: HashMap<String, u32> = HashMap::new();
        for texts in references {
            let mut seen: Vec<String> = texts.iter().flat_map(|text| all_grams(&tokenizer.tokens(text))).collect();
            seen.sort_unstable();
            seen.dedup();
            for gram in seen {
                *counts.entry(gram).or_insert(0) += 1;
            }
        }
        Self { name: name.into(), documents: references.len(), counts }
    }
}

fn all_grams(tokens: &[String]) -> Vec<String> {
    (1..=MAX_ORDER).flat_map(|order| tokens.windows(order).map(|gram| gram.join(" "))).collect()
}

impl Metric for Cider {
    fn signature(&self) -> String {
        let frequencies = self.stored.as_ref().map_or("refs", |stored| &stored.name);
        let name = match (self.kind, &self.stored) {
            (Kind::Coco, None) => "cider|coco",
            (Kind::Coco, Some(_)) => "cider-d",
            (Kind::Plain, _) => "cider-plain",
        };
        format!("{name}|tok:{}|df:{frequencies}", self.tokenizer.name())
    }

    fn names(&self) -> Vec<String> {
        vec!["cider".into()]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        Some(self.tokenizer.clone())
    }

    fn keeps_tokens(&self) -> bool {
        self.stored.is_none()
    }

    /// With stored frequencies an item's value is known at once; otherwise it waits for [`Self::complete`].
    fn measure(&self, view: ItemView<'_>) -> Vec<f64> {
        let Some(stored) = &self.stored else { return vec![0.0] };
        let word = |id: u32| view.vocabulary.token(id);
        let frequency = |gram: Ngram, order: usize| {
            let ids = (0..order).rev().map(|place| (gram >> (32 * place)) as TokenId);
            let text = ids.map(word).collect::<Vec<_>>().join(" ");
            stored.counts.get(&text).copied().unwrap_or(0)
        };
        vec![self.similarity(view.tokens, (stored.documents as f64).ln(), &frequency)]
    }

    fn complete(&self, statistics: &mut Statistics) -> Result<(), Error> {
        if self.stored.is_some() {
            return Ok(());
        }
        let frequencies = Frequencies::of(statistics.tokens());
        let documents = (statistics.items() as f64).ln();
        let of = |gram: Ngram, order: usize| frequencies.get(gram, order);
        let values =
            statistics.tokens().par_iter().map(|item| self.similarity(item, documents, &of)).collect::<Vec<f64>>();
        statistics.replace(1, values);
        Ok(())
    }

    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64> {
        means(sums, items)
    }
}

impl Cider {
    /// 10 times the mean over orders and references; `documents` is the logarithm of their number.
    fn similarity(&self, item: &TokenItem, documents: f64, frequency: &dyn Fn(Ngram, usize) -> u32) -> f64 {
        let vectors = |tokens: &[TokenId]| Vectors::of(tokens, documents, frequency);
        let hypothesis = vectors(&item.hypothesis);
        let sum: f64 = item.references.iter().map(|reference| self.compare(&hypothesis, &vectors(reference))).sum();
        10.0 * sum / MAX_ORDER as f64 / item.references.len().max(1) as f64
    }

    /// The sum over orders.
    fn compare(&self, hypothesis: &Vectors, reference: &Vectors) -> f64 {
        let distance = hypothesis.bigrams - reference.bigrams;
        let penalty = match self.kind {
            Kind::Coco => (-(distance * distance) / (2.0 * SIGMA * SIGMA)).exp(),
            Kind::Plain => 1.0,
        };
        let cosine = |order: usize| {
            let mut product = 0.0;
            for (gram, weight) in &hypothesis.weights[order] {
                let other = value_in(&reference.weights[order], *gram);
                product += if self.kind == Kind::Coco { weight.min(other) * other } else { weight * other };
            }
            let norms = hypothesis.norms[order] * reference.norms[order];
            if norms == 0.0 { product } else { product / norms }
        };
        (0..MAX_ORDER).map(cosine).sum::<f64>() * penalty
    }
}

/// tf-idf vectors of a text, an order each.
struct Vectors {
    weights: [Vec<(Ngram, f64)>; MAX_ORDER],
    norms: [f64; MAX_ORDER],
    /// The length that the penalty compares: the original counts bigrams.
    bigrams: f64,
}

impl Vectors {
    fn of(tokens: &[TokenId], documents: f64, frequency: &dyn Fn(Ngram, usize) -> u32) -> Self {
        let weights: [Vec<(Ngram, f64)>; MAX_ORDER] = std::array::from_fn(|at| {
            let weigh = |gram, count| f64::from(count) * (documents - f64::from(frequency(gram, at + 1).max(1)).ln());
            counts(tokens, at + 1).into_iter().map(|(gram, count)| (gram, weigh(gram, count))).collect()
        });
        let norms = std::array::from_fn(|at| weights[at].iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt());
        Self { weights, norms, bigrams: tokens.len().saturating_sub(1) as f64 }
    }
}

/// In how many items' references each n-gram occurs.
struct Frequencies {
    orders: [HashMap<Ngram, u32>; MAX_ORDER],
}

impl Frequencies {
    fn of(items: &[TokenItem]) -> Self {
        let orders: Vec<HashMap<Ngram, u32>> =
            (1..=MAX_ORDER).into_par_iter().map(|order| of_order(items, order)).collect();
        Self { orders: orders.try_into().unwrap_or_default() }
    }

    fn get(&self, gram: Ngram, order: usize) -> u32 {
        self.orders[order - 1].get(&gram).copied().unwrap_or(0)
    }
}

fn of_order(items: &[TokenItem], order: usize) -> HashMap<Ngram, u32> {
    let mut frequencies = HashMap::new();
    for item in items {
        let mut grams: Vec<Ngram> =
            item.references.iter().flat_map(|tokens| crate::ngram::ngrams(tokens, order)).collect();
        grams.sort_unstable();
        grams.dedup();
        for gram in grams {
            *frequencies.entry(gram).or_insert(0) += 1;
        }
    }
    frequencies
}
