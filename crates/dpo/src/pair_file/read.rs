//! Reading a file of pairs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use llm_runtime::input_file;

use super::columns::PairColumns;
use super::fields;
use super::problem::{BadRecord, Problem};
use super::records::records;
use crate::{DpoError, PreferencePair};

/// How a file is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadPairs {
    /// What its fields are called.
    pub columns: PairColumns,
    /// Leaves records out that can't be used, in place of refusing the file.
    pub skip_bad: bool,
}

/// The pairs of a file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairFile {
    /// In the file's order.
    pub pairs: Vec<PreferencePair>,
    /// A message for each record that was left out, with its line.
    pub skipped: Vec<String>,
    /// How many were left out for which reason.
    pub counts: BTreeMap<BadRecord, usize>,
}

/// Reads a file of pairs: `.csv` is CSV, `.jsonl` an object per line, `.json` an array or an object per line; without one of these endings
/// the first letter says which.
///
/// # Errors
/// The file can't be read or holds no pair; it has a record that can't be used, unless those are skipped. The message names line and field.
pub fn read_pairs(path: &Path, options: &ReadPairs) -> Result<PairFile, DpoError> {
    let bytes = input_file::read(path).map_err(DpoError::io(path))?;
    let mut file = PairFile::default();
    let mut lines_of_ids: HashMap<String, u64> = HashMap::new();
    for (place, (line, record)) in records(path, &bytes)?.into_iter().enumerate() {
        let pair = record.and_then(|record| fields::pair(record, &options.columns, place));
        match pair.and_then(|pair| of_new_id(pair, line, &mut lines_of_ids)) {
            Ok(pair) => file.pairs.push(pair),
            Err(problem) => file.skip(path, line, problem, options.skip_bad)?,
        }
    }
    match (file.pairs.is_empty(), file.skipped.first()) {
        (false, _) => Ok(file),
        (true, None) => Err(unusable(path, "there are no pairs in it".to_owned())),
        (true, Some(first)) => {
            let count = file.skipped.len();
            Err(unusable(path, format!("none of its {count} records can be used; the first problem was: {first}")))
        }
    }
}

fn of_new_id(
    pair: PreferencePair,
    line: u64,
    lines_of_ids: &mut HashMap<String, u64>,
) -> Result<PreferencePair, Problem> {
    if let Some(earlier) = lines_of_ids.get(&pair.id) {
        let text = format!("the id `{}` stands in line {earlier} already: ids must be unique", pair.id);
        return Err(Problem::new(BadRecord::DuplicateId, text));
    }
    lines_of_ids.insert(pair.id.clone(), line);
    Ok(pair)
}

impl PairFile {
    fn skip(&mut self, path: &Path, line: u64, problem: Problem, skip_bad: bool) -> Result<(), DpoError> {
        let error = DpoError::Format { path: path.into(), line: Some(line), problem: problem.text };
        if !skip_bad {
            return Err(error);
        }
        self.skipped.push(error.to_string());
        *self.counts.entry(problem.kind).or_default() += 1;
        Ok(())
    }
}

fn unusable(path: &Path, problem: String) -> DpoError {
    DpoError::Format { path: path.into(), line: None, problem }
}
