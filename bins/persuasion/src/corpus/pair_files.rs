//! Pair files as a corpus: which files there are, what part each is, and ids that are unique over all of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use dpo::{PairColumns, PairFile, PreferencePair, ReadPairs, read_pairs};
use serde_json::Value;

use super::bad_records::BadRecords;
use super::error::CorpusError;
use super::funnel::Funnel;
use super::line_source::extension;
use super::part::Part;
use super::prompt_text::text_of;

const ENDS: [&str; 3] = ["jsonl", "json", "csv"];

/// How pairs are read.
#[derive(Debug, Clone, Default)]
pub struct PairFileRules {
    /// Other names of `prompt`, `chosen` and `rejected`.
    pub columns: PairColumns,
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
/// A file can't be read or holds no pair; a record is bad (see [`dpo::read_pairs`]) or its id stands in an earlier file, and bad ones are not to be skipped.
pub fn read_pair_files(
    files: &[PathBuf],
    rules: &PairFileRules,
    bad: &mut BadRecords,
    funnel: &mut Funnel,
) -> Result<Vec<PairOfFile>, CorpusError> {
    let mut all = Vec::new();
    let mut owners: HashMap<String, &Path> = HashMap::new();
    for path in files {
        let part = Part::of_file(path);
        let options = ReadPairs { columns: rules.columns.clone(), skip_bad: bad.are_skipped() };
        let mut file = read_pairs(path, &options)?;
        if files.len() > 1 && are_places(&file) {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            file.pairs.iter_mut().for_each(|pair| pair.id = format!("{name}-{}", pair.id));
        }
        bad.absorb(&file, &mut funnel.pairs);
        for pair in file.pairs {
            let place = format!("pair `{}`", pair.id);
            let checked = checked(pair, &owners, rules).map_err(|problem| CorpusError::record(path, place, problem));
            let Some(pair) = bad.sort(checked, &mut funnel.pairs)? else { continue };
            owners.insert(pair.id.clone(), path);
            all.push((pair, part));
        }
    }
    Ok(all)
}

/// Whether the ids are only places in the file, which say nothing among several files.
fn are_places(file: &PairFile) -> bool {
    let places: Option<Vec<usize>> = file.pairs.iter().map(|pair| place(&pair.id)).collect();
    let records = file.pairs.len() + file.skipped.len();
    places.is_some_and(|places| places.is_sorted() && places.iter().all(|place| *place < records))
}

fn place(id: &str) -> Option<usize> {
    let place: usize = id.parse().ok()?;
    (place.to_string() == id).then_some(place)
}

fn checked(
    mut pair: PreferencePair,
    owners: &HashMap<String, &Path>,
    rules: &PairFileRules,
) -> Result<PreferencePair, String> {
    if let Some(owner) = owners.get(&pair.id) {
        return Err(format!("this id stands in {} already: ids must be unique over all files", owner.display()));
    }
    pair.group = group_of(&pair, rules.group_by.as_deref())?;
    Ok(pair)
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
