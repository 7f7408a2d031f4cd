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

pub(super) fn parse(path: &Path, text: &str) -> Result<Corpus, Error> {
    lines::parse(path, text, CorpusForm::Multiesc, LabelSet::Multiesc)
}
