//! Tokens that start with a letter or a digit. Of all that could stand at a place the longest does.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::abbreviations::keeps_period;
use super::{Piece, Shape};
use crate::tokenize::characters::{char_at, is_digit};

/// The token that starts here with a letter or a digit.
pub(super) fn piece(text: &str, at: usize) -> Option<Piece> {
    char_at(text, at).filter(|&first| is_inside(first))?;
    let end = part_end(text, at);
    let shapes = [
        two_words(&text[at..end]),
        Some(Piece { length: end - at, shape: Shape::Word }),
        with_apostrophe(text, at, end),
        word_to(at, abbreviation_end(text, at, end)),
        word_to(at, before_comma_end(text, at)),
        word_to(at, dotted_letters_end(text, at)),
        word_to(at, capitals_end(text, at)),
        word_to(at, dotted_words_end(text, at)),
        word_to(at, slashed_end(text, at)),
        word_to(at, mail_end(text, at)),
        word_to(at, address_end(text, at)),
        word_to(at, number_end(text, at)),
        fraction(text, at),
        telephone(text, at),
    ];
    let longest =
        shapes.into_iter().flatten().reduce(|best, piece| if piece.length > best.length { piece } else { best })?;
    Some(if longest.length == end - at { before_negation(text, at, end).unwrap_or(longest) } else { longest })
}

/// Where a number ends that may start with a sign and with a period, comma or colon.
pub(super) fn number_end(text: &str, at: usize) -> Option<usize> {
    let unsigned = at + usize::from(text[at..].starts_with(['+', '-']));
    let start = unsigned + usize::from(text[unsigned..].starts_with(['.', ',', ':']));
    let mut end = digits_end(text, start)?;
    while text[end..].starts_with(['.', ',', ':'])
        && let Some(next) = digits_end(text, end + 1)
    {
        end = next;
    }
    let is_range = start == at && text[end..].starts_with('-') && !text[at..end].contains(':');
    Some(if is_range { digits_end(text, end + 1).unwrap_or(end) } else { end })
}

/// `(555) 555-0123`, or the same without brackets.
pub(super) fn telephone(text: &str, at: usize) -> Option<Piece> {
    let area = match text[at..].strip_prefix('(') {
        Some(_) => digits_end(text, at + 1).filter(|&end| end == at + 4 && text[end..].starts_with(')'))? + 1,
        None => digits_end(text, at).filter(|&end| end - at >= 3 && end - at <= 4)?,
    };
    let is_bracketed = text[at..].starts_with('(');
    let exchange = area + usize::from(text[area..].starts_with([' ', '-']));
    let line = digits_end(text, exchange).filter(|&end| end == exchange + 3 && (is_bracketed || exchange > area))?;
    let line = line + usize::from(text[line..].starts_with([' ', '-']));
    let end = digits_end(text, line).filter(|&end| end == line + 4 && line > exchange + 3)?;
    Some(Piece { length: end - at, shape: Shape::Joined })
}

/// Letters, marks that belong to them, digits, and soft hyphens.
pub(super) fn is_inside(letter: char) -> bool {
    if letter.is_ascii() {
        return letter.is_ascii_alphanumeric();
    }
    use GeneralCategoryGroup::{Letter, Mark};
    let is_part = matches!(letter.general_category_group(), Letter | Mark) || is_digit(letter);
    is_part && letter <= '\u{ffff}' || letter == '\u{ad}'
}

pub(super) fn part_end(text: &str, at: usize) -> usize {
    at + text[at..].find(|letter| !is_inside(letter)).unwrap_or(text.len() - at)
}

pub(super) fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '’')
}

/// What follows an apostrophe.
pub(super) fn behind_apostrophe(text: &str, at: usize) -> Option<usize> {
    char_at(text, at).filter(|&letter| is_apostrophe(letter)).map(|letter| at + letter.len_utf8())
}

fn word_to(at: usize, end: Option<usize>) -> Option<Piece> {
    end.map(|end| Piece { length: end - at, shape: Shape::Word })
}

