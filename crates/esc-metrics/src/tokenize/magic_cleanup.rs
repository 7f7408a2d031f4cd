//! What MAGIC's evaluation does to generated texts before it scores them.

use super::characters::{char_before, is_word};
use super::rewrite::{Rewrite, run};

/// A hypothesis as MAGIC scores it: a space before each of `. , ! ? ; :` that follows a word character, one `.` for a run of them, one `!`
/// for a run of them, and no `"`. MAGIC scores references as they are.
///
/// ```
/// use esc_metrics::tokenize::clean_hypothesis;
///
/// assert_eq!(clean_hypothesis("I \"see\"... That's hard!!"), "I see. That's hard !");
/// assert_eq!(clean_hypothesis("At 9:30, maybe..."), "At 9 :30 , maybe .");
/// ```
pub fn clean_hypothesis(hypothesis: &str) -> String {
    let mut text = Rewrite::default();
    text.start(hypothesis);
    text.replace(|text, at, _| {
        let follows_word = is_mark(text.as_bytes()[at]) && char_before(text, at).is_some_and(is_word);
        follows_word.then(|| (1, [" ", &text[at..=at]]))
    });
    for mark in [b'.', b'!'] {
        text.replace(|text, at, _| match run(text.as_bytes(), at, mark) {
            0 => None,
            length => Some((length, [&text[at..=at]])),
        });
    }
    text.replace(|text, at, _| (text.as_bytes()[at] == b'"').then_some((1, [""])));
    text.into_text()
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'.' | b',' | b'!' | b'?' | b';' | b':')
}
