//! Marks around the parts of messages, and taking them out again.

use std::collections::HashSet;
use std::ops::Range;

use super::TemplateError;
use crate::{Message, Part};

/// Private-use characters from here on (planes 15 and 16) serve as marks, as far as the texts do not use them.
const FIRST_MARK: u32 = 0xF_0000;

/// Messages with marks in them.
pub(super) struct Marks {
    contents: Vec<String>,
    /// Each mark and what it opens or closes.
    places: std::collections::HashMap<char, (usize, Edge)>,
    /// What is enclosed: a message's whole content or one of its parts.
    enclosed: Vec<Enclosed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Open,
    Close,
}

enum Enclosed {
    Content,
    Part(String),
}

/// Text without marks, and where they were.
pub(super) struct Found {
    pub(super) text: String,
    pub(super) spans: Vec<Part>,
    pub(super) contents: Vec<Range<usize>>,
}

impl Marks {
    /// Marks every part of every message and every content, with characters that occur in none of the texts.
    pub(super) fn place(messages: &[Message], other_texts: &[&str]) -> Result<Self, TemplateError> {
        let texts = messages.iter().map(|message| message.content.as_str()).chain(other_texts.iter().copied());
        let taken: HashSet<char> = texts.flat_map(str::chars).filter(|c| *c as u32 >= FIRST_MARK).collect();
        let mut free = (FIRST_MARK..=0x10_FFFD).filter_map(char::from_u32).filter(|mark| !taken.contains(mark));
        let mut marks = Self { contents: Vec::new(), places: Default::default(), enclosed: Vec::new() };
        for message in messages {
            let content = marks.mark_message(message, &mut free)?;
            marks.contents.push(content);
        }
        Ok(marks)
    }

    /// The marked content of a message.
    pub(super) fn content(&self, number: usize) -> &str {
        &self.contents[number]
    }

    fn mark_message(
        &mut self,
        message: &Message,
        free: &mut impl Iterator<Item = char>,
    ) -> Result<String, TemplateError> {
        let whole = (Enclosed::Content, 0..message.content.len());
        let parts = message.parts.iter().map(|part| (Enclosed::Part(part.label.clone()), part.range.clone()));
        let mut insertions: Vec<(usize, char)> = Vec::new();
        for (enclosed, range) in std::iter::once(whole).chain(parts) {
            let number = self.enclosed.len();
            let extent = extent(&message.content, &enclosed, range)?;
            self.enclosed.push(enclosed);
            // A blank part has no extent: it is nowhere in the rendered text.
            let (Some(extent), Some(open), Some(close)) = (extent, free.next(), free.next()) else { continue };
            for (mark, edge, at) in [(open, Edge::Open, extent.start), (close, Edge::Close, extent.end)] {
                self.places.insert(mark, (number, edge));
                insertions.push((at, mark));
            }
        }
        Ok(insert(&message.content, insertions))
    }

    /// Removes the marks of a rendered text and notes where they were.
    pub(super) fn take_out(&self, marked: &str) -> Found {
        let mut text = String::with_capacity(marked.len());
        let mut ranges: Vec<Option<Range<usize>>> = vec![None; self.enclosed.len()];
        for character in marked.chars() {
            match self.places.get(&character) {
                None => text.push(character),
                Some((number, Edge::Open)) => ranges[*number] = Some(text.len()..text.len()),
                Some((number, Edge::Close)) => {
                    if let Some(range) = &mut ranges[*number] {
                        range.end = text.len();
                    }
                }
            }
        }
        let mut found = Found { text, spans: Vec::new(), contents: Vec::new() };
        for (enclosed, range) in self.enclosed.iter().zip(ranges) {
            match enclosed {
                Enclosed::Content => found.contents.push(range.unwrap_or(0..0)),
                Enclosed::Part(label) => {
                    found.spans.extend(range.map(|range| Part { label: label.clone(), range }));
                }
            }
        }
        found
    }
}

/// The range without blanks at its ends; `None` if nothing is left.
fn extent(content: &str, enclosed: &Enclosed, range: Range<usize>) -> Result<Option<Range<usize>>, TemplateError> {
    let label = || match enclosed {
        Enclosed::Content => "the whole content".to_owned(),
        Enclosed::Part(label) => label.clone(),
    };
    let text = content.get(range.clone()).ok_or_else(|| TemplateError::Part { label: label() })?;
    let trimmed = text.trim();
    let start = range.start + text.len() - text.trim_start().len();
    Ok((!trimmed.is_empty()).then(|| start..start + trimmed.len()))
}

/// Puts characters before byte positions. The order of marks at one position does not matter: each is found by itself.
fn insert(content: &str, mut insertions: Vec<(usize, char)>) -> String {
    insertions.sort_by_key(|(at, _)| *at);
    let mut marked = String::with_capacity(content.len() + insertions.len() * 4);
    let mut from = 0;
    for (at, mark) in insertions {
        marked.push_str(&content[from..at]);
        marked.push(mark);
        from = at;
    }
    marked.push_str(&content[from..]);
    marked
}
