//! METEOR 1.5's normaliser (its option `-norm`), for English.
//!
//! A text is padded with spaces and rewritten by a fixed order of passes; then sentence-final periods are split off and the words
//! lower-cased. The original is a list of regular expressions that consume the neighbours they look at, so that of two adjacent
//! cases only the first is rewritten (`'t's`); [`Line::rewrite_between`] keeps that, since every score depends on it.
//! Reference: `Normalizer` in `meteor-1.5.jar`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Tokenizer;

/// METEOR 1.5's normaliser: `meteor-norm`, or without punctuation `meteor-norm-nopunct`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MeteorNorm {
    /// Marks are tokens of their own (`-norm`): `meteor-norm`.
    #[default]
    WithPunctuation,
    /// All but Latin and Cyrillic letters and digits is dropped (`-norm -noPunct`): `meteor-norm-nopunct`.
    WithoutPunctuation,
}

impl Tokenizer for MeteorNorm {
    fn name(&self) -> String {
        match self {
            Self::WithPunctuation => "meteor-norm".into(),
            Self::WithoutPunctuation => "meteor-norm-nopunct".into(),
        }
    }

    fn tokenize(&self, text: &str, token: &mut dyn FnMut(&str)) {
        let mut line = Line::padded(text);
        line.detach_runs_of_periods();
        line.detach_commas();
        line.unify_quotation_marks();
        line.unify_dashes();
        line.split_contractions();

        line.split_final_periods();

        let mut word = String::new();
        for piece in line.trimmed().split(|c| self.separates(*c)).filter(|piece| !piece.is_empty()) {
            word.clear();
            word.extend(piece);
            if word.is_ascii() {
                word.make_ascii_lowercase();
                token(&word);
            } else {
                token(&word.to_lowercase());
            }
        }
    }
}

impl MeteorNorm {
    /// Whether a character stands between tokens once the passes are done.
    fn separates(self, c: char) -> bool {
        match self {
            Self::WithPunctuation => is_space_of_any_width(c),
            Self::WithoutPunctuation => !is_alphanumeric(c),
        }
    }
}

/// A line in the making.
struct Line {
    text: Vec<char>,
    /// What the next pass writes; kept, so that the passes share two allocations.
    rewritten: Vec<char>,
}

impl Line {
    /// The text between two spaces, and between spaces each mark that no later pass looks at.
    fn padded(text: &str) -> Self {
        let mut padded = Vec::with_capacity(text.len() + text.len() / 4 + 2);
        padded.push(' ');
        for c in text.chars() {
            if is_alphanumeric(c) || is_white_space(c) || matches!(c, '.' | '\'' | '`' | ',' | '-' | '‘' | '’') {
                padded.push(c);
            } else {
                padded.extend([' ', c, ' ']);
            }
        }
        padded.push(' ');
        let rewritten = Vec::with_capacity(padded.capacity());
        Self { text: padded, rewritten }
    }

    fn detach_runs_of_periods(&mut self) {
        self.rewrite_runs('.', |run, rewritten| {
            if run == 1 {
                rewritten.push('.');
            } else {
                rewritten.push(' ');
                rewritten.extend(std::iter::repeat_n('.', run));
                rewritten.push(' ');
            }
        });
    }

    /// `1,000` is one number; every other comma is a token.
    fn detach_commas(&mut self) {
        if !self.text.contains(&',') {
            return;
        }
        self.rewrite_between(is_no_digit, ',', is_no_digit, " , ");
        self.rewrite_between(is_digit, ',', is_no_digit, " , ");
        self.rewrite_between(is_no_digit, ',', is_digit, " , ");
    }

    fn unify_quotation_marks(&mut self) {
        for c in &mut self.text {
            if matches!(c, '`' | '‘' | '’') {
                *c = '\'';
            }
        }
        for c in &mut self.text {
            // Padding has put spaces around these two.
            if matches!(c, '“' | '”') {
                *c = '"';
            }
        }
        self.rewrite_runs('\'', |run, rewritten| {
            (0..run / 2).for_each(|_| rewritten.extend([' ', '"', ' ']));
            rewritten.extend((run % 2 == 1).then_some('\''));
        });
    }

