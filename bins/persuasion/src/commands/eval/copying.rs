//! Which replies copy: eight or more words in a row that stand in the post or in a reply of the training.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Words in a row that are a copy.
pub(super) const RUN: usize = 8;

/// Runs of words of texts, as hashes of 64 bits.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs(HashSet<u64>);

impl Runs {
    /// Those of one text.
    pub(super) fn of(text: &str) -> Self {
        let mut runs = Self::default();
        runs.add(text);
        runs
    }

    /// Those of one more text.
    pub(super) fn add(&mut self, text: &str) {
        self.0.extend(runs_of(text));
    }

    /// Whether a text has a run of them.
    pub(super) fn occur_in(&self, text: &str) -> bool {
        runs_of(text).iter().any(|run| self.0.contains(run))
    }
}

/// Case and marks at the ends of words do not tell a copy apart.
fn runs_of(text: &str) -> Vec<u64> {
    let text = text.to_lowercase();
    let words = text.split_whitespace().map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let hash = |run: &[&str]| {
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    words.windows(RUN).map(hash).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_words_in_a_row_are_a_copy_and_seven_are_not() {
        let runs = Runs::of("One two three, four five six seven EIGHT nine.");
        assert!(runs.occur_in("Well: \"one two three four - five six seven eight\" is what you said"));
        assert!(runs.occur_in("two three four five six seven eight nine"));
        assert!(!runs.occur_in("one two three four five six seven, and nine"));
        assert!(!Runs::of("one two three").occur_in("one two three"));
        assert!(!Runs::default().occur_in("one two three four five six seven eight"));
    }
}
