//! Readers of the corpora, one file each, and one that finds out which it has before it.

mod esconv;
mod lines;
mod multiesc;
mod thtra;

use std::collections::HashMap;
use std::path::Path;

pub use esconv::{read_esconv, read_failed_esconv};
pub use multiesc::{read_multiesc, read_multiesc_as_written};
pub use thtra::read_thtra;

use crate::conversation::Conversation;
use crate::error::{Error, read_text};

/// The form of a corpus file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorpusForm {
    /// `ESConv.json`: one JSON array, speakers `seeker` and `supporter`.
    Esconv,
    /// `FailedESConv.json`: one JSON array, speakers `speaker` and `listener`.
    FailedEsconv,
    /// BlenderBot-ThTra's `train.txt` …: a JSON object a line, speakers `usr` and `sys`.
    Thtra,
    /// MultiESC's `train.txt` …: as ThTra's, with `init_intensity`.
    Multiesc,
}

/// What a reader found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    /// The file's form.
    pub form: CorpusForm,
    /// The conversations in the file's order.
    pub conversations: Vec<Conversation>,
    /// Strategy labels outside the form's label set, and how often each occurs. Only `FailedESConv.json` may have any.
    pub unknown_labels: Vec<(String, usize)>,
}

impl Corpus {
    /// Ids of conversations that occur more than once.
    pub fn duplicates(&self) -> Vec<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for conversation in &self.conversations {
            *seen.entry(conversation.id()).or_default() += 1;
        }
        let mut duplicates: Vec<String> = seen.into_iter().filter(|(_, count)| *count > 1).map(|(id, _)| id).collect();
        duplicates.sort();
        duplicates
    }
}

/// Reads a corpus of any known form.
///
/// # Errors
/// The file can't be read, is of no known form, or is malformed.
pub fn read_corpus(path: &Path) -> Result<Corpus, Error> {
    let text = read_text(path)?;
    let start = text.trim_start();
    if start.is_empty() {
        return Err(Error::format(path, "the file", "nothing is in it: expected conversations"));
    }
    if start.starts_with('[') {
        let rows = esconv::parse_rows(path, &text)?;
        return esconv::parse(path, &rows, esconv::detect(&rows));
    }
    // The line's number counts blank lines before it.
    let blank = text[..text.len() - start.len()].matches('\n').count();
    match detect(path, start.lines().next().unwrap_or_default(), blank + 1)? {
        CorpusForm::Multiesc => multiesc::parse(path, &text),
        _ => thtra::parse(path, &text),
    }
}

/// Which of the forms with one object a line it is, by the first of them.
fn detect(path: &Path, first: &str, number: usize) -> Result<CorpusForm, Error> {
    let row: serde_json::Value = serde_json::from_str(first).map_err(|error| {
        let problem = "no known form of corpus: neither a JSON array nor a JSON object a line";
        Error::format(path, format!("line {number}"), format!("{problem} ({error})"))
    })?;
    match (row.get("dialog"), row.get("init_intensity")) {
        (Some(_), Some(_)) => Ok(CorpusForm::Multiesc),
        (Some(_), None) => Ok(CorpusForm::Thtra),
        _ => Err(Error::format(
            path,
            format!("line {number}"),
            "no known form of corpus: the field `dialog` is missing (prepared examples need the ending .jsonl)",
        )),
    }
}
