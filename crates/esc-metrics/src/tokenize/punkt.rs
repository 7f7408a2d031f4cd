//! Punkt (Kiss and Strunk, 2006): where sentences end, as NLTK finds it.
//!
//! Only periods, question and exclamation marks that stand before white space or other punctuation are looked at, each with the word before
//! it and the word behind it. What a period means there is looked up in [`PunktParameters`].

mod candidates;
mod parameters;
mod words;

use std::borrow::Cow;
use std::ops::Range;

use candidates::{Candidate, candidates};
pub use parameters::PunktParameters;
use words::words;

use super::NltkVersion;
use super::characters::{char_at, is_digit, is_regex_word, is_space, is_word, lower};

/// Splits texts into sentences.
#[derive(Debug, Clone)]
pub struct Punkt {
    parameters: PunktParameters,
    version: NltkVersion,
}

impl Punkt {
    /// Looks words up in these tables.
    pub fn new(parameters: PunktParameters) -> Self {
        Self { parameters, version: NltkVersion::default() }
    }

    /// Follows this release of NLTK.
    pub fn following(self, version: NltkVersion) -> Self {
        Self { version, ..self }
    }

    /// The sentences of a text, without the white space between them.
    pub fn sentences<'t>(&self, text: &'t str) -> Vec<&'t str> {
        self.with_closing_marks(text, self.spans(text)).into_iter().map(|span| &text[span]).collect()
    }

    /// Sentences up to the mark that ends them.
    fn spans(&self, text: &str) -> Vec<Range<usize>> {
        let mut spans = Vec::new();
        let mut start = 0;
        for Candidate { context, end, next } in candidates(text, self.version) {
            if self.has_break(&text[context]) {
                spans.push(start..end);
                start = next;
            }
        }
        spans.push(start..text.trim_end_matches(is_space).len().max(start));
        spans
    }

    /// Moves closing quotes and brackets from the start of a sentence to the end of the one before.
    fn with_closing_marks(&self, text: &str, spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
        let mut sentences = Vec::with_capacity(spans.len());
        let mut moved = 0;
        for (number, span) in spans.iter().enumerate() {
            let start = (span.start + moved).min(span.end);
            let next = spans.get(number + 1).map(|next| &text[next.clone()]);
            moved = next.map_or(0, |next| closing_marks(next, self.version));
            match spans.get(number + 1) {
                Some(next) if moved > 0 => {
                    let marks = text[next.start..next.start + moved].trim_end_matches(is_space);
                    sentences.push(start..next.start + marks.len());
                }
                _ if start < span.end => sentences.push(start..span.end),
                _ => {}
            }
        }
        sentences
    }

    /// Whether a sentence ends within a context, before its last word.
    fn has_break(&self, context: &str) -> bool {
        let lines = context.split('\n').filter(|line| !line.chars().all(is_space));
        let mut previous: Option<Word<'_>> = None;
        for text in lines.flat_map(|line| words(line, self.version)) {
            let word = self.first_pass(text);
            if previous.is_some_and(|previous| self.ends_sentence(previous, word)) {
                return true;
            }
            previous = Some(word);
        }
        false
    }

    /// What a word is by itself.
    fn first_pass<'t>(&self, text: &'t str) -> Word<'t> {
        let role = match text.strip_suffix('.') {
            Some("") => Role::Break,
            None if matches!(text, "?" | "!") => Role::Break,
            None => Role::Plain,
            Some(rest) if rest.bytes().all(|byte| byte == b'.') => Role::Ellipsis,
            Some(rest) if rest.ends_with('.') => Role::Plain,
            Some(rest) if self.is_abbreviation(&lower(rest)) => Role::Abbreviation,
            Some(_) => Role::Break,
        };
        Word { text, role }
    }

    fn is_abbreviation(&self, word: &str) -> bool {
        let last_part = word.rsplit('-').next().unwrap_or(word);
        self.parameters.has_abbreviation(word) || self.parameters.has_abbreviation(last_part)
    }

    /// The second pass: whether a sentence ends between two words.
    fn ends_sentence(&self, word: Word<'_>, next: Word<'_>) -> bool {
        let by_itself = word.role == Role::Break;
        if !word.text.ends_with('.') {
            return by_itself;
        }
        let kind = word.kind();
        let kind = without_period(&kind);
        let next_kind = next.kind();
        let next_kind = if next.role == Role::Break { without_period(&next_kind) } else { &next_kind };
        if self.parameters.has_collocation(kind, next_kind) {
            return false;
        }
        let is_initial = word.is_initial(self.version);
        if matches!(word.role, Role::Abbreviation | Role::Ellipsis) && !is_initial {
            return self.starts_sentence(next, next_kind) == Some(true)
                || next.starts_upper() && self.parameters.has_sentence_starter(next_kind);
        }
        if is_initial || kind == NUMBER {
            let starts = self.starts_sentence(next, next_kind);
            let is_name = is_initial && next.starts_upper() && !self.parameters.spelling(next_kind).is_seen_lower();
            if starts == Some(false) || starts.is_none() && is_name {
                return false;
            }
        }
        by_itself
    }

    /// Whether a word starts a sentence, by the way it is spelt here and has been spelt elsewhere; nothing where that doesn't tell.
    fn starts_sentence(&self, word: Word<'_>, kind: &str) -> Option<bool> {
        if matches!(word.text, ";" | ":" | "," | "." | "!" | "?") {
            return Some(false);
        }
        let spelling = self.parameters.spelling(kind);
        if word.starts_upper() && spelling.is_seen_lower() && !spelling.is_upper_inside() {
            return Some(true);
        }
        let is_inside = word.starts_lower() && (spelling.is_seen_upper() || !spelling.is_lower_at_start());
        is_inside.then_some(false)
    }
}

