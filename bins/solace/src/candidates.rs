//! What was said: rows of candidates.

use std::path::Path;

use command_line::Failure;
use serde::{Deserialize, Serialize};
use strategy_prompting::{RowKind, read_rows};

/// An answer at a place: a line of the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CandidateRow {
    /// Place, strategy and number: unique for one realiser.
    pub(crate) id: String,
    /// The place's id.
    pub(crate) point: String,
    pub(crate) conversation: String,
    /// The strategy that was asked for, by its name in the plan; none where whoever answered chose.
    pub(crate) strategy: Option<String>,
    /// Number among the candidates of this strategy, from 0.
    pub(crate) number: usize,
    pub(crate) text: String,
    /// New tokens, the end included.
    pub(crate) tokens: usize,
    /// Realiser and settings.
    pub(crate) made_by: String,
}

/// Rows of candidates.
pub(crate) const CANDIDATE_ROWS: RowKind<CandidateRow> = RowKind {
    name: "row of `solace realise`",
    beginning: r#"{"id":"#,
    id: |row| row.id.clone(),
    made_by: |row| &row.made_by,
};

/// The id of a candidate.
pub(crate) fn candidate_id(point: &str, strategy: Option<&str>, number: usize) -> String {
    format!("{point} · {} · {number}", strategy.unwrap_or("free"))
}

impl CandidateRow {
    /// Names it among the candidates of several realisers.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.made_by, self.id)
    }
}

/// The candidates of some files together, in the order of places as the files have them.
///
/// # Errors
/// A file can't be read, or one candidate stands there twice.
pub(crate) fn read_all(paths: &[impl AsRef<Path>]) -> Result<Vec<CandidateRow>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read_rows(path.as_ref(), CANDIDATE_ROWS)?);
    }
    let mut keys: Vec<String> = all.iter().map(CandidateRow::key).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(Failure::work(format!("the candidate `{}` stands twice in the files", twice[0]))),
        None => Ok(all),
    }
}
