//! Google's rouge-score words.

use super::Tokenizer;
use super::characters::lower;
use crate::stem::porter_stem;

/// The words of the package `rouge-score`: lower case, runs of `a` to `z` and digits. In signatures `rouge-score`, or `rouge-score-stem`
/// where words of more than three characters are stemmed.
///
/// ```
/// use esc_metrics::tokenize::{RougeWords, Tokenizer};
///
/// assert_eq!(RougeWords::default().tokens("I'm naïve, 2 times."), ["i", "m", "na", "ve", "2", "times"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RougeWords {
    stems: bool,
}

impl RougeWords {
    /// Words of more than three characters are stemmed by Porter's algorithm with NLTK's extensions.
    pub fn stemmed() -> Self {
        Self { stems: true }
    }
}

impl Tokenizer for RougeWords {
    fn name(&self) -> String {
        if self.stems { "rouge-score-stem" } else { "rouge-score" }.into()
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        let text = lower(text);
        let is_inside = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        for word in text.split(|letter| !is_inside(letter)).filter(|word| !word.is_empty()) {
            if !self.stems || word.len() <= 3 {
                token(word);
                continue;
            }
            let stem = porter_stem(word);
            if !stem.is_empty() && stem.chars().all(is_inside) {
                token(&stem);
            }
        }
    }
}
