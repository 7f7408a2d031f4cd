//! Which records there are: the attention files of some run folders.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::container::{EXTENSION, read_manifest};
use crate::error::Error;
use crate::manifest::Manifest;

/// Folder of attention files within a run folder.
const ATTENTION: &str = "attention";

/// All records of some runs.
#[derive(Debug, Default)]
pub struct RunIndex {
    listing: Listing,
    files: HashMap<(usize, String), PathBuf>,
}

/// What the page's list of records shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Listing {
    /// Runs, in the order in which they were named.
    pub runs: Vec<Run>,
    /// Files that could not be read, and why.
    pub problems: Vec<String>,
}

/// The records of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The folder's name.
    pub name: String,
    /// Its records, by conversation, turn, layout and strategy.
    pub records: Vec<Entry>,
}

/// One record in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    id: String,
    example: String,
    conversation: String,
    turn: usize,
    strategy: String,
    layout: String,
    model: String,
    response: String,
    prompt_tokens: usize,
    rows: usize,
    layers: usize,
    heads: usize,
    values: BTreeMap<String, f64>,
}

impl RunIndex {
    /// Reads the manifests of run folders (or of folders of attention files, or of single files). A damaged file is left
    /// out and told among the problems.
    ///
    /// # Errors
    /// A folder can't be read or holds no attention file at all.
    pub fn open(runs: &[PathBuf]) -> Result<Self, Error> {
        let mut index = Self::default();
        for (number, run) in runs.iter().enumerate() {
            let files = files(run)?;
            let mut records = Vec::new();
            for file in files {
                match read_manifest(&file) {
                    Ok(manifest) => records.push((entry(manifest), file)),
                    Err(error) => index.listing.problems.push(error.to_string()),
                }
            }
            records.sort_by(|(left, _), (right, _)| left.place().cmp(&right.place()));
            for (entry, file) in &records {
                index.files.insert((number, entry.id.clone()), file.clone());
            }
            let name = run.file_name().map_or_else(|| run.display().to_string(), |name| name.to_string_lossy().into());
            index.listing.runs.push(Run { name, records: records.into_iter().map(|(entry, _)| entry).collect() });
        }
        Ok(index)
    }

    /// What the list of records shows.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// The file of a record.
    pub fn file(&self, run: usize, id: &str) -> Option<&Path> {
        self.files.get(&(run, id.to_owned())).map(PathBuf::as_path)
    }

    /// All files, in the order of the list.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.listing
            .runs
            .iter()
            .enumerate()
            .flat_map(move |(run, listed)| listed.records.iter().filter_map(move |entry| self.file(run, &entry.id)))
    }
}

impl Entry {
    fn place(&self) -> (&str, usize, &str, &str, &str) {
        (&self.conversation, self.turn, &self.layout, &self.strategy, &self.id)
    }
}

fn entry(manifest: Manifest) -> Entry {
    let Manifest { record, prompt_tokens, rows, layers, heads, .. } = manifest;
    Entry {
        id: record.id,
        example: record.example,
        conversation: record.conversation,
        turn: record.turn,
        strategy: record.strategy,
        layout: record.layout,
        model: record.model,
        response: record.response,
        prompt_tokens,
        rows,
        layers,
        heads,
        values: record.values,
    }
}

fn files(run: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_attention = |path: &Path| path.extension().is_some_and(|extension| extension == EXTENSION);
    if run.is_file() {
        return Ok(vec![run.to_owned()]);
    }
    let folder = if run.join(ATTENTION).is_dir() { run.join(ATTENTION) } else { run.to_owned() };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder))? {
        let path = entry.map_err(Error::io(&folder))?.path();
        if is_attention(&path) && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::Missing(format!(
            "{}: no attention file (.{EXTENSION}) is in this folder; capture a run with `sra continue --attention layers`",
            folder.display()
        )));
    }
    files.sort();
    Ok(files)
}