/// The kind of every number.
const NUMBER: &str = "##number##";

#[derive(Clone, Copy)]
struct Word<'t> {
    text: &'t str,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Plain,
    Break,
    Abbreviation,
    Ellipsis,
}

impl<'t> Word<'t> {
    /// What stands for the word in the tables.
    fn kind(self) -> Cow<'t, str> {
        if is_number(self.text) { NUMBER.into() } else { lower(self.text) }
    }

    /// One letter and a period.
    fn is_initial(self, version: NltkVersion) -> bool {
        let is_word = match version {
            NltkVersion::V3_8 => is_word,
            NltkVersion::V3_10 => is_regex_word,
        };
        let mut letters = self.text.chars();
        letters.next().is_some_and(|letter| is_word(letter) && !is_digit(letter)) && letters.as_str() == "."
    }

    fn starts_upper(self) -> bool {
        char_at(self.text, 0).is_some_and(char::is_uppercase)
    }

    fn starts_lower(self) -> bool {
        char_at(self.text, 0).is_some_and(char::is_lowercase)
    }
}

/// Digits with periods, commas and hyphens among them; a sign and one point or comma may stand before.
fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let digits = unsigned.strip_prefix(['.', ',']).unwrap_or(unsigned);
    digits.starts_with(is_digit) && digits.chars().all(|letter| is_digit(letter) || matches!(letter, ',' | '.' | '-'))
}

fn without_period(kind: &str) -> &str {
    kind.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(kind)
}

/// The length of the closing quotes and brackets at the start of a sentence, with the space behind them. There are none where a word
/// follows at once.
fn closing_marks(sentence: &str, version: NltkVersion) -> usize {
    let is_mark = |letter| matches!(letter, '"' | '\'' | ')' | ']' | '}') || is_curly_quote(letter, version);
    let behind = sentence.trim_start_matches(is_mark);
    let rest = behind.trim_start_matches(|letter| is_blank(letter, version));
    let are_closing = behind.is_empty() || behind.starts_with("--") || rest.len() < behind.len();
    if behind.len() < sentence.len() && are_closing { sentence.len() - rest.len() } else { 0 }
}

/// White space as the regular expressions of this release see it.
fn is_blank(letter: char, version: NltkVersion) -> bool {
    match version {
        NltkVersion::V3_8 => is_space(letter),
        NltkVersion::V3_10 => letter.is_whitespace(),
    }
}

/// Curly and angle quotes, which older releases take for letters.
fn is_curly_quote(letter: char, version: NltkVersion) -> bool {
    version == NltkVersion::V3_10 && matches!(letter, '‘' | '’' | '“' | '”' | '«' | '»')
}

/// Characters that stand in no word.
fn is_non_word(letter: char, version: NltkVersion) -> bool {
    matches!(letter, ')' | '"' | ';' | '}' | ']' | '*' | ':' | '@' | '\'' | '(' | '{' | '[' | '?' | '!')
        || is_curly_quote(letter, version)
}
