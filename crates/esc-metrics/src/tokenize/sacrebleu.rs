//! sacreBLEU's tokenisers.

use super::Tokenizer;
use super::characters::{char_at, char_before, is_number, is_punctuation, is_space, is_symbol, lower};
use super::rewrite::{Found, Rewrite};

/// How sacreBLEU cuts a text (its option `--tokenize`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SacreBleuScheme {
    /// As `mteval-v13a` of WMT: ASCII symbols apart, periods and commas where no digits stand around them. sacreBLEU's default.
    #[default]
    V13a,
    /// As `mteval-v14` with `--international-tokenization`: Unicode's punctuation and symbols.
    International,
    /// Every character.
    Char,
    /// White space only.
    None,
}

impl SacreBleuScheme {
    /// The part after `tok:` in sacreBLEU's signatures.
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::International => "intl",
            Self::Char => "char",
            Self::None => "none",
        }
    }
}

/// sacreBLEU's tokens: `13a`, `intl`, `char` or `none`, with `-lower` behind it where the text is lower-cased first (`case:lc`).
///
/// ```
/// use esc_metrics::tokenize::{SacreBleuScheme, SacreBleuWords, Tokenizer};
///
/// let words = SacreBleuWords::new(SacreBleuScheme::V13a);
/// assert_eq!(words.tokens("It's 9.30, isn't it?"), ["It's", "9.30", ",", "isn't", "it", "?"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SacreBleuWords {
    scheme: SacreBleuScheme,
    lowercase: bool,
}

impl SacreBleuWords {
    /// Keeps the case.
    pub fn new(scheme: SacreBleuScheme) -> Self {
        Self { scheme, lowercase: false }
    }

    /// Lower-cases first.
    pub fn lowercase(self) -> Self {
        Self { lowercase: true, ..self }
    }

    /// How it cuts, for `tok:` in a signature.
    pub fn scheme(&self) -> SacreBleuScheme {
        self.scheme
    }

    /// Whether it lower-cases first, for `case:` in a signature.
    pub fn is_lowercase(&self) -> bool {
        self.lowercase
    }
}

impl Tokenizer for SacreBleuWords {
    fn name(&self) -> String {
        let case = if self.lowercase { "-lower" } else { "" };
        format!("{}{case}", self.scheme.name())
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        let text = if self.lowercase { lower(text) } else { text.into() };
        let text = text.trim_end_matches(is_space);
        match self.scheme {
            SacreBleuScheme::V13a => words(&mteval_13a(text), token),
            SacreBleuScheme::International => words(&international(text), token),
            SacreBleuScheme::Char => {
                let characters = text.char_indices().filter(|(_, letter)| !is_space(*letter));
                characters.map(|(at, letter)| &text[at..at + letter.len_utf8()]).for_each(token);
            }
            SacreBleuScheme::None => words(text, token),
        }
    }
}

fn words(text: &str, token: &mut dyn FnMut(&str)) {
    text.split(is_space).filter(|word| !word.is_empty()).for_each(token);
}

fn mteval_13a(text: &str) -> String {
    let mut line = Rewrite::default();
    line.start(&without_markup(text));
    line.pad();
    line.isolate(|bytes, at| usize::from(is_mark(bytes[at])));
    line.replace(stop_behind_other);
    line.replace(stop_before_other);
    line.replace(dash_behind_digit);
    line.into_text()
}

/// Joins words that were hyphenated at a line's end, and decodes the four entities, one kind after another as sacreBLEU does.
fn without_markup(text: &str) -> String {
    let line = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if !line.contains('&') {
        return line;
    }
    line.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
}

/// ASCII but for letters, digits, apostrophe, comma, hyphen and period.
fn is_mark(byte: u8) -> bool {
    byte.is_ascii_punctuation() && !matches!(byte, b'\'' | b',' | b'-' | b'.')
}

fn is_stop(text: &str, at: usize) -> bool {
    matches!(text.as_bytes()[at], b'.' | b',')
}

/// A period or comma behind anything but a digit.
fn stop_behind_other(text: &str, at: usize, free: usize) -> Found<'_, 3> {
    let found = is_stop(text, at) && at > free && !text.as_bytes()[at - 1].is_ascii_digit();
    found.then(|| (1, [" ", &text[at..=at], " "]))
}

/// A period or comma before anything but a digit, which it takes along.
fn stop_before_other(text: &str, at: usize, _: usize) -> Found<'_, 4> {
    if !is_stop(text, at) {
        return None;
    }
    let next = char_at(text, at + 1).filter(|next| !next.is_ascii_digit())?;
    let end = at + 1 + next.len_utf8();
    Some((end - at, [" ", &text[at..=at], " ", &text[at + 1..end]]))
}

fn dash_behind_digit(text: &str, at: usize, free: usize) -> Found<'_, 1> {
    let bytes = text.as_bytes();
    (bytes[at] == b'-' && at > free && bytes[at - 1].is_ascii_digit()).then_some((1, [" - "]))
}

fn international(text: &str) -> String {
    let mut line = Rewrite::default();
    line.start(text);
    line.replace(punctuation_behind_other);
    line.replace(punctuation_before_other);
    line.replace(symbol);
    line.into_text()
}

/// Punctuation behind anything but a number.
fn punctuation_behind_other(text: &str, at: usize, free: usize) -> Found<'_, 3> {
    let end = at + char_at(text, at).filter(|&letter| is_punctuation(letter))?.len_utf8();
    let found = at > free && !char_before(text, at).is_some_and(is_number);
    found.then(|| (end - at, [" ", &text[at..end], " "]))
}

/// Punctuation before anything but a number, which it takes along.
fn punctuation_before_other(text: &str, at: usize, _: usize) -> Found<'_, 4> {
    let middle = at + char_at(text, at).filter(|&letter| is_punctuation(letter))?.len_utf8();
    let end = middle + char_at(text, middle).filter(|&next| !is_number(next))?.len_utf8();
    Some((end - at, [" ", &text[at..middle], " ", &text[middle..end]]))
}

fn symbol(text: &str, at: usize, _: usize) -> Found<'_, 3> {
    let end = at + char_at(text, at).filter(|&letter| is_symbol(letter))?.len_utf8();
    Some((end - at, [" ", &text[at..end], " "]))
}
