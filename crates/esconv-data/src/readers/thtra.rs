//! BlenderBot-ThTra's `train.txt`, `valid.txt` and `test.txt`: ESConv's labels, a conversation a line.

use std::path::Path;

use super::{Corpus, CorpusForm, lines};
use crate::error::{Error, read_text};
use crate::label::LabelSet;

/// Reads one of ThTra's files.
///
/// # Errors
/// The file can't be read, a line is no conversation, or a strategy is not one of ESConv's eight.
pub fn read_thtra(path: &Path) -> Result<Corpus, Error> {
    parse(path, &read_text(path)?)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Corpus, Error> {
    lines::parse(path, text, CorpusForm::Thtra, Some(LabelSet::Esconv))
}
