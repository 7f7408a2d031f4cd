//! BlenderBot-small's own tokenizer: lower-cased words, punctuation split off, byte pairs over characters.
//!
//! A piece that does not end its word is written with `@@` behind it. The vocabulary has not all pieces that merges make: those are
//! unknown, as in the reference.

use std::collections::HashSet;

use llm_runtime::tokenizer::{ControlSegment, ControlTokenText, ControlTokens, Vocabulary};

use super::SpecialText;
use super::added::AddedToken;
use super::pair_merges::PairMerges;
use crate::Seq2SeqError;

/// Stands for a newline that follows a word.
pub(super) const NEWLINE: &str = "__newln__";
/// Says that the word goes on.
pub(super) const CONTINUED: &str = "@@";

/// The vocabulary, the merges, and the tokens that are matched before them.
#[derive(Clone)]
pub(super) struct BlenderbotSmall {
    vocabulary: Vocabulary,
    merges: PairMerges,
    unknown: u32,
    special: HashSet<u32>,
    /// Tokens around which decoding sets blanks, whatever stands beside them.
    apart: HashSet<u32>,
    ordinary_tokens: ControlTokens,
    all_tokens: ControlTokens,
}

impl BlenderbotSmall {
    /// `vocabulary` is that of the file; `added` adds to it.
    pub(super) fn new(vocabulary: Vocabulary, merges: PairMerges, unknown: u32, added: &[AddedToken]) -> Self {
        let mut tokenizer = Self {
            vocabulary,
            merges,
            unknown,
            special: HashSet::new(),
            apart: HashSet::new(),
            ordinary_tokens: ControlTokens::new(Vec::new()),
            all_tokens: ControlTokens::new(Vec::new()),
        };
        tokenizer.set_added(added);
        tokenizer
    }

    /// Takes the added tokens, all of them.
    pub(super) fn set_added(&mut self, added: &[AddedToken]) {
        for token in added {
            self.vocabulary.insert(token.id, &token.content);
        }
        let ids =
            |keep: fn(&AddedToken) -> bool| added.iter().filter(|token| keep(token)).map(|token| token.id).collect();
        self.special = ids(|token| token.special);
        self.apart = ids(|token| token.is_extra || !token.special);
        let tokens = |token: &AddedToken| token.control_token();
        self.ordinary_tokens = ControlTokens::new(added.iter().filter(|token| !token.special).map(tokens).collect());
        self.all_tokens = ControlTokens::new(added.iter().map(tokens).collect());
    }

    pub(super) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub(super) fn merges(&self) -> &PairMerges {
        &self.merges
    }

    /// Appends the ids of a text.
    pub(super) fn encode(&self, text: &str, special: SpecialText, ids: &mut Vec<u32>) {
        let tokens = match special {
            SpecialText::IsText => &self.ordinary_tokens,
            SpecialText::IsToken => &self.all_tokens,
        };
        for segment in tokens.split(text, &[]) {
            match segment {
                ControlSegment::Control(id, _) => ids.push(id),
                ControlSegment::Plain(range) => {
                    for piece in text.get(range).into_iter().flat_map(pieces) {
                        self.encode_piece(&piece.to_lowercase(), special, ids);
                    }
                }
            }
        }
    }

    /// The text of ids, as the reference puts it together: pieces with blanks between them, none behind `@@`.
    ///
    /// # Errors
    /// An id that no token has.
    pub(super) fn decode(&self, ids: &[u32], special: ControlTokenText) -> Result<String, Seq2SeqError> {
        let mut groups: Vec<String> = Vec::new();
        let mut pieces: Vec<&str> = Vec::new();
        for id in ids {
            let piece = self.vocabulary.piece(*id).ok_or_else(|| {
                let size = self.vocabulary.size();
                Seq2SeqError::Invalid(format!("token id {id} is outside the vocabulary of {size} tokens"))
            })?;
            if special == ControlTokenText::Skip && self.special.contains(id) {
                continue;
            }
            if self.apart.contains(id) {
                groups.extend(glued(&mut pieces));
                groups.push(piece.to_owned());
            } else {
                pieces.push(piece);
            }
        }
        groups.extend(glued(&mut pieces));
        Ok(groups.join(" "))
    }

    fn encode_piece(&self, piece: &str, special: SpecialText, ids: &mut Vec<u32>) {
        let parts = self.merges.split(piece);
        let last = parts.len().saturating_sub(1);
        let mut token = String::new();
        for (index, part) in parts.into_iter().enumerate() {
            token.clear();
            token.push_str(part);
            if index < last {
                token.push_str(CONTINUED);
            }
            ids.push(self.id(&token, special));
        }
    }

    /// The id of a token that merges have made.
    fn id(&self, token: &str, special: SpecialText) -> u32 {
        let id = self.vocabulary.id(token).unwrap_or(self.unknown);
        let is_forbidden = special == SpecialText::IsText && self.special.contains(&id);
        if is_forbidden { self.unknown } else { id }
    }
}

/// What byte pairs are looked for in: words without their punctuation marks, punctuation marks, and newlines that follow a word.
///
/// A mark of `.,!?()` begins a new piece and keeps what follows it; an apostrophe stands alone, and the blank that the reference sets
/// behind it swallows a newline.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    words(text).flat_map(|(word, newline)| {
        let mut pieces = Vec::new();
        let mut start = 0;
        for (at, character) in word.char_indices() {
            match character {
                '.' | ',' | '!' | '?' | '(' | ')' => {
                    pieces.push(&word[start..at]);
                    start = at;
                }
                '\'' => {
                    pieces.extend([&word[start..at], "'"]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        pieces.push(&word[start..]);
        pieces.retain(|piece| !piece.is_empty());
        pieces.extend((newline && !word.ends_with('\'')).then_some(NEWLINE));
        pieces
    })
}

/// Runs of what is not blank, and whether a newline follows directly.
fn words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let (word, behind) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        rest = behind;
        (!word.is_empty()).then_some((word, behind.starts_with('\n')))
    })
}

/// Takes all pieces and gives their text, if there is any.
fn glued(pieces: &mut Vec<&str>) -> Option<String> {
    let text = pieces.join(" ").replace("@@ ", "");
    pieces.clear();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_split_off_and_newlines_are_seen_behind_words_only() {
        let split = |text| pieces(text).collect::<Vec<_>>();
        assert_eq!(split("it's (3.5)..."), ["it", "'", "s", "(3", ".5", ")", ".", ".", "."]);
        assert_eq!(split("a\n\nb \n c\r\nd\u{85}e"), ["a", NEWLINE, "b", "c", "d", "e"]);
        assert_eq!(split("'tis\nhis'\n\n"), ["'", "tis", NEWLINE, "his", "'"]);
        assert!(split(" \n\u{a0}").is_empty());
    }
}