    fn unify_dashes(&mut self) {
        for c in &mut self.text {
            if *c == '–' {
                *c = '-';
            }
        }
        self.rewrite_runs('-', |run, rewritten| rewritten.extend(std::iter::repeat_n('-', run.div_ceil(2))));
        self.rewrite_between(|c| is_alphanumeric(c) || c == '.', '-', is_alphanumeric, " ");
    }

    /// `don't` is `don 't`, `1990's` is `1990 's`.
    fn split_contractions(&mut self) {
        if !self.text.contains(&'\'') {
            return;
        }
        self.rewrite_between(is_no_letter, '\'', is_no_letter, " ' ");
        self.rewrite_between(|c| !is_alphanumeric(c), '\'', is_letter, " ' ");
        self.rewrite_between(is_letter, '\'', is_no_letter, " ' ");
        self.rewrite_between(is_letter, '\'', is_letter, " '");
        self.rewrite_between(is_digit, '\'', |c| c == 's', " '");
    }

    /// Replaces `middle` wherever it stands between a character of the one kind and one of the other. Both neighbours are
    /// consumed: the right one is not the left one of the next case.
    fn rewrite_between(
        &mut self,
        left: impl Fn(char) -> bool,
        middle: char,
        right: impl Fn(char) -> bool,
        replacement: &str,
    ) {
        if !self.text.contains(&middle) {
            return;
        }
        self.rewritten.clear();
        let mut rest = self.text.as_slice();
        while let [first, tail @ ..] = rest {
            self.rewritten.push(*first);
            rest = tail;
            if let [at, next, after @ ..] = tail
                && *at == middle
                && left(*first)
                && right(*next)
            {
                self.rewritten.extend(replacement.chars());
                self.rewritten.push(*next);
                rest = after;
            }
        }
        std::mem::swap(&mut self.text, &mut self.rewritten);
    }

    /// Replaces each run of a mark by what `write` makes of its length.
    fn rewrite_runs(&mut self, mark: char, write: impl Fn(usize, &mut Vec<char>)) {
        if !self.text.contains(&mark) {
            return;
        }
        self.rewritten.clear();
        for run in self.text.chunk_by(|a, b| *a == mark && *b == mark) {
            if run.first() == Some(&mark) {
                write(run.len(), &mut self.rewritten);
            } else {
                self.rewritten.extend_from_slice(run);
            }
        }
        std::mem::swap(&mut self.text, &mut self.rewritten);
    }

    /// Makes the period that ends a sentence a word of its own.
    ///
    /// Texts are mostly lower-case already, and a period before a lower-case word is kept: most periods within a response stay
    /// at their words.
    fn split_final_periods(&mut self) {
        self.rewritten.clear();
        let mut words = self.text.split(|c| ends_word(*c)).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            let next = words.peek().and_then(|next| next.first()).copied();
            match word {
                [before @ .., '.'] if !is_run_of_periods(before) => match final_period(before, next) {
                    FinalPeriod::Kept => self.rewritten.extend_from_slice(word),
                    FinalPeriod::Split => {
                        self.rewritten.extend_from_slice(before);
                        self.rewritten.extend([' ', '.']);
                    }
                    FinalPeriod::DroppedWithAllOthers => self.rewritten.extend(before.iter().filter(|c| **c != '.')),
                },
                _ => self.rewritten.extend_from_slice(word),
            }
            self.rewritten.push(' ');
        }
        std::mem::swap(&mut self.text, &mut self.rewritten);
    }

    /// The line without control characters at its ends, which Java counts as white space there and nowhere else.
    fn trimmed(&self) -> &[char] {
        let is_text = |c: &char| *c > ' ' && !is_space_of_any_width(*c);
        let start = self.text.iter().position(is_text).unwrap_or(self.text.len());
        let end = self.text.iter().rposition(is_text).map_or(start, |last| last + 1);
        self.text.get(start..end).unwrap_or_default()
    }
}

/// What becomes of a period at a word's end.
enum FinalPeriod {
    Kept,
    Split,
    /// An acronym: `U.S.` is `US`.
    DroppedWithAllOthers,
}

