//! ParlAI's normalised words.

use super::Tokenizer;
use super::characters::{is_space, is_word, lower};

/// The words that ParlAI's F1 compares: lower case, without ASCII punctuation and without *a*, *an* and *the*. In signatures `parlai`.
///
/// ```
/// use esc_metrics::tokenize::{ParlaiWords, Tokenizer};
///
/// assert_eq!(ParlaiWords.tokens("That's the_end of an era."), ["that", "s", "end", "of", "era"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ParlaiWords;

impl Tokenizer for ParlaiWords {
    fn name(&self) -> String {
        "parlai".into()
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        let is_gap = |letter: char| is_space(letter) || letter.is_ascii_punctuation();
        for word in lower(text).split(is_gap).filter(|word| !word.is_empty()) {
            without_articles(word, token);
        }
    }
}

/// What is left of a word when articles are cut out of it. Almost always that is the word or nothing, but a curly apostrophe or an emoji may
/// stand next to an article.
fn without_articles(word: &str, token: &mut dyn FnMut(&str)) {
    let mut kept = 0;
    let mut at = 0;
    for part in word.split_inclusive(|letter| !is_word(letter)) {
        let letters = part.trim_end_matches(|letter| !is_word(letter));
        if matches!(letters, "a" | "an" | "the") {
            if kept < at {
                token(&word[kept..at]);
            }
            kept = at + letters.len();
        }
        at += part.len();
    }
    if kept < word.len() {
        token(&word[kept..]);
    }
}
