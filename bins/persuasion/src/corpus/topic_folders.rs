//! The topic-organised form: somewhere below a folder, a folder for each post with `op.json` and `pairs.json`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::bad_records::BadRecords;
use super::candidates::{Candidates, Post};
use super::error::CorpusError;
use super::funnel::Funnel;
use super::line_source::read_json;
use super::op_pairs::add_pair;
use super::part::Part;

const POST: &str = "op.json";
const PAIRS: &str = "pairs.json";
/// Folders of topics in folders of parts, and one more.
const DEEPEST: usize = 4;

#[derive(Deserialize)]
struct PostFile {
    op_title: String,
    op_text: String,
    #[serde(default)]
    op_user: Option<String>,
    #[serde(default, alias = "op_id", alias = "op_name")]
    id: Option<String>,
    #[serde(default)]
    split: Option<String>,
}

/// Every post with its pairs; folders in the order of their names.
///
/// # Errors
/// A file can't be read, or is bad and bad ones are not to be skipped.
pub fn read_topic_folders(
    root: &Path,
    bad: &mut BadRecords,
    funnel: &mut Funnel,
) -> Result<Vec<Candidates>, CorpusError> {
    let mut all = Vec::new();
    for folder in post_folders(root)? {
        let read = read_post(&folder, all.len() as u64).map_err(of_record);
        let Some(candidates) = bad.sort(read, &mut funnel.posts)? else { continue };
        candidates.arguments.iter().for_each(|_| funnel.replies.read_one());
        all.push(candidates);
    }
    Ok(all)
}

/// Folders below `root` that hold a post, in the order of their names.
pub(crate) fn post_folders(root: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let mut found = Vec::new();
    collect(root, DEEPEST, &mut found)?;
    Ok(found)
}

fn collect(folder: &Path, deeper: usize, found: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    if folder.join(POST).is_file() {
        found.push(folder.to_owned());
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(CorpusError::io(folder))?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(CorpusError::io(folder))?;
    paths.sort();
    for path in paths.iter().filter(|path| deeper > 0 && path.is_dir()) {
        collect(path, deeper - 1, found)?;
    }
    Ok(())
}

fn read_post(folder: &Path, place: u64) -> Result<Candidates, CorpusError> {
    let file: PostFile = read_json(&folder.join(POST))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let id = file.id.map_or(name, |id| id.strip_prefix("t3_").unwrap_or(&id).to_owned());
    let post = Post { id, author: file.op_user.unwrap_or_default(), title: file.op_title, body: file.op_text };
    let part = file.split.as_deref().and_then(Part::parse);
    let mut candidates = Candidates { place, post, part, ..Candidates::default() };
    let path = folder.join(PAIRS);
    let pairs: Value = read_json(&path)?;
    for (name, pair) in named(&pairs, &path)? {
        add_pair(&mut candidates, &name, pair)
            .map_err(|problem| CorpusError::record(&path, format!("pair `{name}`"), problem))?;
    }
    Ok(candidates)
}

/// Pairs with their names: of an object its keys, of an array their `pair_id`, or their places from 0.
fn named<'a>(pairs: &'a Value, path: &Path) -> Result<Vec<(String, &'a Value)>, CorpusError> {
    match pairs {
        Value::Object(pairs) => Ok(pairs.iter().map(|(name, pair)| (name.clone(), pair)).collect()),
        Value::Array(pairs) => {
            let name = |(place, pair): (usize, &'a Value)| {
                let name = ["pair_id", "id"].iter().find_map(|name| pair.get(name)?.as_str());
                (name.map_or_else(|| place.to_string(), str::to_owned), pair)
            };
            Ok(pairs.iter().enumerate().map(name).collect())
        }
        _ => Err(CorpusError::format(path, "expected an object or an array of pairs")),
    }
}

/// A file of one post is one record here: it may be left out as a line elsewhere.
fn of_record(error: CorpusError) -> CorpusError {
    match error {
        CorpusError::Format { path, problem } => CorpusError::record(&path, "the whole file", problem),
        other => other,
    }
}