fn final_period(before: &[char], next: Option<char>) -> FinalPeriod {
    if before.contains(&'.') && before.iter().any(|c| is_letter(*c)) {
        return FinalPeriod::DroppedWithAllOthers;
    }
    let prefix = NON_BREAKING.get(before.iter().collect::<String>().as_str());
    let kept = match prefix {
        Some(Prefix::Always) => true,
        Some(Prefix::BeforeNumbers) if next.is_some_and(is_digit) => true,
        _ => next.is_some_and(|c| c.is_ascii_lowercase()),
    };
    if kept { FinalPeriod::Kept } else { FinalPeriod::Split }
}

/// When an abbreviation keeps its period.
#[derive(Clone, Copy)]
enum Prefix {
    Always,
    BeforeNumbers,
}

static NON_BREAKING: LazyLock<HashMap<&'static str, Prefix>> = LazyLock::new(|| {
    let lines = include_str!("../../data/meteor/nonbreaking_prefixes.txt").lines();
    let entries = lines.filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split_whitespace();
        let prefix = fields.next()?;
        let kind = if fields.next() == Some("#NUMERIC_ONLY#") { Prefix::BeforeNumbers } else { Prefix::Always };
        Some((prefix, kind))
    });
    entries.collect()
});

/// Latin and Cyrillic letters, as METEOR lists them.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic()
        || !c.is_ascii()
            && matches!(c,
                'Š' | 'Ž' | 'š' | 'ž' | 'Ÿ' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{17E}'
                | '\u{400}'..='\u{527}' | '\u{A640}'..='\u{A66E}' | '\u{A67E}'..='\u{A697}' | '\u{1D00}'..='\u{1D7F}')
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

fn is_alphanumeric(c: char) -> bool {
    is_letter(c) || is_digit(c)
}

fn is_no_letter(c: char) -> bool {
    !is_letter(c)
}

fn is_no_digit(c: char) -> bool {
    !is_digit(c)
}

/// White space of a regular expression in Java.
fn is_white_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// White space between words in Java: the vertical tab is none.
fn ends_word(c: char) -> bool {
    is_white_space(c) && c != '\u{B}'
}

/// The spaces that METEOR makes plain in the end.
fn is_space_of_any_width(c: char) -> bool {
    matches!(c, ' ' | '\u{A0}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}')
}

fn is_run_of_periods(word: &[char]) -> bool {
    word.iter().all(|c| *c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(text: &str) -> String {
        MeteorNorm::WithPunctuation.tokens(text).join(" ")
    }

    #[test]
    fn contractions_are_split_before_the_apostrophe() {
        assert_eq!(normalised("I don't know, it’s the 1990's"), "i don 't know , it 's the 1990 's");
    }

    #[test]
    fn of_two_adjacent_apostrophes_only_the_first_is_split() {
        assert_eq!(normalised("rock'n'roll"), "rock 'n'roll");
    }

    #[test]
    fn a_period_stays_before_a_lower_case_word_and_leaves_before_any_other() {
        assert_eq!(normalised("ok. thanks. Bye."), "ok. thanks . bye .");
    }

    #[test]
    fn titles_keep_their_period_and_acronyms_lose_all_of_them() {
        assert_eq!(normalised("Dr. Who of the U.S. knows No. 5"), "dr. who of the us knows no. 5");
        assert_eq!(normalised("No. Never"), "no . never");
    }

    #[test]
    fn periods_in_a_row_are_one_token() {
        assert_eq!(normalised("well....I see"), "well .... i see");
    }

    #[test]
    fn hyphens_part_words_and_dashes_are_one_mark() {
        assert_eq!(normalised("self-care -- a – b"), "self care - a - b");
    }

    #[test]
    fn commas_stay_within_numbers() {
        assert_eq!(normalised("1,000,no"), "1,000 , no");
    }

    #[test]
    fn without_punctuation_letters_and_digits_are_left() {
        assert_eq!(MeteorNorm::WithoutPunctuation.tokens("It's 5'10\", 我 ok?").join(" "), "it s 5 10 ok");
    }
}
