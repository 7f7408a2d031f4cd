//! The word rules: two dozen passes over a sentence, most of which only set spaces.
//!
//! The passes stand in NLTK's order and each sees what the one before left. One is missing: the rule for the final period, when NLTK runs
//! it a second time, never finds what the first run left alone. A pass is skipped where the sentence has none of its characters, which
//! is most of the time.

use super::NltkVersion;
use crate::tokenize::characters::{
    char_at, char_before, is_digit, is_letter, is_regex_word, is_space, is_word, is_word_boundary,
};
use crate::tokenize::rewrite::{Found, Rewrite, literal, run};

/// Splits sentences into words.
pub(super) struct WordRules {
    version: NltkVersion,
    sentence: Rewrite,
}

impl WordRules {
    pub(super) fn new(version: NltkVersion) -> Self {
        Self { version, sentence: Rewrite::default() }
    }

    /// Calls `token` with every word of a sentence.
    pub(super) fn split(&mut self, sentence: &str, token: &mut dyn FnMut(&str)) {
        self.sentence.start(sentence);
        let marks = Marks::of(sentence);
        self.opening_quotes(marks);
        self.punctuation(marks);
        self.brackets_and_dashes(marks);
        self.sentence.pad();
        self.closing_quotes(marks);
        self.contractions(marks);
        self.sentence.text().split(is_space).filter(|word| !word.is_empty()).for_each(token);
    }

    fn opening_quotes(&mut self, marks: Marks) {
        let sentence = &mut self.sentence;
        if marks.any(BACKTICK | OTHER) {
            sentence.replace(|text, at, _| isolate_any(text, at, &['«', '“', '‘', '„']));
            sentence.isolate(|bytes, at| run(bytes, at, b'`'));
        }
        if marks.any(QUOTE) {
            sentence.replace(|text, at, _| (at == 0 && text.starts_with('"')).then_some((1, ["``"])));
        }
        if marks.any(QUOTE | BACKTICK) {
            sentence.isolate(|bytes, at| literal(bytes, at, "``"));
        }
        if marks.any(QUOTE | APOSTROPHE) {
            sentence.replace(opening_quote);
        }
        if marks.any(APOSTROPHE) {
            match self.version {
                NltkVersion::V3_8 => sentence.replace(apostrophe_before_one_letter),
                NltkVersion::V3_10 => sentence.replace(apostrophe_before_word),
            }
        }
    }

    fn punctuation(&mut self, marks: Marks) {
        let sentence = &mut self.sentence;
        if marks.any(PERIOD)
            && let Some((period, closed)) = final_period(sentence.text(), self.version)
        {
            sentence
                .replace(|text, at, _| (at == period).then(|| (text.len() - at, [" . ", &text[at + 1..closed], " "])));
        }
        if marks.any(COMMA) {
            sentence.replace(comma_before_other);
            sentence.isolate(|bytes, at| usize::from(is_comma(bytes, at) && is_end(bytes, at + 1)));
        }
        if marks.any(PERIOD) {
            sentence.isolate(|bytes, at| Some(run(bytes, at, b'.')).filter(|&periods| periods > 1).unwrap_or(0));
        }
        if marks.any(SYMBOL) {
            sentence.isolate(|bytes, at| usize::from(b";@#$%&".contains(&bytes[at])));
        }
        if marks.any(OTHER) && self.version == NltkVersion::V3_10 {
            sentence.replace(|text, at, _| isolate_any(text, at, &['\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}']));
        }
        if marks.any(QUESTION) {
            sentence.isolate(|bytes, at| usize::from(b"?!".contains(&bytes[at])));
        }
        if marks.any(APOSTROPHE) {
            sentence.replace(apostrophe_before_space);
        }
        if marks.any(STAR) {
            sentence.isolate(|bytes, at| usize::from(bytes[at] == b'*'));
        }
    }

    fn brackets_and_dashes(&mut self, marks: Marks) {
        if marks.any(BRACKET) {
            self.sentence.isolate(|bytes, at| usize::from(b"][(){}<>".contains(&bytes[at])));
        }
        if marks.any(HYPHEN) {
            self.sentence.isolate(|bytes, at| literal(bytes, at, "--"));
        }
    }

    fn closing_quotes(&mut self, marks: Marks) {
        let sentence = &mut self.sentence;
        if marks.any(OTHER) {
            sentence.replace(|text, at, _| isolate_any(text, at, &['»', '”', '’']));
        }
        if marks.any(APOSTROPHE) {
            sentence.isolate(|bytes, at| literal(bytes, at, "''"));
        }
        if marks.any(QUOTE) {
            sentence.replace(|text, at, _| (text.as_bytes()[at] == b'"').then_some((1, [" '' "])));
        }
        if marks.any(OTHER) && self.version == NltkVersion::V3_10 {
            sentence.replace(plain_space);
        }
        if marks.any(APOSTROPHE) {
            sentence.replace(|text, at, free| clitic(text, at, free, &["'s", "'S", "'m", "'M", "'d", "'D", "'"]));
            sentence.replace(|text, at, free| {
                clitic(text, at, free, &["'ll", "'LL", "'re", "'RE", "'ve", "'VE", "n't", "N'T"])
            });
        }
    }

