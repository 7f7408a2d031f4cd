//! [`Scorer`]: measures items with many metrics in one pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::corpus::{Item, TokenItem, Vocabulary};
use crate::error::Error;
use crate::metric::{ItemView, Metric, Statistics};

/// Measures items with many metrics in one pass.
///
/// Items come in chunks of any size and are forgotten once measured: what stays are a few numbers per metric and item, and
/// token numbers for the metrics that need them. Chunks are worked on in parallel; results do not depend on the
/// number of threads or on how items are cut into chunks.
pub struct Scorer {
    metrics: Vec<Arc<dyn Metric>>,
    statistics: Vec<Statistics>,
    vocabularies: BTreeMap<String, Vocabulary>,
    items: usize,
}

impl Scorer {
    /// A scorer that has seen nothing.
    pub fn new(metrics: Vec<Arc<dyn Metric>>) -> Self {
        let statistics = metrics.iter().map(|_| Statistics::default()).collect();
        Self { metrics, statistics, vocabularies: BTreeMap::new(), items: 0 }
    }

    /// Measures more items.
    ///
    /// # Errors
    /// An item has no reference.
    pub fn push(&mut self, items: &[Item]) -> Result<(), Error> {
        if let Some(at) = items.iter().position(|item| item.references.is_empty()) {
            return Err(Error::NoReference(self.items + at));
        }
        self.items += items.len();
        let tokens = self.tokenize(items);
        let none = (Vec::new(), Vocabulary::default());
        for (metric, statistics) in self.metrics.iter().zip(&mut self.statistics) {
            let name = metric.tokenizer().map(|tokenizer| tokenizer.name());
            let (tokens, vocabulary) = match &name {
                Some(name) => (&tokens[name], &self.vocabularies[name]),
                None => (&none.0, &none.1),
            };
            measure(metric.as_ref(), items, tokens, vocabulary, statistics);
        }
        Ok(())
    }

    /// Cuts items with every tokenizer that a metric asks for, once each.
    fn tokenize(&mut self, items: &[Item]) -> BTreeMap<String, Vec<TokenItem>> {
        let mut tokens = BTreeMap::new();
        for tokenizer in self.metrics.iter().filter_map(|metric| metric.tokenizer()) {
            let name = tokenizer.name();
            let vocabulary = self.vocabularies.entry(name.clone()).or_default();
            tokens.entry(name).or_insert_with(|| vocabulary.tokenize(items, tokenizer.as_ref()));
        }
        tokens
    }

    /// What was measured, metric by metric.
    ///
    /// # Errors
    /// There were no items, or a metric can't do with those there were.
    pub fn finish(mut self) -> Result<Vec<Measured>, Error> {
        if self.items == 0 {
            return Err(Error::Empty("there are no items"));
        }
        for (metric, statistics) in self.metrics.iter().zip(&mut self.statistics) {
            metric.complete(statistics)?;
        }
        let measured = self.metrics.into_iter().zip(self.statistics);
        Ok(measured.map(|(metric, statistics)| Measured { metric, statistics }).collect())
    }
}

/// A metric with what it measured.
#[derive(Clone)]
pub struct Measured {
    /// The metric.
    pub metric: Arc<dyn Metric>,
    /// Its numbers, a row per item.
    pub statistics: Statistics,
}

impl Measured {
    /// Measures items with one metric.
    ///
    /// # Errors
    /// As [`Scorer::push`] and [`Scorer::finish`].
    pub fn of(metric: Arc<dyn Metric>, items: &[Item]) -> Result<Self, Error> {
        let mut scorer = Scorer::new(vec![metric]);
        scorer.push(items)?;
        let mut measured = scorer.finish()?;
        measured.pop().ok_or(Error::Empty("there is no metric"))
    }

    /// The values over all items, in the order of [`Metric::names`].
    pub fn values(&self) -> Vec<f64> {
        self.metric.score(&self.statistics, &mut (0..self.statistics.items()))
    }

    /// The values of one item alone.
    pub fn values_of(&self, item: usize) -> Vec<f64> {
        self.metric.score(&self.statistics, &mut std::iter::once(item))
    }
}

fn measure(
    metric: &dyn Metric,
    items: &[Item],
    tokens: &[TokenItem],
    vocabulary: &Vocabulary,
    statistics: &mut Statistics,
) {
    let no_tokens = TokenItem::default();
    let tokens_of = |at: usize| tokens.get(at).unwrap_or(&no_tokens);
    let views: Vec<ItemView<'_>> =
        items.iter().enumerate().map(|(at, item)| ItemView { item, tokens: tokens_of(at), vocabulary }).collect();
    let rows = metric.measure_all(&views);
    for (at, row) in rows.iter().enumerate() {
        statistics.push(row, metric.keeps_tokens().then(|| tokens_of(at)));
    }
}