/// Words that are two.
fn two_words(word: &str) -> Option<Piece> {
    const TWO: [&str; 6] = ["cannot", "gonna", "gotta", "wanna", "gimme", "lemme"];
    let is_two = TWO.iter().any(|two| word.eq_ignore_ascii_case(two));
    is_two.then_some(Piece { length: word.len(), shape: Shape::Words(3) })
}

/// The verb before `n't`, or `n't` itself.
fn before_negation(text: &str, at: usize, end: usize) -> Option<Piece> {
    let verb = text[at..end].strip_suffix(['n', 'N'])?;
    let apostrophe = char_at(text, end).filter(|&letter| is_apostrophe(letter) || matches!(letter, '`' | '‘'))?;
    let t = end + apostrophe.len_utf8();
    let is_negation = text[t..].starts_with(['t', 'T']) && !char_at(text, t + 1).is_some_and(is_inside);
    let (length, shape) = if verb.is_empty() { (t + 1 - at, Shape::Clitic) } else { (verb.len(), Shape::Word) };
    is_negation.then_some(Piece { length, shape })
}

/// Words with an apostrophe in them or at their end: *o'clock*, *d'accord*, *ma'am*, the *y'* of *y'all*.
fn with_apostrophe(text: &str, at: usize, end: usize) -> Option<Piece> {
    const PREFIXES: [&str; 6] = ["o", "d", "l", "c", "n", "qu"];
    const WHOLE: [(&str, &str); 6] =
        [("ma", "am"), ("ne", "er"), ("e", "er"), ("hallowe", "en"), ("li", "l"), ("cap", "n")];
    let first = &text[at..end];
    let second = behind_apostrophe(text, end)?;
    let end = part_end(text, second);
    let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
    let is_whole = WHOLE.iter().any(|&(start, rest)| is(first, start) && is(&text[second..end], rest));
    let is_prefix = PREFIXES.iter().any(|prefix| is(first, prefix)) && text[second..end].chars().count() > 1;
    let is_cut = is(first, "ol") || ["y", "j", "d", "l"].iter().any(|prefix| is(first, prefix)) && second < end;
    if is_whole || is_prefix && !is_clitic(&text[second..end]) {
        word_to(at, Some(end))
    } else {
        word_to(at, is_cut.then_some(second))
    }
}

/// Letters that are a word of their own behind an apostrophe.
pub(super) fn is_clitic(letters: &str) -> bool {
    ["s", "m", "d", "ll", "re", "ve"].iter().any(|clitic| letters.eq_ignore_ascii_case(clitic))
}

fn abbreviation_end(text: &str, at: usize, end: usize) -> Option<usize> {
    let rest = text[end..].strip_prefix('.')?;
    (text[at..end].chars().all(|letter| !is_digit(letter)) && keeps_period(&text[at..end], rest)).then_some(end + 1)
}

/// A period right before a comma stays with its word.
fn before_comma_end(text: &str, at: usize) -> Option<usize> {
    let end = hyphened_end(text, part_end(text, at));
    (char_at(text, at).is_some_and(is_letter) && text[end..].starts_with(".,")).then_some(end + 1)
}

/// `u.s.`, and what is hyphened to it.
fn dotted_letters_end(text: &str, at: usize) -> Option<usize> {
    let mut end = at;
    let mut letters = 0;
    if text.get(at..at + 5).is_some_and(|start| start.eq_ignore_ascii_case("ph.d.")) {
        (end, letters) = (at + 5, 2);
    }
    while let Some(letter) = char_at(text, end).filter(|&letter| is_letter(letter))
        && text[end + letter.len_utf8()..].starts_with('.')
    {
        end += letter.len_utf8() + 1;
        letters += 1;
    }
    (letters > 1).then(|| hyphened_end(text, end))
}

