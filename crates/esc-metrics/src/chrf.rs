//! chrF and chrF++ (Popović, 2015, 2017) as sacreBLEU computes them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bleu::SACREBLEU_VERSION as VERSION;
use crate::metric::{ItemView, Metric};
use crate::tokenize::Tokenizer;
use crate::tokenize::characters::is_space;

/// Orders of character n-grams.
const CHARACTER_ORDERS: usize = 6;
/// Recall counts twice as much as precision.
const BETA: f64 = 2.0;

/// F-score of character n-grams of order 1 to 6 (white space left out) and, as chrF++, of word n-grams of order 1 and 2; 0 to 100:
/// `100 · (1 + β²) P R / (β² P + R)` with β = 2. Precision `P` and recall `R` are averaged over the orders that both sides have. Of several
/// references the best counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chrf {
    word_orders: usize,
}

impl Chrf {
    /// chrF2.
    pub fn new() -> Self {
        Self { word_orders: 0 }
    }

    /// chrF2++.
    pub fn with_words() -> Self {
        Self { word_orders: 2 }
    }

    /// Statistics of a pair: n-grams of the hypothesis, of the reference and of both, order by order.
    fn pair(&self, hypothesis: &Grams, reference: &str) -> Vec<f64> {
        let reference = Grams::of(reference, self.word_orders);
        hypothesis
            .orders
            .iter()
            .zip(&reference.orders)
            .flat_map(|(own, other)| {
                let shared: usize = own.iter().map(|(gram, count)| *count.min(other.get(gram).unwrap_or(&0))).sum();
                // An order that the reference is too short for is not held against the hypothesis.
                let counted: usize = if other.is_empty() { 0 } else { own.values().sum() };
                [counted, other.values().sum(), shared].map(|count| count as f64)
            })
            .collect()
    }
}

impl Default for Chrf {
    fn default() -> Self {
        Self::new()
    }
}

impl Metric for Chrf {
    fn signature(&self) -> String {
        format!(
            "chrf|sacrebleu|case:mixed|nc:{CHARACTER_ORDERS}|nw:{}|space:no|beta:2|version:{VERSION}",
            self.word_orders
        )
    }

    fn names(&self) -> Vec<String> {
        vec![if self.word_orders == 0 { "chrf2".into() } else { "chrf2++".into() }]
    }

    fn tokenizer(&self) -> Option<Arc<dyn Tokenizer>> {
        None
    }

    fn measure(&self, view: ItemView<'_>) -> Vec<f64> {
        let hypothesis = Grams::of(&view.item.hypothesis, self.word_orders);
        let pairs = view.item.references.iter().map(|reference| self.pair(&hypothesis, reference));
        // The first of equally good references.
        let best = pairs.reduce(|best, other| if f_score(&other) > f_score(&best) { other } else { best });
        best.unwrap_or_default()
    }

    fn values_of_sums(&self, sums: &[f64], _items: usize) -> Vec<f64> {
        vec![f_score(sums)]
    }
}

/// Counted n-grams of a text by order: characters first, then words.
struct Grams {
    orders: Vec<HashMap<String, usize>>,
}

impl Grams {
    fn of(text: &str, word_orders: usize) -> Self {
        let characters: Vec<char> = text.chars().filter(|letter| !is_space(*letter)).collect();
        let words: Vec<&str> = text.split(is_space).filter(|word| !word.is_empty()).flat_map(apart).collect();
        let by_characters =
            (1..=CHARACTER_ORDERS).map(|order| count(characters.windows(order).map(|gram| gram.iter().collect())));
        let by_words = (1..=word_orders).map(|order| count(words.windows(order).map(|gram| gram.join(" "))));
        Self { orders: by_characters.chain(by_words).collect() }
    }
}

fn count(grams: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut counted = HashMap::new();
    for gram in grams {
        *counted.entry(gram).or_insert(0) += 1;
    }
    counted
}

/// Splits one punctuation mark off a word: at its end or else at its start.
fn apart(word: &str) -> Vec<&str> {
    let is_mark = |letter: char| letter.is_ascii_punctuation();
    let mut letters = word.chars();
    match (letters.next(), letters.next_back()) {
        (Some(_), Some(last)) if is_mark(last) => vec![&word[..word.len() - 1], &word[word.len() - 1..]],
        (Some(first), Some(_)) if is_mark(first) => vec![&word[..1], &word[1..]],
        _ => vec![word],
    }
}

fn f_score(counts: &[f64]) -> f64 {
    let usable: Vec<&[f64]> = counts.chunks_exact(3).filter(|order| order[0] > 0.0 && order[1] > 0.0).collect();
    let mean = |at: usize| usable.iter().map(|order| order[2] / order[at]).sum::<f64>() / usable.len() as f64;
    let (precision, recall) = (mean(0), mean(1));
    if usable.is_empty() || precision + recall == 0.0 {
        return 0.0;
    }
    let factor = BETA * BETA;
    100.0 * (1.0 + factor) * precision * recall / (factor * precision + recall)
}
