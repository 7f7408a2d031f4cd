//! Post-processing of responses: taking off what models write around the reply itself.
//!
//! [`tidy_response`] keeps the case and takes off only leading tags. [`compat_response`] is what the published code does
//! (it lower-cases everything and deletes the strategy's label wherever it stands), for comparison with published files.

use std::collections::HashSet;
use std::path::Path;

use crate::atomic_file::{write_atomically, write_json_line};
use crate::error::Error;
use crate::record::{TornLine, read_records};

const REPLY_TAG: &str = "assistant:";

/// The reply in a raw response: what follows the last `assistant:` (in any case), without a leading tag that names the
/// strategy (`Offer Hope:`, `**Offer Hope**`, `[Offer Hope]`, `"Offer Hope" strategy -` …). The label elsewhere stays.
pub fn tidy_response(text: &str, strategy: &str) -> String {
    let reply = match text.to_ascii_lowercase().rfind(REPLY_TAG) {
        Some(at) => &text[at + REPLY_TAG.len()..],
        None => text,
    };
    without_leading_tag(reply.trim(), strategy).trim().to_owned()
}

/// The published code's post-processing: lower-case and strip; keep what follows the last `assistant:`; delete every
/// occurrence of the lower-cased label; strip.
pub fn compat_response(text: &str, strategy: &str) -> String {
    let lowered = text.to_lowercase();
    let reply = lowered.trim().rsplit(REPLY_TAG).next().unwrap_or_default();
    let label = strategy.to_lowercase();
    if label.is_empty() { reply.trim().to_owned() } else { reply.replace(&label, "").trim().to_owned() }
}

/// What a file held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct PostprocessSummary {
    /// Different examples (per layout).
    pub conversations: usize,
    /// Records.
    pub continuations: usize,
}

/// Copies a file of records and gives each its `response`; the raw `text` stays. The output appears whole or not at all,
/// and may be the input's own path.
///
/// # Errors
/// The input can't be read or holds a line that is no record; the output can't be written.
pub fn postprocess_file(input: &Path, output: &Path, torn: TornLine) -> Result<PostprocessSummary, Error> {
    let records = read_records(input, torn)?;
    let mut examples = HashSet::new();
    let mut continuations = 0;
    write_atomically(output, |writer| {
        for record in records {
            let mut record = record?;
            record.response = Some(tidy_response(&record.text, &record.strategy));
            write_json_line(writer, output, &record)?;
            examples.insert((record.layout, record.example));
            continuations += 1;
        }
        Ok(())
    })?;
    Ok(PostprocessSummary { conversations: examples.len(), continuations })
}

/// Takes off `label` at the start if it is written as a tag: marked by `* " ' ( [ <` around it, or followed by a colon, a
/// dash or a line break. A label that begins a sentence is no tag.
fn without_leading_tag<'a>(text: &'a str, label: &str) -> &'a str {
    let unmarked = text.trim_start_matches(is_mark);
    let opening = &text[..text.len() - unmarked.len()];
    let Some(after_label) = strip_prefix_ignoring_case(unmarked, label) else {
        return text;
    };
    if label.is_empty() {
        return text;
    }
    let after_word = strip_prefix_ignoring_case(after_label.trim_start_matches(is_mark), " strategy");
    let rest = after_word.unwrap_or(after_label);
    let after_marks = rest.trim_start_matches(is_mark);
    let closed = after_marks.len() < after_label.len();
    let separated = after_marks.trim_start_matches([' ', '\t']);
    if let Some(reply) = separated.strip_prefix([':', '–', '—', '\n']).or_else(|| separated.strip_prefix("- ")) {
        return reply.trim_start_matches(is_mark_after_colon);
    }
    // A bracketed label is a tag; a label between asterisks may also be stressed in a sentence, which then goes on.
    let is_bracketed = closed && opening.contains(['(', '[', '<']);
    let is_headline = closed && opening.contains('*') && !separated.starts_with(char::is_lowercase);
    if is_bracketed || is_headline { separated } else { text }
}

fn is_mark(character: char) -> bool {
    matches!(character, '*' | '"' | '\'' | '(' | ')' | '[' | ']' | '<' | '>')
}

/// `**Label:** reply` closes its marks after the colon; other marks there belong to the reply.
fn is_mark_after_colon(character: char) -> bool {
    character == '*' || character == ']' || character == ')'
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_last_tag_is_kept_with_its_case() {
        assert_eq!(tidy_response("Sure! Assistant: no. ASSISTANT: I hear You.", "Affirmation"), "I hear You.");
    }

    #[test]
    fn a_label_that_is_a_tag_goes() {
        for text in [
            "Offer Hope: It gets better.",
            "**Offer Hope:** It gets better.",
            "**Offer Hope**: It gets better.",
            "[Offer Hope] It gets better.",
            "(offer hope) It gets better.",
            "\"Offer Hope\" strategy: It gets better.",
            "Offer hope - It gets better.",
            "Offer Hope\nIt gets better.",
            "assistant: Offer Hope — It gets better.",
        ] {
            assert_eq!(tidy_response(text, "Offer Hope"), "It gets better.", "{text}");
        }
    }

    #[test]
    fn a_label_in_a_sentence_stays() {
        for text in [
            "Offer Hope to others.",
            "You Offer Hope: good.",
            "'Offer Hope' is what you do.",
            "*Offer Hope* is what you do.",
            "Offer Hope-based talk helps.",
            "Offer Hopeful: a",
        ] {
            assert_eq!(tidy_response(text, "Offer Hope"), text);
        }
    }

    #[test]
    fn texts_that_are_not_ascii_are_cut_at_characters() {
        assert_eq!(tidy_response("İé assistant: Ünïcode “x”", "Chit Chat"), "Ünïcode “x”");
        assert_eq!(tidy_response("éé", "ab"), "éé");
    }

    #[test]
    fn compat_lowers_the_case_and_deletes_the_label_everywhere() {
        let text = " Assistant: A. assistant: Clarification: Is CLARIFICATION what You want? ";
        assert_eq!(compat_response(text, "Clarification"), ": is  what you want?");
    }
}
