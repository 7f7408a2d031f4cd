//! What the COCO caption tools make of a text: Penn Treebank tokens in lower case, most punctuation dropped.

mod abbreviations;
mod marks;
mod words;

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use super::Tokenizer;
use super::characters::{char_at, is_space, lower};

/// Tokens of the COCO caption tools, in signatures `coco-ptb`. No published number on emotional support conversations uses them; image
/// captions are scored so.
///
/// Quotes, dashes and `. , : ; ? !` are dropped. Brackets are not, for the list of what is dropped has them in upper case; nor are runs such
/// as `?!`.
///
/// The original runs a Java program. The rules here were found by watching its answers, so they are close and not exact: of the 38,365 turns
/// of ESConv 6 come out otherwise. Not covered: the longer lists of abbreviations, currencies such as `US$`, addresses in the web without
/// `http`, `www` or a common ending, telephone numbers of other shapes than American ones, and rarer faces. The original also lets the first
/// word of the next text decide whether a single letter at the end keeps its period.
///
/// ```
/// use esc_metrics::tokenize::{CocoPtb, Tokenizer};
///
/// assert_eq!(CocoPtb.tokens("I can't, really (\"yet\")!!"), ["i", "ca", "n't", "really", "-lrb-", "yet", "-rrb-", "!!"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CocoPtb;

impl Tokenizer for CocoPtb {
    fn name(&self) -> String {
        "coco-ptb".into()
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        let text = without_entities(text);
        let mut at = 0;
        while let Some(first) = char_at(&text, at) {
            if is_skipped(first) {
                at += first.len_utf8();
                continue;
            }
            let Piece { length, shape } = words::piece(&text, at).unwrap_or_else(|| marks::piece(&text, at, first));
            let found = &text[at..at + length];
            match shape {
                Shape::Word => token(&lower(found)),
                Shape::Words(middle) => {
                    [&found[..middle], &found[middle..]].iter().for_each(|word| token(&lower(word)))
                }
                Shape::Clitic => token(&lower(found).replace('’', "'").replace('‘', "`")),
                Shape::Joined => {
                    token(&lower(found).replace('(', "-lrb-").replace(')', "-rrb-").replace(' ', "\u{a0}"))
                }
                Shape::Named(name) => token(name),
                Shape::Dropped => {}
            }
            at += length;
        }
    }
}

/// What stands at a place: how many bytes, and what becomes of them.
struct Piece {
    length: usize,
    shape: Shape,
}

enum Shape {
    /// A token as it is.
    Word,
    /// Two tokens; the second starts here.
    Words(usize),
    /// A token whose apostrophe is written as the typewriter's.
    Clitic,
    /// A token whose round brackets are written out and whose spaces do not break.
    Joined,
    /// A token of this name.
    Named(&'static str),
    /// Nothing.
    Dropped,
}

/// Decodes what matters to words around it.
fn without_entities(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return text.into();
    }
    text.replace("&quot;", "\"").replace("&apos;", "'").replace("&nbsp;", " ").replace("&amp;", "&").into()
}

/// White space, and what the original has no place for: controls, the figure dash, and all beyond the first 65,536 characters.
fn is_skipped(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_whitespace() || letter.is_ascii_control();
    }
    use GeneralCategory::{Control, Format, LetterNumber, NonspacingMark, PrivateUse, Unassigned};
    let has_no_place =
        matches!(letter.general_category(), Control | Format | LetterNumber | NonspacingMark | PrivateUse | Unassigned);
    is_space(letter) || letter == '\u{2012}' || letter > '\u{ffff}' || has_no_place
}
