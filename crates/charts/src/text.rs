//! Text in a picture: how wide it is, where it may break, how it is written in XML.
//!
//! SVG can't be asked for the width of a text, so it is measured in the font that the PNG is drawn with. DejaVu Sans is
//! wide; another font that a browser takes instead needs less room, not more.

use std::sync::LazyLock;

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// The figures' font.
pub(crate) const REGULAR: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");
/// The same for titles.
pub(crate) const BOLD: &[u8] = include_bytes!("../assets/DejaVuSans-Bold-subset.ttf");

/// Width of a letter that the font lacks, in parts of the size.
const UNKNOWN: f64 = 1.0;
/// Lines are this far apart, in parts of the size.
pub(crate) const LINE: f64 = 1.25;

static FONT: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| FontRef::new(REGULAR).ok());
static BOLD_FONT: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| FontRef::new(BOLD).ok());

/// Width of a text in the font that pictures are drawn with, in the unit of its size. For pictures that are laid out
/// elsewhere and drawn by [`png_of_svg`](crate::png_of_svg) with the family `DejaVu Sans`.
pub fn text_width(text: &str, size: f64) -> f64 {
    width(text, size)
}

/// Width of a text in the regular font.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    measured(FONT.as_ref(), text, size)
}

/// Width of a text in the bold font.
pub(crate) fn bold_width(text: &str, size: f64) -> f64 {
    measured(BOLD_FONT.as_ref(), text, size)
}

/// Breaks a text into lines of at most `room`: between words, and within a word only if it is wider than that.
pub(crate) fn wrapped(text: &str, room: f64, width: impl Fn(&str) -> f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().flat_map(|word| pieces(word, room, &width)) {
        let line = lines.last().map(String::as_str).unwrap_or_default();
        let longer = if line.is_empty() { word.clone() } else { format!("{line} {word}") };
        match lines.last_mut() {
            Some(line) if line.is_empty() || width(&longer) <= room => *line = longer,
            _ => lines.push(word),
        }
    }
    lines
}

/// A text of at most `room`; what is cut off is told by an ellipsis.
pub(crate) fn shortened(text: &str, room: f64, size: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = width("…", size);
    for letter in text.chars() {
        used += width(letter.encode_utf8(&mut [0; 4]), size);
        if used > room {
            break;
        }
        kept.push(letter);
    }
    kept + "…"
}

/// A text that is only text in XML, inside of elements and of attributes in double quotes. Line ends are blanks; control characters, and those that turn the direction of
/// what stands around them, are replaced by U+FFFD.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => escaped.push('\u{FFFD}'),
            letter if turns_direction(letter) => escaped.push('\u{FFFD}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Whether a character turns the direction of what stands around it: a label with one could reverse its neighbours.
pub fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn measured(font: Option<&FontRef<'_>>, text: &str, size: f64) -> f64 {
    let Some(font) = font else { return text.chars().count() as f64 * UNKNOWN * size };
    let (letters, widths) = (font.charmap(), font.glyph_metrics(Size::unscaled(), LocationRef::default()));
    let em = f64::from(font.metrics(Size::unscaled(), LocationRef::default()).units_per_em);
    let advance = |letter: char| Some(f64::from(widths.advance_width(letters.map(letter)?)?) / em);
    text.chars().map(|letter| advance(letter).unwrap_or(UNKNOWN)).sum::<f64>() * size
}

fn pieces(word: &str, room: f64, width: impl Fn(&str) -> f64) -> Vec<String> {
    if width(word) <= room {
        return vec![word.to_owned()];
    }
    let mut pieces = vec![String::new()];
    for letter in word.chars() {
        let Some(last) = pieces.last_mut() else { break };
        let is_full = !last.is_empty() && width(last) + width(letter.encode_utf8(&mut [0; 4])) > room;
        if is_full {
            pieces.push(letter.to_string());
        } else {
            last.push(letter);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_lose_nothing() {
        let lines = wrapped("one two three-and-a-very-long-word four", 60.0, |text| width(text, 12.0));
        assert!(lines.iter().all(|line| width(line, 12.0) <= 60.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), "onetwothree-and-a-very-long-wordfour");
    }

    #[test]
    fn fonts_are_read() {
        assert!(FONT.is_some() && BOLD_FONT.is_some());
        assert!(width("iii", 12.0) < width("mmm", 12.0));
        assert!(width("−×±≤≥αω–→⁻⁴", 10.0) < 110.0);
    }
}