/// `R&B`, `AT&T`; `c++` and `f#`.
fn capitals_end(text: &str, at: usize) -> Option<usize> {
    let run = |at: usize| at + text[at..].bytes().take_while(u8::is_ascii_uppercase).count();
    let mut end = run(at);
    while end > at && text[end..].starts_with(['&', '+']) && run(end + 1) > end + 1 {
        end = run(end + 1);
    }
    let is_language = |name: &str| text.get(at..at + name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let language = ["c++", "c#", "f#"].into_iter().find(|name| is_language(name)).map_or(0, str::len);
    Some(end.max(at + language)).filter(|&end| end > at)
}

/// Words that a period, question mark or exclamation mark joins: `you.thank`, `google.com`.
fn dotted_words_end(text: &str, at: usize) -> Option<usize> {
    let starts_with_letter = |at| char_at(text, at).is_some_and(is_letter);
    if !starts_with_letter(at) {
        return None;
    }
    let mut end = part_end(text, at);
    let mut words = 1;
    while text[end..].starts_with(['.', '?', '!']) && starts_with_letter(end + 1) {
        end = part_end(text, end + 1);
        words += 1;
    }
    (words > 1).then(|| hyphened_end(text, end))
}

/// Up to three words with slashes between them, each of which may have hyphens.
fn slashed_end(text: &str, at: usize) -> Option<usize> {
    let mut end = hyphened_end(text, part_end(text, at));
    for _ in 0..2 {
        if text[end..].starts_with('/') && part_end(text, end + 1) > end + 1 {
            end = hyphened_end(text, part_end(text, end + 1));
        }
    }
    Some(end)
}

/// Where the parts end that hyphens or underscores join to what ends here.
fn hyphened_end(text: &str, mut end: usize) -> usize {
    while let Some(hyphen) = char_at(text, end).filter(|letter| matches!(letter, '-' | '_' | '‐' | '‑')) {
        let next = part_end(text, end + hyphen.len_utf8());
        if next == end + hyphen.len_utf8() {
            break;
        }
        end = next;
    }
    end
}

fn mail_end(text: &str, at: usize) -> Option<usize> {
    // No name of a mailbox is longer.
    const LONGEST: usize = 64;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-');
    let name = text.as_bytes()[at..].iter().take(LONGEST).take_while(|byte| is_name(byte)).count();
    let host = text[at + name..].strip_prefix('@')?;
    let host = &host[..host.bytes().take_while(|byte| is_name(byte)).count()];
    let host = host.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
    (name > 0 && !host.is_empty()).then_some(at + name + 1 + host.len())
}

/// Addresses in the web: with a scheme, `www.`, or a path behind a common ending.
fn address_end(text: &str, at: usize) -> Option<usize> {
    const ENDINGS: [&str; 4] = ["com", "org", "net", "edu"];
    let starts_with = |start: &str| text.get(at..at + start.len()).is_some_and(|here| here.eq_ignore_ascii_case(start));
    let has_path = || {
        let host = dotted_words_end(text, at)?;
        let ending = text[at..host].rsplit('.').next()?;
        (text[host..].starts_with('/') && ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))).then_some(())
    };
    if !["http://", "https://", "www."].into_iter().any(starts_with) {
        has_path()?;
    }
    let is_outside = |letter: char| letter.is_whitespace() || "<>\"|(){}[]“”‘’`".contains(letter);
    let address = text[at..].split(is_outside).next()?;
    let address = address.trim_end_matches(['.', ',', '?', '!', ';', ':', '\'']);
    Some(at + address.len()).filter(|&end| end > at)
}

/// A whole number, a space and a fraction.
fn fraction(text: &str, at: usize) -> Option<Piece> {
    let whole = digits_end(text, at)?;
    let space = char_at(text, whole).filter(|letter| matches!(letter, ' ' | '\u{a0}'))?;
    let above = digits_end(text, whole + space.len_utf8())?;
    let end = text[above..].strip_prefix('/').and_then(|_| digits_end(text, above + 1))?;
    Some(Piece { length: end - at, shape: Shape::Joined })
}

fn digits_end(text: &str, at: usize) -> Option<usize> {
    let digits = text[at..].bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then_some(at + digits)
}

pub(super) fn is_letter(letter: char) -> bool {
    is_inside(letter) && !is_digit(letter)
}