    fn contractions(&mut self, marks: Marks) {
        self.sentence.replace(contraction);
        if marks.any(APOSTROPHE) {
            self.sentence.replace(|text, at, _| it_is(text, at, "is"));
            self.sentence.replace(|text, at, _| it_is(text, at, "was"));
        }
    }
}

/// Which kinds of characters a sentence has.
#[derive(Clone, Copy)]
struct Marks(u16);

const PERIOD: u16 = 1;
const COMMA: u16 = 1 << 1;
const APOSTROPHE: u16 = 1 << 2;
const QUOTE: u16 = 1 << 3;
const BACKTICK: u16 = 1 << 4;
const QUESTION: u16 = 1 << 5;
const SYMBOL: u16 = 1 << 6;
const STAR: u16 = 1 << 7;
const BRACKET: u16 = 1 << 8;
const HYPHEN: u16 = 1 << 9;
/// No printable ASCII.
const OTHER: u16 = 1 << 10;

impl Marks {
    fn of(sentence: &str) -> Self {
        Self(sentence.bytes().fold(0, |marks, byte| marks | MARKS[usize::from(byte)]))
    }

    fn any(self, marks: u16) -> bool {
        self.0 & marks != 0
    }
}

static MARKS: [u16; 256] = {
    let mut marks = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        marks[byte] = match byte as u8 {
            b'.' => PERIOD,
            b',' | b':' => COMMA,
            b'\'' => APOSTROPHE,
            b'"' => QUOTE,
            b'`' => BACKTICK,
            b'?' | b'!' => QUESTION,
            b';' | b'@' | b'#' | b'$' | b'%' | b'&' => SYMBOL,
            b'*' => STAR,
            b']' | b'[' | b'(' | b')' | b'{' | b'}' | b'<' | b'>' => BRACKET,
            b'-' => HYPHEN,
            b' '..=b'~' => 0,
            _ => OTHER,
        };
        byte += 1;
    }
    marks
};

/// Sets spaces around any of these characters, none of which is ASCII.
fn isolate_any<'t>(text: &'t str, at: usize, letters: &[char]) -> Found<'t, 3> {
    if text.as_bytes()[at].is_ascii() {
        return None;
    }
    let letter = char_at(text, at).filter(|letter| letters.contains(letter))?;
    Some((letter.len_utf8(), [" ", &text[at..at + letter.len_utf8()], " "]))
}

/// `"` or `''` behind a space or an opening bracket.
fn opening_quote(text: &str, at: usize, free: usize) -> Found<'_, 1> {
    let bytes = text.as_bytes();
    let length = match bytes[at] {
        b'"' => 1,
        _ => literal(bytes, at, "''"),
    };
    (length > 0 && at > free && b" ([{<".contains(&bytes[at - 1])).then_some((length, [" `` "]))
}

/// What an apostrophe is not cut off from.
const CLITICS: [&str; 8] = ["re", "ve", "ll", "m", "t", "s", "d", "n"];

/// An apostrophe with exactly one word character behind it, which is no clitic.
fn apostrophe_before_one_letter(text: &str, at: usize, _: usize) -> Found<'_, 1> {
    if text.as_bytes()[at] != b'\'' {
        return None;
    }
    let letter = char_at(text, at + 1).filter(|&letter| is_word(letter))?;
    let is_clitic = CLITICS.iter().any(|clitic| joined(text, at + 1, clitic, "").is_some());
    let ends = !char_at(text, at + 1 + letter.len_utf8()).is_some_and(is_word);
    (ends && !is_clitic).then_some((1, ["' "]))
}

/// An apostrophe with a word behind it that is no clitic, and no word before it.
fn apostrophe_before_word(text: &str, at: usize, _: usize) -> Found<'_, 1> {
    if text.as_bytes()[at] != b'\'' || char_before(text, at).is_some_and(is_regex_word) {
        return None;
    }
    let goes_on = |at| char_at(text, at).is_some_and(is_regex_word);
    let is_clitic =
        |clitic: &&str| joined(text, at + 1, clitic, "").is_some_and(|(_, length)| !goes_on(at + 1 + length));
    (goes_on(at + 1) && !CLITICS.iter().any(is_clitic)).then_some((1, ["' "]))
}

