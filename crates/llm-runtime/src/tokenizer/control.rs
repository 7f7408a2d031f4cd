//! Finding control tokens in a rendered prompt, and only where the template put them.
//!
//! Control tokens are matched here and not in the `tokenizers` library, which would also find them in what a user wrote.
//! The rules are the library's: leftmost, then longest, with the blanks that a token claims (`lstrip`, `rstrip`).

use std::ops::Range;

/// A token that stands for something other than its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlToken {
    /// Its id.
    pub id: u32,
    /// What it looks like in a text.
    pub text: String,
    /// Takes the blanks before it.
    pub strips_left: bool,
    /// Takes the blanks after it.
    pub strips_right: bool,
    /// Only between characters that are no letters.
    pub single_word: bool,
}

impl ControlToken {
    /// A token that takes no blanks and is found inside words too.
    pub fn new(id: u32, text: &str) -> Self {
        Self { id, text: text.into(), strips_left: false, strips_right: false, single_word: false }
    }

    fn stands_alone(&self, text: &str, at: usize) -> bool {
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        let before = text[..at].chars().next_back().is_some_and(is_word);
        let after = text[at + self.text.len()..].chars().next().is_some_and(is_word);
        !before && !after
    }
}

/// A piece of a rendered text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlSegment {
    /// Bytes between control tokens.
    Plain(Range<usize>),
    /// A control token and the bytes that it takes.
    Control(u32, Range<usize>),
}

/// All control tokens of a tokenizer.
#[derive(Debug, Clone)]
pub struct ControlTokens {
    /// Longest first.
    tokens: Vec<ControlToken>,
    begins: [bool; 256],
}

impl ControlTokens {
    /// Takes them in any order; those without a text are never found.
    pub fn new(mut tokens: Vec<ControlToken>) -> Self {
        tokens.retain(|token| !token.text.is_empty());
        tokens.sort_by_key(|token| std::cmp::Reverse(token.text.len()));
        let mut begins = [false; 256];
        for token in &tokens {
            begins[usize::from(token.text.as_bytes()[0])] = true;
        }
        Self { tokens, begins }
    }

    /// Cuts a text at the control tokens that touch none of the protected byte ranges.
    pub fn split(&self, text: &str, protected: &[Range<usize>]) -> Vec<ControlSegment> {
        let protected = Protected::new(protected);
        let mut segments = Vec::new();
        let (mut plain, mut at) = (0, 0);
        while at < text.len() {
            let Some(token) = self.at(text, at, &protected) else {
                at += 1;
                continue;
            };
            let end = at + token.text.len();
            let before = if token.strips_left { protected.blanks_before(text, plain..at) } else { at };
            let after = if token.strips_right { protected.blanks_after(text, end) } else { end };
            if plain < before {
                segments.push(ControlSegment::Plain(plain..before));
            }
            segments.push(ControlSegment::Control(token.id, before..after));
            plain = after;
            at = after;
        }
        if plain < text.len() {
            segments.push(ControlSegment::Plain(plain..text.len()));
        }
        segments
    }

    /// The longest free control token at a byte position.
    fn at(&self, text: &str, at: usize, protected: &Protected) -> Option<&ControlToken> {
        if !self.begins[usize::from(text.as_bytes()[at])] || !text.is_char_boundary(at) {
            return None;
        }
        self.tokens.iter().find(|token| {
            text[at..].starts_with(token.text.as_str())
                && !protected.touches(at..at + token.text.len())
                && (!token.single_word || token.stands_alone(text, at))
        })
    }
}

/// Byte ranges in which nothing is a control token.
struct Protected {
    /// Sorted, disjoint, none empty.
    ranges: Vec<Range<usize>>,
}

impl Protected {
    fn new(ranges: &[Range<usize>]) -> Self {
        let mut sorted: Vec<Range<usize>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
        sorted.sort_unstable_by_key(|range| range.start);
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        Self { ranges }
    }

    fn touches(&self, range: Range<usize>) -> bool {
        let next = self.ranges.partition_point(|protected| protected.end <= range.start);
        self.ranges.get(next).is_some_and(|protected| protected.start < range.end)
    }

    fn blanks_before(&self, text: &str, range: Range<usize>) -> usize {
        let mut start = range.end;
        for (at, character) in text[range.clone()].char_indices().rev() {
            let at = range.start + at;
            if !character.is_whitespace() || self.touches(at..start) {
                break;
            }
            start = at;
        }
        start
    }

    fn blanks_after(&self, text: &str, from: usize) -> usize {
        let mut end = from;
        for character in text[from..].chars() {
            let next = end + character.len_utf8();
            if !character.is_whitespace() || self.touches(end..next) {
                break;
            }
            end = next;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::ControlSegment::{Control, Plain};
    use super::*;

    fn tokens() -> ControlTokens {
        let mask = ControlToken { strips_left: true, ..ControlToken::new(3, "<mask>") };
        let end = ControlToken { strips_right: true, ..ControlToken::new(4, "<end>") };
        ControlTokens::new(vec![ControlToken::new(1, "<s>"), ControlToken::new(2, "<s><s>"), mask, end])
    }

    #[test]
    fn the_longest_token_wins() {
        assert_eq!(tokens().split("<s><s><s>a", &[]), [Control(2, 0..6), Control(1, 6..9), Plain(9..10)]);
    }

    #[test]
    fn a_protected_token_is_text_and_a_shorter_free_one_is_found() {
        assert_eq!(tokens().split("<s><s>", std::slice::from_ref(&(3..6))), [Control(1, 0..3), Plain(3..6)]);
        assert_eq!(tokens().split("<s>", std::slice::from_ref(&(1..2))), [Plain(0..3)]);
    }

    #[test]
    fn an_empty_protected_range_protects_nothing() {
        assert_eq!(tokens().split("<s>", std::slice::from_ref(&(1..1))), [Control(1, 0..3)]);
    }

    #[test]
    fn tokens_take_blanks_that_are_not_protected() {
        assert_eq!(tokens().split("a  <mask>", &[]), [Plain(0..1), Control(3, 1..9)]);
        assert_eq!(tokens().split("a  <mask>", std::slice::from_ref(&(0..2))), [Plain(0..2), Control(3, 2..9)]);
        assert_eq!(tokens().split("<end> \n b", &[]), [Control(4, 0..8), Plain(8..9)]);
    }
}
