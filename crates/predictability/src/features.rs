//! Feature vectors, dense or sparse, and counts of word n-grams.

use std::collections::{HashMap, HashSet};

use crate::error::Error;

/// Vectors of equal width.
#[derive(Debug, Clone, PartialEq)]
pub enum Features {
    /// `[items, width]`, row after row.
    Dense {
        /// Values of a row.
        width: usize,
        /// All values.
        values: Vec<f32>,
    },
    /// For each item its columns, ascending, with their values.
    Sparse {
        /// Number of columns.
        width: usize,
        /// Rows.
        rows: Vec<Vec<(u32, f32)>>,
    },
}

impl Features {
    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Self::Dense { width, values } => values.len() / (*width).max(1),
            Self::Sparse { rows, .. } => rows.len(),
        }
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of columns.
    pub fn width(&self) -> usize {
        match self {
            Self::Dense { width, .. } | Self::Sparse { width, .. } => *width,
        }
    }

    /// Only these items, in this order.
    pub fn select(&self, items: &[usize]) -> Self {
        match self {
            Self::Dense { width, values } => {
                let values = items.iter().flat_map(|item| &values[item * width..(item + 1) * width]).copied().collect();
                Self::Dense { width: *width, values }
            }
            Self::Sparse { width, rows } => {
                Self::Sparse { width: *width, rows: items.iter().map(|item| rows[*item].clone()).collect() }
            }
        }
    }

    /// Checks that every value is finite.
    ///
    /// # Errors
    /// The first item that is not.
    pub fn check(&self) -> Result<(), Error> {
        let broken = match self {
            Self::Dense { width, values } => values.iter().position(|value| !value.is_finite()).map(|at| at / width),
            Self::Sparse { rows, .. } => rows.iter().position(|row| row.iter().any(|(_, value)| !value.is_finite())),
        };
        match broken {
            Some(item) => Err(Error::Vector { item, problem: "a value is not finite".into() }),
            None => Ok(()),
        }
    }

    /// Calls `add` with every column of an item that is not zero.
    pub(crate) fn for_each(&self, item: usize, mut add: impl FnMut(usize, f64)) {
        match self {
            Self::Dense { width, values } => {
                for (column, value) in values[item * width..(item + 1) * width].iter().enumerate() {
                    add(column, f64::from(*value));
                }
            }
            Self::Sparse { rows, .. } => {
                rows[item].iter().for_each(|(column, value)| add(*column as usize, f64::from(*value)))
            }
        }
    }
}

/// The text that the lexical predictor reads of a response, and whether the response has the form it was asked for.
///
/// Lower-cased; what follows the last `assistant: ` (its absence is a format error); the label is deleted, so that a model
/// that only repeats its order is not credited.
pub fn response_text(response: &str, label: &str) -> (String, bool) {
    let lower = response.to_lowercase();
    let found = lower.rfind("assistant: ");
    let text = found.map_or(lower.as_str(), |at| &lower[at + "assistant: ".len()..]);
    let label = label.to_lowercase();
    let text = if label.is_empty() { text.to_owned() } else { text.replace(&label, "") };
    (text, found.is_some())
}

const STOP_WORDS: &str = include_str!("../data/stop_words.txt");

/// Counts of word n-grams, as scikit-learn's `CountVectorizer` makes them: lower-cased, words of two or more letters, digits or
/// underscores, stop words removed before n-grams are built, n-grams in too many texts left out.
#[derive(Debug, Clone)]
pub struct NgramCounter {
    smallest: usize,
    largest: usize,
    most_texts: f64,
    stop_words: HashSet<String>,
    columns: HashMap<String, u32>,
    names: Vec<String>,
}

impl NgramCounter {
    /// Learns the n-grams of `smallest` to `largest` words that stand in at most `most_texts` (a share) of the texts.
    /// `stop_words` replaces the built-in English list.
    ///
    /// # Errors
    /// The sizes or the share make no sense, or nothing is left.
    pub fn fit(
        texts: &[String],
        (smallest, largest): (usize, usize),
        most_texts: f64,
        stop_words: Option<&[&str]>,
    ) -> Result<Self, Error> {
        if smallest == 0 || smallest > largest || !(most_texts > 0.0 && most_texts <= 1.0) {
            return Err(Error::Setting(format!(
                "n-grams of {smallest} to {largest} words in {most_texts} of the texts"
            )));
        }
        let stop_words = match stop_words {
            Some(words) => words.iter().map(|word| (*word).to_owned()).collect(),
            None => STOP_WORDS.split_whitespace().map(str::to_owned).collect(),
        };
        let mut counter =
            Self { smallest, largest, most_texts, stop_words, columns: HashMap::new(), names: Vec::new() };
        counter.learn(texts);
        if counter.names.is_empty() { Err(Error::NoFeatures) } else { Ok(counter) }
    }

    fn learn(&mut self, texts: &[String]) {
        let mut in_texts: HashMap<String, usize> = HashMap::new();
        for text in texts {
            let distinct: HashSet<String> = self.ngrams(text).into_iter().collect();
            distinct.into_iter().for_each(|ngram| *in_texts.entry(ngram).or_default() += 1);
        }
        let most = self.most_texts * texts.len() as f64;
        let kept = in_texts.into_iter().filter(|(_, count)| *count as f64 <= most);
        self.names = kept.map(|(ngram, _)| ngram).collect();
        self.names.sort_unstable();
        self.columns = self.names.iter().enumerate().map(|(at, name)| (name.clone(), at as u32)).collect();
    }

    fn ngrams(&self, text: &str) -> Vec<String> {
        let words = words(text);
        let words: Vec<&str> =
            words.iter().map(String::as_str).filter(|word| !self.stop_words.contains(*word)).collect();
        let sizes = self.smallest..=self.largest;
        sizes.flat_map(|size| words.windows(size).map(|ngram| ngram.join(" "))).collect()
    }

    /// Counts of the learned n-grams in texts.
    pub fn count(&self, texts: &[String]) -> Features {
        let row = |text: &String| {
            let mut counts: HashMap<u32, f32> = HashMap::new();
            for ngram in self.ngrams(text) {
                if let Some(column) = self.columns.get(&ngram) {
                    *counts.entry(*column).or_default() += 1.0;
                }
            }
            let mut counts: Vec<(u32, f32)> = counts.into_iter().collect();
            counts.sort_unstable_by_key(|(column, _)| *column);
            counts
        };
        Features::Sparse { width: self.names.len(), rows: texts.iter().map(row).collect() }
    }

    /// The n-gram of every column.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// Runs of two or more letters, digits or underscores, lower-cased.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    lower.split(|letter| !is_word(letter)).filter(|word| word.chars().nth(1).is_some()).map(str::to_owned).collect()
}