/// A single period with nothing but closing marks and spaces behind it; and where the closing marks end.
fn final_period(text: &str, version: NltkVersion) -> Option<(usize, usize)> {
    const CLOSING: [char; 9] = [']', ')', '}', '>', '"', '\'', '»', '”', '’'];
    let is_closing = |letter| letter == ' ' || CLOSING.contains(&letter);
    let is_space = |letter: char| match version {
        NltkVersion::V3_8 => is_space(letter),
        NltkVersion::V3_10 => letter.is_whitespace(),
    };
    let before = text.trim_end_matches(is_space).trim_end_matches(is_closing).strip_suffix('.')?;
    if before.is_empty() || before.ends_with('.') {
        return None;
    }
    let behind = &text[before.len() + 1..];
    Some((before.len(), text.len() - behind.trim_start_matches(is_closing).len()))
}

fn is_comma(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at], b',' | b':')
}

/// `$`: the end, or the line feed before it.
fn is_end(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at..], [] | [b'\n'])
}

fn comma_before_other(text: &str, at: usize, _: usize) -> Found<'_, 4> {
    if !is_comma(text.as_bytes(), at) {
        return None;
    }
    let next = char_at(text, at + 1).filter(|&next| !is_digit(next))?;
    let end = at + 1 + next.len_utf8();
    Some((end - at, [" ", &text[at..=at], " ", &text[at + 1..end]]))
}

fn apostrophe_before_space(text: &str, at: usize, free: usize) -> Found<'_, 1> {
    let bytes = text.as_bytes();
    (at > free && literal(bytes, at, "' ") > 0 && bytes[at - 1] != b'\'').then_some((2, [" ' "]))
}

/// The rules that follow ask for a plain space.
fn plain_space(text: &str, at: usize, _: usize) -> Found<'_, 1> {
    let space = char_at(text, at).filter(|&letter| letter.is_whitespace() && letter != ' ')?;
    Some((space.len_utf8(), [" "]))
}

/// One of these before a space, if neither apostrophe nor space stands before it.
fn clitic<'t>(text: &'t str, at: usize, free: usize, clitics: &[&str]) -> Found<'t, 3> {
    let bytes = text.as_bytes();
    if !matches!(bytes[at], b'\'' | b'n' | b'N') || at <= free || matches!(bytes[at - 1], b'\'' | b' ') {
        return None;
    }
    let before_space = |clitic: &&&str| literal(bytes, at, clitic) > 0 && bytes.get(at + clitic.len()) == Some(&b' ');
    let length = clitics.iter().find(before_space)?.len();
    Some((length + 1, [" ", &text[at..at + length], " "]))
}

/// Words that are two.
const CONTRACTIONS: [(&str, &str); 8] = [
    ("can", "not"),
    ("d", "'ye"),
    ("gim", "me"),
    ("gon", "na"),
    ("got", "ta"),
    ("lem", "me"),
    ("more", "'n"),
    ("wan", "na"),
];

fn contraction(text: &str, at: usize, _: usize) -> Found<'_, 5> {
    // Nearly every place is ruled out by two bytes. The second of `gimme` may be a dotless i.
    let bytes = text.as_bytes();
    let may_start = match bytes[at] | 0x20 {
        b'c' | b'w' => matches!(bytes.get(at + 1), Some(b'a' | b'A')),
        b'd' => bytes.get(at + 1) == Some(&b'\''),
        b'g' => matches!(bytes.get(at + 1), Some(b'i' | b'I' | b'o' | b'O' | 0x80..)),
        b'l' => matches!(bytes.get(at + 1), Some(b'e' | b'E')),
        b'm' => matches!(bytes.get(at + 1), Some(b'o' | b'O')),
        _ => false,
    };
    if !may_start || char_before(text, at).is_some_and(is_word) {
        return None;
    }
    let whole = |&(first, second): &(&str, &str)| {
        let (middle, length) = joined(text, at, first, second)?;
        let ends = match first {
            "wan" => char_at(text, at + length).is_some_and(is_space),
            _ => is_word_boundary(text, at + length),
        };
        ends.then_some((middle, length))
    };
    let (middle, length) = CONTRACTIONS.iter().find_map(whole)?;
    Some((length, [" ", &text[at..at + middle], " ", &text[at + middle..at + length], " "]))
}

/// `'tis` or `'twas` behind a space.
fn it_is<'t>(text: &'t str, at: usize, verb: &str) -> Found<'t, 4> {
    if text.as_bytes()[at] != b' ' {
        return None;
    }
    let (middle, length) = joined(text, at, " 't", verb)?;
    let found = [&text[at..at + middle], " ", &text[at + middle..at + length], " "];
    is_word_boundary(text, at + length).then_some((length, found))
}

/// If both parts follow each other here, upper or lower case: where the first ends, and where the second does, counted from here.
fn joined(text: &str, at: usize, first: &str, second: &str) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    let middle = rest.len() - without(rest, first)?.len();
    Some((middle, rest.len() - without(&rest[middle..], second)?.len()))
}

fn without<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let mut letters = text.chars();
    let is_there = prefix.chars().all(|wanted| letters.next().is_some_and(|letter| is_letter(letter, wanted)));
    is_there.then_some(letters.as_str())
}
