//! Control tokens and where they stand in a rendered chat.

use std::collections::HashMap;
use std::ops::Range;

/// A control token and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ControlToken {
    pub(super) text: String,
    pub(super) id: u32,
    /// Blanks before it belong to it.
    pub(super) strips_left: bool,
    /// Blanks after it belong to it.
    pub(super) strips_right: bool,
}

/// All control tokens of a vocabulary.
#[derive(Debug, Default)]
pub(super) struct ControlTokens {
    /// Longest first, so that the first match is the longest.
    tokens: Vec<ControlToken>,
    by_id: HashMap<u32, usize>,
    first_bytes: [bool; 32],
}

impl ControlTokens {
    pub(super) fn new(mut tokens: Vec<ControlToken>) -> Self {
        tokens.retain(|token| !token.text.is_empty());
        tokens.sort_by_key(|token| std::cmp::Reverse(token.text.len()));
        let by_id = tokens.iter().enumerate().map(|(number, token)| (token.id, number)).collect();
        let mut first_bytes = [false; 32];
        for token in &tokens {
            first_bytes[usize::from(token.text.as_bytes()[0] >> 3)] = true;
        }
        Self { tokens, by_id, first_bytes }
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.by_id.keys().copied()
    }

    pub(super) fn text(&self, id: u32) -> Option<&str> {
        self.by_id.get(&id).map(|number| self.tokens[*number].text.as_str())
    }

    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.tokens.iter().find(|token| token.text == text).map(|token| token.id)
    }

    /// The first of these texts that is a control token.
    pub(super) fn first_of(&self, texts: &[&str]) -> Option<String> {
        texts.iter().find(|text| self.id(text).is_some()).map(|text| (*text).to_owned())
    }

    /// Control tokens of a text from left to right, none of which touches a protected range, with the blanks that
    /// belong to them.
    pub(super) fn find(&self, text: &str, protected: &[Range<usize>]) -> Vec<(Range<usize>, u32)> {
        let mut found: Vec<(Range<usize>, u32)> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            match self.match_at(text, at, protected) {
                Some(token) => {
                    let end = at + token.text.len();
                    let from = found.last().map_or(0, |(range, _)| range.end);
                    let range = with_blanks(text, at..end, from, token, protected);
                    at = range.end;
                    found.push((range, token.id));
                }
                None => at += 1,
            }
        }
        found
    }

    fn match_at(&self, text: &str, at: usize, protected: &[Range<usize>]) -> Option<&ControlToken> {
        let rest = &text.as_bytes()[at..];
        if !self.first_bytes[usize::from(rest[0] >> 3)] {
            return None;
        }
        self.tokens
            .iter()
            .find(|token| rest.starts_with(token.text.as_bytes()) && !touches(&(at..at + token.text.len()), protected))
    }
}

fn touches(range: &Range<usize>, protected: &[Range<usize>]) -> bool {
    protected.iter().any(|one| range.start < one.end && one.start < range.end)
}

/// Widens a match by the blanks that its token strips, as far as they are not protected.
fn with_blanks(
    text: &str,
    range: Range<usize>,
    from: usize,
    token: &ControlToken,
    protected: &[Range<usize>],
) -> Range<usize> {
    let left = if token.strips_left { from + text[from..range.start].trim_end().len() } else { range.start };
    let right = if token.strips_right { text.len() - text[range.end..].trim_start().len() } else { range.end };
    let wide = left..right;
    if touches(&wide, protected) { range } else { wide }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(texts: &[&str]) -> ControlTokens {
        let token = |(id, text): (usize, &&str)| ControlToken {
            text: (*text).to_owned(),
            id: id as u32,
            strips_left: false,
            strips_right: false,
        };
        ControlTokens::new(texts.iter().enumerate().map(token).collect())
    }

    #[test]
    fn the_longest_token_wins() {
        assert_eq!(tokens(&["<a>", "<a><b>"]).find("x<a><b>", &[]), [(1..7, 1)]);
    }

    #[test]
    fn nothing_is_found_in_protected_text() {
        let tokens = tokens(&["</s>"]);
        let said = |range| std::slice::from_ref(range).to_vec();
        assert_eq!(tokens.find("a</s>b</s>", &said(&(0..3))), [(6..10, 0)]);
        assert_eq!(tokens.find("é</s>", &[]), [(2..6, 0)]);
        assert!(tokens.find("</s>", &said(&(1..2))).is_empty());
    }
}
