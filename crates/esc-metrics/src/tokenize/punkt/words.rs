//! The words of a context.

use super::{is_blank, is_non_word};
use crate::tokenize::NltkVersion;
use crate::tokenize::characters::char_at;
use crate::tokenize::rewrite::run;

/// The words of one line: runs of hyphens or periods, words, single marks.
pub(super) fn words(line: &str, version: NltkVersion) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|letter| is_blank(letter, version));
        let first = rest.chars().next()?;
        let length = match repeated_mark(rest, version) {
            0 if starts_word(first) => word_length(rest, version),
            0 => first.len_utf8(),
            length => length,
        };
        let (word, behind) = rest.split_at(length);
        rest = behind;
        Some(word)
    })
}

fn starts_word(letter: char) -> bool {
    !matches!(letter, '(' | '"' | '`' | '{' | '[' | ':' | ';' | '&' | '#' | '*' | '@' | ')' | '}' | ']' | '-' | ',')
}

/// At least one character, up to white space, a mark, or a comma before one of these.
fn word_length(text: &str, version: NltkVersion) -> usize {
    let ends = |at: usize| {
        let letter = text[at..].chars().next();
        letter.is_none_or(|letter| is_blank(letter, version) || is_non_word(letter, version))
            || starts_repeated_mark(&text[at..], version)
    };
    let is_end = |&(at, letter): &(usize, char)| ends(at) || letter == ',' && ends(at + 1);
    text.char_indices().skip(1).find(is_end).map_or(text.len(), |(at, _)| at)
}

/// The length of `--`, `..` or `. . .` and longer ones; 0 where none stands.
fn repeated_mark(text: &str, version: NltkVersion) -> usize {
    let bytes = text.as_bytes();
    match bytes {
        [b'-', b'-', ..] => run(bytes, 0, b'-'),
        [b'.', b'.', ..] => run(bytes, 0, b'.'),
        [b'.', ..] if starts_repeated_mark(text, version) => spaced_periods(text, version),
        _ => 0,
    }
}

fn starts_repeated_mark(text: &str, version: NltkVersion) -> bool {
    match text.as_bytes() {
        [b'-', b'-', ..] | [b'.', b'.', ..] => true,
        [b'.', ..] => {
            let spaced = |at| spaced_period(text, at, version);
            spaced(0).and_then(spaced).is_some_and(|at| text[at..].starts_with('.'))
        }
        _ => false,
    }
}

fn spaced_periods(text: &str, version: NltkVersion) -> usize {
    let starts = std::iter::successors(Some(0), |&at| spaced_period(text, at, version));
    starts.take_while(|&at| text[at..].starts_with('.')).last().unwrap_or(0) + 1
}

/// Behind a period and one white space.
fn spaced_period(text: &str, at: usize, version: NltkVersion) -> Option<usize> {
    if !text[at..].starts_with('.') {
        return None;
    }
    let space = char_at(text, at + 1).filter(|&letter| is_blank(letter, version))?;
    Some(at + 1 + space.len_utf8())
}
