//! NLTK's METEOR.
//!
//! Three greedy stages on what is left by the one before: equal words, equal stems (Porter's), and words of which one is in a WordNet
//! synset of the other. Reference: `nltk.translate.meteor_score`, NLTK 3.10.

use std::collections::HashMap;
use std::sync::Arc;

use super::wordnet::WordNet;
use crate::stem::porter_stem;

/// Weight of recall against precision.
const ALPHA: f64 = 0.9;
/// Exponent of fragmentation.
const BETA: i32 = 3;
/// Weight of fragmentation.
const GAMMA: f64 = 0.5;

/// NLTK's `meteor_score` with its default parameters: `nltk-meteor`.
#[derive(Debug, Clone, Default)]
pub struct NltkMeteor {
    wordnet: Option<Arc<WordNet>>,
}

impl NltkMeteor {
    /// With WordNet's synonyms, or without: NLTK itself doesn't run without WordNet, so no published number is without.
    pub fn new(wordnet: Option<Arc<WordNet>>) -> Self {
        Self { wordnet }
    }

    /// Its name in signatures: `nltk-meteor`, or `nltk-meteor-no-wordnet`.
    pub fn name(&self) -> &'static str {
        if self.wordnet.is_some() { "nltk-meteor" } else { "nltk-meteor-no-wordnet" }
    }

    /// The score of a hypothesis, from 0 to 1: the highest over its references, 0 if there are none.
    ///
    /// Tokens are lower-cased first. With `m` matches, precision `P = m / |hypothesis|`, recall `R = m / |reference|` and
    /// `F = P R / (α P + (1 - α) R)`, the score is `F (1 - γ (chunks / m)^β)`; an equal text of `n` words so scores
    /// `1 - 0.5 / n³`. A corpus's score is the mean.
    pub fn score<T: AsRef<str>>(&self, hypothesis: &[T], references: &[impl AsRef<[T]>]) -> f64 {
        let hypothesis = lower_cased(hypothesis);
        let scores = references.iter().map(|reference| self.score_pair(&hypothesis, &lower_cased(reference.as_ref())));
        scores.fold(0.0, f64::max)
    }

    fn score_pair(&self, hypothesis: &[Token], reference: &[Token]) -> f64 {
        let matches = self.align(hypothesis.to_vec(), reference.to_vec());
        if matches.is_empty() {
            return 0.0;
        }
        let count = matches.len() as f64;
        let precision = count / hypothesis.len() as f64;
        let recall = count / reference.len() as f64;
        let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
        let fragmentation = chunks(&matches) as f64 / count;
        (1.0 - GAMMA * fragmentation.powi(BETA)) * mean
    }

    /// Positions in the hypothesis and the reference that match, by position in the hypothesis.
    fn align(&self, mut hypothesis: Vec<Token>, mut reference: Vec<Token>) -> Vec<(usize, usize)> {
        let mut matches = match_equal(&mut hypothesis, &mut reference);
        // What is left goes on as stems: synonyms are looked up for stems, too.
        for token in hypothesis.iter_mut().chain(&mut reference) {
            token.text = porter_stem(&token.text);
        }
        matches.extend(match_equal(&mut hypothesis, &mut reference));
        if let Some(wordnet) = &self.wordnet {
            matches.extend(match_synonyms(&hypothesis, &reference, wordnet));
        }
        matches.sort_unstable();
        matches
    }
}

/// A word that is not matched yet.
#[derive(Debug, Clone)]
struct Token {
    position: usize,
    text: String,
}

fn lower_cased(tokens: &[impl AsRef<str>]) -> Vec<Token> {
    let tokens = tokens.iter().enumerate();
    tokens.map(|(position, token)| Token { position, text: token.as_ref().to_lowercase() }).collect()
}

/// Matches equal words from the end and takes them out of both lists.
fn match_equal(hypothesis: &mut Vec<Token>, reference: &mut Vec<Token>) -> Vec<(usize, usize)> {
    let mut matches = Vec::new();
    let mut free = positions_by_word(reference);
    hypothesis.reverse();
    hypothesis.retain(|token| match free.get_mut(token.text.as_str()).and_then(Vec::pop) {
        Some(position) => {
            matches.push((token.position, position));
            false
        }
        None => true,
    });
    hypothesis.reverse();
    let mut matched: Vec<_> = matches.iter().map(|(_, position)| *position).collect();
    matched.sort_unstable();
    reference.retain(|token| matched.binary_search(&token.position).is_err());
    matches
}

/// Matches words from the end with the last word of the reference that is one of their synonyms.
fn match_synonyms(hypothesis: &[Token], reference: &[Token], wordnet: &WordNet) -> Vec<(usize, usize)> {
    let mut matches = Vec::new();
    let mut free = positions_by_word(reference);
    for token in hypothesis.iter().rev() {
        let synonyms = wordnet.synonyms(&token.text).into_iter().chain([token.text.as_str()]);
        let last = |word: &&str| free.get(word).and_then(|positions| positions.last()).copied();
        let best = synonyms.filter(|word| last(word).is_some()).max_by_key(last);
        if let Some(position) = best.and_then(|word| free.get_mut(word)).and_then(Vec::pop) {
            matches.push((token.position, position));
        }
    }
    matches
}

/// For each word its positions, ascending.
fn positions_by_word(tokens: &[Token]) -> HashMap<&str, Vec<usize>> {
    let mut positions: HashMap<_, Vec<_>> = HashMap::new();
    for token in tokens {
        positions.entry(token.text.as_str()).or_default().push(token.position);
    }
    positions
}

/// Runs of matches that are adjacent on both sides.
fn chunks(matches: &[(usize, usize)]) -> usize {
    matches.chunk_by(|(hypothesis, reference), next| (hypothesis + 1, reference + 1) == *next).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(hypothesis: &str, reference: &str) -> f64 {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        NltkMeteor::default().score(&words(hypothesis), &[words(reference)])
    }

    #[test]
    fn an_equal_text_scores_less_than_one() {
        assert_eq!(score("one two three", "One two three"), 1.0 - 0.5 / 27.0);
    }

    #[test]
    fn nothing_in_common_and_nothing_at_all_score_zero() {
        assert_eq!(score("one", "two"), 0.0);
        assert_eq!(score("", "two"), 0.0);
        assert_eq!(score("one", ""), 0.0);
        assert_eq!(NltkMeteor::default().score(&["one"], &[] as &[Vec<&str>]), 0.0);
    }

    #[test]
    fn words_match_from_the_end() {
        // The only "a" of the hypothesis takes the last of the reference, so that "a b" is two chunks.
        let expected = {
            let (precision, recall) = (1.0, 2.0 / 3.0);
            (1.0 - 0.5) * precision * recall / (0.9 * precision + 0.1 * recall)
        };
        assert!((score("a b", "a b a") - expected).abs() < 1e-15);
    }

    #[test]
    fn stems_match_and_the_best_reference_counts() {
        assert!(score("he hoped", "he hopes") > 0.9);
        let references = [vec!["no", "way"], vec!["my", "way"]];
        assert_eq!(NltkMeteor::default().score(&["my", "way"], &references), 1.0 - 0.5 / 8.0);
    }
}
