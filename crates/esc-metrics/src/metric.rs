//! [`Metric`]: what a score is made of, item by item.
//!
//! Every corpus score here is a function of numbers that belong to single items: n-gram matches, lengths, an item's own score.
//! A metric measures them once; scores of any selection of items (a bootstrap sample, one strategy, one system's half) then
//! come from the numbers, and no text is looked at again.

use std::sync::Arc;

use rayon::prelude::*;

use crate::corpus::{Item, TokenItem, Vocabulary};
use crate::error::Error;
use crate::tokenize::Tokenizer;

/// A named variant of a score.
pub trait Metric: Send + Sync {
    /// Everything that decides the number, e.g. `bleu|coco|tok:nltk-lower:3.10|ref:closest`.
    fn signature(&self) -> String;

    /// Names of the values it gives, e.g. `bleu-1` to `bleu-4`.
    fn names(&self) -> Vec<String>;

    /// The tokenisation of the tokens it looks at; `None` if it looks at texts only.
    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>>;

    /// The sufficient statistics of one item; equally many numbers for every item.
    fn measure(&self, item: ItemView<'_>) -> Vec<f64>;

    /// The statistics of many items, in parallel; for metrics that can share work between items.
    fn measure_all(&self, items: &[ItemView<'_>]) -> Vec<Vec<f64>> {
        items.par_iter().with_min_len(64).map(|item| self.measure(*item)).collect()
    }

    /// The values of a selection from the sums of its items' statistics.
    fn values_of_sums(&self, sums: &[f64], items: usize) -> Vec<f64>;

    /// Whether [`Statistics::tokens`] are kept for [`Self::complete`] and [`Self::score`].
    fn keeps_tokens(&self) -> bool {
        false
    }

    /// Called once after all items were measured, for metrics that need to have seen all of them.
    ///
    /// # Errors
    /// What was collected does not suffice.
    fn complete(&self, _statistics: &mut Statistics) -> Result<(), Error> {
        Ok(())
    }

    /// Whether a bootstrap sample, in which items occur repeatedly, is a fair sample of this metric. Not so for counts of
    /// different n-grams.
    fn can_be_resampled(&self) -> bool {
        true
    }

    /// The values of a selection of items.
    fn score(&self, statistics: &Statistics, items: &mut dyn Iterator<Item = usize>) -> Vec<f64> {
        let mut sums = vec![0.0; statistics.width()];
        let mut count = 0;
        for item in items {
            for (sum, value) in sums.iter_mut().zip(statistics.row(item)) {
                *sum += value;
            }
            count += 1;
        }
        self.values_of_sums(&sums, count)
    }
}

/// An item as a metric sees it.
#[derive(Clone, Copy)]
pub struct ItemView<'a> {
    /// The texts.
    pub item: &'a Item,
    /// Their tokens; empty if the metric has no tokenizer.
    pub tokens: &'a TokenItem,
    /// What the tokens' numbers mean.
    pub vocabulary: &'a Vocabulary,
}

impl ItemView<'_> {
    /// The hypothesis' tokens, joined by a space.
    pub fn joined_hypothesis(&self) -> String {
        self.joined(&self.tokens.hypothesis)
    }

    /// Each reference's tokens, joined by a space.
    pub fn joined_references(&self) -> Vec<String> {
        self.tokens.references.iter().map(|tokens| self.joined(tokens)).collect()
    }

    fn joined(&self, tokens: &[u32]) -> String {
        let words: Vec<&str> = tokens.iter().map(|id| self.vocabulary.token(*id)).collect();
        words.join(" ")
    }
}

/// The sufficient statistics of all items, a row each.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    width: usize,
    values: Vec<f64>,
    tokens: Vec<TokenItem>,
    items: usize,
}

impl Statistics {
    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many items were measured.
    pub fn items(&self) -> usize {
        self.items
    }

    /// The numbers of an item.
    ///
    /// # Panics
    /// If there is no such item.
    pub fn row(&self, item: usize) -> &[f64] {
        &self.values[item * self.width..(item + 1) * self.width]
    }

    /// Tokens of every item, if the metric keeps them.
    pub fn tokens(&self) -> &[TokenItem] {
        &self.tokens
    }

    /// Adds an item's row.
    pub(crate) fn push(&mut self, row: &[f64], tokens: Option<&TokenItem>) {
        debug_assert!(self.items == 0 || self.width == row.len(), "rows of one metric are equally long");
        self.width = row.len();
        self.values.extend_from_slice(row);
        self.tokens.extend(tokens.cloned());
        self.items += 1;
    }

    /// Replaces all rows.
    pub(crate) fn replace(&mut self, width: usize, values: Vec<f64>) {
        debug_assert_eq!(values.len(), width * self.items);
        self.width = width;
        self.values = values;
    }
}

/// Sums divided by the number of items; 0 without items.
pub(crate) fn means(sums: &[f64], items: usize) -> Vec<f64> {
    sums.iter().map(|sum| if items == 0 { 0.0 } else { sum / items as f64 }).collect()
}

/// Part of a whole; 0 of nothing.
pub(crate) fn share(part: usize, of: usize) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}
