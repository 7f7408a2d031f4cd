//! Posts and replies without what is no argument: entities, footnotes, links, and, if wanted, edits and quotes.

use serde::Serialize;

use super::entities::decode_entities;

/// What is taken out of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cleaning {
    /// Whether anything is: entities, zero-width characters, carriage returns, the moderators' footnote and the addresses of links.
    pub is_on: bool,
    /// Also what follows a line that begins with `edit` or `update`: it often names who won.
    pub strip_edits: bool,
    /// Also lines that begin with `>`.
    pub strip_quotes: bool,
}

impl Default for Cleaning {
    fn default() -> Self {
        Self { is_on: true, strip_edits: false, strip_quotes: false }
    }
}

impl Cleaning {
    /// The text without all that.
    ///
    /// Entities are decoded twice: Reddit escapes what its editor has escaped already (`&amp;#x200B;`).
    pub fn clean(&self, text: &str) -> String {
        if !self.is_on {
            return text.to_owned();
        }
        let decoded = decode_entities(&decode_entities(text));
        let visible: String = decoded.chars().filter(|character| !is_invisible(*character)).collect();
        let mut lines = without_footnote(visible.split('\n').collect());
        if self.strip_edits {
            lines = lines.into_iter().take_while(|line| !begins_edit(line)).collect();
        }
        if self.strip_quotes {
            lines.retain(|line| !is_quoted(line));
        }
        without_addresses(&tidy(&lines))
    }
}

/// Whether a text is what stands in the place of one that is gone.
pub fn is_deleted(text: &str) -> bool {
    matches!(text.trim(), "[deleted]" | "[removed]" | "[ Removed by Reddit ]" | "[deleted by user]")
}

/// Whether a line quotes somebody.
pub(crate) fn is_quoted(line: &str) -> bool {
    line.trim_start().starts_with('>')
}

/// Words, as they are counted everywhere here: what stands between white space.
pub(crate) fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Letters and digits in small letters, a blank between words: texts that differ in nothing else are the same.
pub(crate) fn normalised(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for word in text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(word.chars().flat_map(char::to_lowercase));
    }
    // A text of signs only is still told apart from others.
    if words.is_empty() { text.trim().to_owned() } else { words }
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\r' | '\0' | '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// Without a line of underscores, the quoted block behind it that speaks to the users of CMV, and all that follows.
fn without_footnote(mut lines: Vec<&str>) -> Vec<&str> {
    let begins = (0..lines.len()).find(|at| {
        is_rule(lines[*at]) && {
            let behind = lines[at + 1..].iter().skip_while(|line| line.trim().is_empty());
            let block: Vec<&str> = behind.take_while(|line| is_quoted(line)).copied().collect();
            speaks_to_users(&block.join("\n").to_lowercase())
        }
    });
    lines.truncate(begins.unwrap_or(lines.len()));
    lines
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 5 && line.bytes().all(|byte| byte == b'_')
}

fn speaks_to_users(block: &str) -> bool {
    (block.contains("cmv") || block.contains("changemyview"))
        && (block.contains("users") || block.contains("moderators"))
}

fn begins_edit(line: &str) -> bool {
    let line = line.trim_start_matches(|character: char| !character.is_alphanumeric());
    let word: String = line.chars().take_while(|character| character.is_alphabetic()).collect();
    matches!(word.to_lowercase().as_str(), "edit" | "edits" | "update" | "updates")
}

/// Lines without blanks at their ends, at most one empty line between paragraphs, none around the text.
fn tidy(lines: &[&str]) -> String {
    let mut text = String::new();
    let mut empty = 0;
    for line in lines.iter().map(|line| line.trim_end()) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            text.push_str(line);
            text.push('\n');
        }
    }
    text.trim().to_owned()
}

/// Markdown links become their text: `[text](address)` → `text`.
fn without_addresses(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        match link(from) {
            Some((shown, length)) => {
                plain.push_str(before.strip_suffix('!').unwrap_or(before));
                plain.push_str(shown);
                rest = from.get(length..).unwrap_or_default();
            }
            None => {
                plain.push_str(before);
                plain.push('[');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// The text of the link at the beginning of `text`, and the link's length in bytes.
fn link(text: &str) -> Option<(&str, usize)> {
    let close = text.get(1..)?.find([']', '[', '\n']).map(|at| at + 1)?;
    let address = text.get(close..)?.strip_prefix("](")?;
    let mut open = 1;
    for (at, byte) in address.bytes().enumerate() {
        open += match byte {
            b'(' => 1,
            b')' => -1,
            b'\n' => return None,
            _ => 0,
        };
        if open == 0 {
            return Some((text.get(1..close)?, close + 2 + at + 1));
        }
    }
    None
}
