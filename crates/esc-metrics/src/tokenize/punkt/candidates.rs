//! Where a sentence may end.

use std::ops::Range;

use super::{is_blank, is_non_word};
use crate::tokenize::NltkVersion;
use crate::tokenize::characters::char_at;

/// A mark that may end a sentence.
pub(super) struct Candidate {
    /// The word before the mark, the mark, and the punctuation or the word behind it.
    pub(super) context: Range<usize>,
    /// Behind the mark.
    pub(super) end: usize,
    /// Where the next sentence would start.
    pub(super) next: usize,
}

/// The candidates of a text. Of several marks behind one word the last counts.
pub(super) fn candidates(text: &str, version: NltkVersion) -> impl Iterator<Item = Candidate> {
    let mut marks = marks(text, version).peekable();
    std::iter::from_fn(move || {
        loop {
            let candidate = marks.next()?;
            // The mark itself still belongs to the next context where no white space stands between.
            let overlaps = marks.peek().is_some_and(|next| next.context.start < candidate.end - 1);
            if !overlaps {
                return Some(candidate);
            }
        }
    })
}

fn marks(text: &str, version: NltkVersion) -> impl Iterator<Item = Candidate> {
    let bytes = text.as_bytes();
    let (mut word, mut last_mark) = (0, 0);
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += bytes[at..].iter().position(|byte| matches!(byte, b'.' | b'?' | b'!'))?;
            let mark = at;
            at += 1;
            let Some((next, context_end)) = behind(text, mark + 1, version) else { continue };
            // White space right at the last mark goes unnoticed, and the word starts where the last one did.
            let space = bytes[last_mark..mark].iter().rposition(|byte| b" \t\n\r\x0b\x0c".contains(byte));
            if let Some(space @ 1..) = space {
                word = last_mark + space + 1;
            }
            last_mark = mark;
            return Some(Candidate { context: word..context_end, end: mark + 1, next });
        }
    })
}

/// If punctuation stands here, or white space and a word: where the next sentence would start, and where the context ends.
fn behind(text: &str, at: usize, version: NltkVersion) -> Option<(usize, usize)> {
    let first = char_at(text, at)?;
    if is_non_word(first, version) {
        return Some((at, at + first.len_utf8()));
    }
    let is_blank = |letter| is_blank(letter, version);
    if !is_blank(first) {
        return None;
    }
    let word = text[at..].trim_start_matches(is_blank);
    let length = word.find(is_blank).unwrap_or(word.len());
    let next = text.len() - word.len();
    (length > 0).then_some((next, next + length))
}
