//! MultiESC's (and MAGIC's) `train.txt`, `valid.txt` and `test.txt`: merged, tokenised turns and eight labels of their own.

use std::path::Path;

use super::{Corpus, CorpusForm, lines};
use crate::error::{Error, read_text};
use crate::label::LabelSet;

/// Reads one of MultiESC's files. Emotional states and causes (`vad`, `cause`) are not kept.
///
/// # Errors
/// The file can't be read, a line is no conversation, or a strategy is not one of MultiESC's eight.
pub fn read_multiesc(path: &Path) -> Result<Corpus, Error> {
    parse(path, &read_text(path)?)
}

/// Reads one of MultiESC's files as [`read_multiesc`] does, but leaves strategies as they are written, known or not: for
/// programs that look them up themselves.
///
/// # Errors
/// The file can't be read, or a line is no conversation.
pub fn read_multiesc_as_written(path: &Path) -> Result<Corpus, Error> {
    lines::parse(path, &read_text(path)?, CorpusForm::Multiesc, None)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Corpus, Error> {
    lines::parse(path, text, CorpusForm::Multiesc, Some(LabelSet::Multiesc))
}
