//! Tokens that start with neither letter nor digit.

use super::words::{behind_apostrophe, is_clitic, is_inside, is_letter, number_end, part_end, telephone};
use super::{Piece, Shape};
use crate::tokenize::rewrite::run;

/// The token that starts here with this mark.
pub(super) fn piece(text: &str, at: usize, first: char) -> Piece {
    let word = |end: usize| Piece { length: end - at, shape: Shape::Word };
    let joined = |end: usize| Piece { length: end - at, shape: Shape::Joined };
    let found = match first {
        '\'' | '’' => behind_apostrophe(text, at).and_then(|start| apostrophe(text, at, start)),
        '<' => tag_end(text, at).or_else(|| face_end(text, at)).map(joined),
        '(' => telephone(text, at).or_else(|| drawn_face_end(text, at).map(joined)),
        '^' | '>' => face_end(text, at).map(joined),
        '-' => drawn_face_end(text, at).or_else(|| number_end(text, at)).map(word),
        ':' | ';' | '=' => face_end(text, at).map(joined).or_else(|| number_end(text, at).map(word)),
        '+' | '.' | ',' => number_end(text, at).map(word),
        '#' => word_end(text, at + 1, is_letter).map(word),
        '@' => name_end(text, at + 1).map(word),
        '&' => entity(text, at),
        _ => None,
    };
    found.unwrap_or_else(|| by_itself(text, at, first))
}

/// Clitics, and words that lack their beginning.
fn apostrophe(text: &str, at: usize, start: usize) -> Option<Piece> {
    let end = part_end(text, start);
    let letters = &text[start..end];
    let is = |word: &str| letters.eq_ignore_ascii_case(word);
    let piece = |end: usize, shape: Shape| Some(Piece { length: end - at, shape });
    if is_clitic(letters) {
        return piece(end, Shape::Clitic);
    }
    if is("em") || is("cause") || is("til") || is_year(letters, &text[end..]) {
        return piece(end, Shape::Word);
    }
    if is("n") {
        return piece(behind_apostrophe(text, end).unwrap_or(end), Shape::Word);
    }
    let it_is = ["tis", "twas"].into_iter().find(|verb| is(verb) || is(&format!("{verb}n")))?;
    text[at..].starts_with('\'').then_some(Piece { length: 1 + it_is.len(), shape: Shape::Words(2) })
}

/// `90` before white space, or `90s`.
fn is_year(letters: &str, rest: &str) -> bool {
    let digits = letters.strip_suffix('s').unwrap_or(letters);
    let is_alone = digits.len() < letters.len() || rest.is_empty() || rest.starts_with(char::is_whitespace);
    is_alone && digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Markup is one token, whatever stands in it but tabs and ends of lines.
fn tag_end(text: &str, at: usize) -> Option<usize> {
    let inside = text[at..].strip_prefix('<')?;
    let name = inside.strip_prefix(['/', '!']).unwrap_or(inside);
    let breaks = |letter: char| letter.is_whitespace() && !matches!(letter, ' ' | '\u{a0}');
    let end = inside.find(|letter: char| matches!(letter, '<' | '>') || breaks(letter));
    let length = end.filter(|&length| inside[length..].starts_with('>'))?;
    name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '-').then_some(at + 1 + length + 1)
}

/// `:)`, `;-D`, `>:(`, and drawn ones.
fn face_end(text: &str, at: usize) -> Option<usize> {
    const MOUTHS: [char; 12] = [')', '(', 'D', 'P', 'p', 'O', ']', '[', '|', '\\', '{', '@'];
    if let Some(end) = drawn_face_end(text, at) {
        return Some(end);
    }
    let face = text[at..].strip_prefix(['<', '>']).unwrap_or(&text[at..]);
    let below = face.strip_prefix([':', ';', '='])?;
    let below = below.strip_prefix(['\'', '-']).unwrap_or(below);
    let rest = below.strip_prefix(MOUTHS)?;
    (!rest.starts_with(is_inside)).then_some(text.len() - rest.len())
}

/// `^_^` and the like, and such faces in brackets.
fn drawn_face_end(text: &str, at: usize) -> Option<usize> {
    const EYES: [char; 4] = ['^', '<', '>', '-'];
    let bare = text[at..].strip_prefix('(');
    let face = bare.unwrap_or(&text[at..]).strip_prefix(EYES)?;
    let face = face.strip_prefix(if bare.is_some() { &['_', '.'][..] } else { &['_'][..] })?.strip_prefix(EYES)?;
    let rest = if bare.is_some() { face.strip_prefix(')')? } else { face };
    Some(text.len() - rest.len())
}

fn word_end(text: &str, at: usize, is_part: impl Fn(char) -> bool) -> Option<usize> {
    let rest = text[at..].trim_start_matches(is_part);
    Some(text.len() - rest.len()).filter(|&end| end > at)
}

/// The name of a user.
fn name_end(text: &str, at: usize) -> Option<usize> {
    let starts = text[at..].starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    if starts { word_end(text, at, |letter| letter.is_ascii_alphanumeric() || letter == '_') } else { None }
}

fn entity(text: &str, at: usize) -> Option<Piece> {
    for (name, mark) in [("&lt;", "<"), ("&gt;", ">")] {
        if text[at..].starts_with(name) {
            return Some(Piece { length: name.len(), shape: Shape::Named(mark) });
        }
    }
    let name = at + 1 + usize::from(text[at + 1..].starts_with('#'));
    let end = word_end(text, name, |letter| letter.is_ascii_alphanumeric())?;
    text[end..].starts_with(';').then_some(Piece { length: end + 1 - at, shape: Shape::Word })
}

/// Marks that stand alone or in runs of their own.
fn by_itself(text: &str, at: usize, first: char) -> Piece {
    let bytes = text.as_bytes();
    let piece = |length, shape| Piece { length, shape };
    match first {
        '?' | '!' => match bytes[at..].iter().take_while(|byte| matches!(byte, b'?' | b'!')).count() {
            1 => piece(1, Shape::Dropped),
            marks => piece(marks, Shape::Word),
        },
        '*' | '#' | '_' | '@' => piece(run(bytes, at, bytes[at]), Shape::Word),
        '<' | '>' => piece(1 + usize::from(bytes.get(at + 1) == Some(&bytes[at])), Shape::Word),
        '.' | '-' => piece(
            Some(run(bytes, at, bytes[at])).filter(|&marks| first == '-' || marks > 2).unwrap_or(1),
            Shape::Dropped,
        ),
        _ => piece(first.len_utf8(), alone(first)),
    }
}

fn alone(mark: char) -> Shape {
    match mark {
        '"' | '\'' | '`' | '‘' | '’' | '“' | '”' | '«' | '»' | '‹' | '›' | '「' | '」' => {
            Shape::Dropped
        }
        ',' | ':' | ';' | '‐' | '‑' | '–' | '—' | '―' | '…' => Shape::Dropped,
        '(' => Shape::Named("-lrb-"),
        ')' => Shape::Named("-rrb-"),
        '[' => Shape::Named("-lsb-"),
        ']' => Shape::Named("-rsb-"),
        '{' => Shape::Named("-lcb-"),
        '}' => Shape::Named("-rcb-"),
        '€' | '¤' => Shape::Named("$"),
        '£' => Shape::Named("#"),
        '¢' => Shape::Named("cents"),
        '½' => Shape::Named("1/2"),
        '¼' => Shape::Named("1/4"),
        '¾' => Shape::Named("3/4"),
        _ => Shape::Word,
    }
}
