//! Pair files as a corpus: which files there are, what part each is, and ids that are unique over all of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use dpo::PreferencePair;
use serde_json::Value;

use super::bad_records::BadRecords;
use super::error::CorpusError;
use super::funnel::Funnel;
use super::line_source::extension;
use super::pair_file::{Columns, read_pairs, text_of};
use super::part::Part;

const ENDS: [&str; 3] = ["jsonl", "json", "csv"];

/// How pairs are read.
#[derive(Debug, Clone, Default)]
pub struct PairFileRules {
    /// Other names of `prompt`, `chosen` and `rejected`.
    pub columns: Columns,
    /// The field by whose value pairs are grouped, where it is not `group` or the prompt; `prompt` groups by the prompt whatever else there is.
    pub group_by: Option<String>,
}

/// A pair and the part that its file's name tells.
pub type PairOfFile = (PreferencePair, Option<Part>);

/// The pair files of a folder: those whose name tells a part, or, where there are none, all.
///
/// # Errors
/// The folder can't be read.
pub(crate) fn files_of(folder: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let entries = std::fs::read_dir(folder).map_err(CorpusError::io(folder))?;
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(CorpusError::io(folder))?;
    files.retain(|path| path.is_file() && ENDS.contains(&extension(path).as_str()));
    files.sort_by_key(|path| (Part::of_file(path), path.clone()));
    if files.iter().any(|path| Part::of_file(path).is_some()) {
        files.retain(|path| Part::of_file(path).is_some());
    }
    Ok(files)
}

/// Reads all files, one after the other.
///
/// # Errors
/// A file can't be read; a record is bad (see [`BadRecords`]): not UTF-8, a field missing, a text empty, both replies the same; or an id stands there twice.
pub fn read_pair_files(
    files: &[PathBuf],
    rules: &PairFileRules,
    bad: &mut BadRecords,
    funnel: &mut Funnel,
) -> Result<Vec<PairOfFile>, CorpusError> {
    let mut all = Vec::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    for path in files {
        let part = Part::of_file(path);
        let mut read = read_pairs(path, &rules.columns)?;
        if files.len() > 1 && are_places(&read) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            read.iter_mut().flatten().for_each(|pair| pair.id = format!("{name}-{}", pair.id));
        }
        for (place, pair) in read.into_iter().enumerate() {
            let pair = pair.and_then(|pair| {
                let at = format!("pair {place} (from 0, id `{}`)", pair.id);
                checked(pair, &owners, rules).map_err(|problem| CorpusError::record(path, at, problem))
            });
            let Some(pair) = bad.sort(pair, &mut funnel.pairs)? else { continue };
            owners.insert(pair.id.clone(), path.display().to_string());
            all.push((pair, part));
        }
    }
    Ok(all)
}

/// Whether the ids are only places in the file, which say nothing among several files.
fn are_places(read: &[Result<PreferencePair, CorpusError>]) -> bool {
    read.iter()
        .enumerate()
        .all(|(place, pair)| pair.as_ref().is_ok_and(|pair| pair.id == place.to_string()) || pair.is_err())
}

fn checked(
    mut pair: PreferencePair,
    owners: &HashMap<String, String>,
    rules: &PairFileRules,
) -> Result<PreferencePair, String> {
    if let Some(problem) = fault(&pair) {
        return Err(problem);
    }
    if let Some(owner) = owners.get(&pair.id) {
        return Err(format!("this id stands in {owner} already: ids must be unique over all files"));
    }
    pair.group = group_of(&pair, rules.group_by.as_deref())?;
    Ok(pair)
}

fn fault(pair: &PreferencePair) -> Option<String> {
    let texts =
        [("prompt", text_of(&pair.prompt)), ("chosen", pair.chosen.clone()), ("rejected", pair.rejected.clone())];
    if let Some((name, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
        return Some(format!("`{name}` is empty"));
    }
    (pair.chosen.trim() == pair.rejected.trim())
        .then(|| "`chosen` and `rejected` are the same: nothing can be preferred".into())
}

fn group_of(pair: &PreferencePair, by: Option<&str>) -> Result<String, String> {
    match by {
        None | Some("group") => Ok(pair.group.clone()),
        Some("prompt") => Ok(text_of(&pair.prompt)),
        Some(field) => match pair.other.get(field) {
            Some(Value::String(value)) => Ok(value.clone()),
            Some(Value::Number(value)) => Ok(value.to_string()),
            _ => Err(format!("missing field `{field}`, by which pairs are to be grouped")),
        },
    }
}
