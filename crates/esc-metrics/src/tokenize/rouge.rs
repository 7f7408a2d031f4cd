//! Google's rouge-score words.

use super::Tokenizer;
use super::characters::lower;

/// The words of the package `rouge-score`: lower case, runs of `a` to `z` and digits. In signatures `rouge-score`, or `rouge-score-stem`
/// where words of more than three characters are stemmed.
///
/// ```
/// use esc_metrics::tokenize::{RougeWords, Tokenizer};
///
/// assert_eq!(RougeWords::default().tokens("I'm naïve, 2 times."), ["i", "m", "na", "ve", "2", "times"]);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RougeWords {
    stem: Option<fn(&str) -> String>,
}

impl RougeWords {
    /// Stems with this function, which the original has Porter's stemmer for, with NLTK's extensions.
    pub fn stemmed(stem: fn(&str) -> String) -> Self {
        Self { stem: Some(stem) }
    }
}

impl Tokenizer for RougeWords {
    fn name(&self) -> String {
        if self.stem.is_some() { "rouge-score-stem" } else { "rouge-score" }.into()
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        let text = lower(text);
        let is_inside = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        for word in text.split(|letter| !is_inside(letter)).filter(|word| !word.is_empty()) {
            match self.stem {
                Some(stem) if word.len() > 3 => {
                    let stem = stem(word);
                    if !stem.is_empty() && stem.chars().all(is_inside) {
                        token(&stem);
                    }
                }
                _ => token(word),
            }
        }
    }
}
