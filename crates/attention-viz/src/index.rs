//! Which records there are: the attention files of some run folders.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
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
    damaged: usize,
}

/// What the page's list of records shows.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Listing {
    /// Runs, in the order in which they were named.
    pub runs: Vec<Run>,
    /// Files that can't be shown, and why.
    pub problems: Vec<String>,
}

/// The records of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// The folder's name; a second one of that name is `NAME-2`.
    pub name: String,
    /// Its records, by conversation, turn, layout and strategy.
    pub records: Vec<Entry>,
}

/// One record in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub(crate) id: String,
    pub(crate) example: String,
    pub(crate) conversation: String,
    pub(crate) turn: usize,
    pub(crate) strategy: String,
    pub(crate) layout: String,
    pub(crate) model: String,
    pub(crate) response: String,
    pub(crate) prompt_tokens: usize,
    pub(crate) rows: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) values: BTreeMap<String, f64>,
}

impl RunIndex {
    /// Reads the manifests of run folders (or of folders of attention files, or of single files). A run may be a symbolic
    /// link; nothing in it may lead out of it. Files that can't be shown are told among the problems: damaged ones, those
    /// outside the run, and those without an id of their own.
    ///
    /// # Errors
    /// A folder can't be read or holds no attention file at all.
    pub fn open(runs: &[PathBuf]) -> Result<Self, Error> {
        let mut index = Self::default();
        for run in runs {
            index.add(run)?;
        }
        Ok(index)
    }

    fn add(&mut self, run: &Path) -> Result<(), Error> {
        let number = self.listing.runs.len();
        let mut records = Vec::new();
        for found in files(run)? {
            let read = found.and_then(|file| Ok((showable(&file)?, file)));
            let taken = read.and_then(|(entry, file)| match self.file(number, &entry.id) {
                Some(first) => Err(Error::Record {
                    path: file,
                    problem: format!("its id `{}` is that of {} too", entry.id, first.display()),
                }),
                None => Ok((entry, file)),
            });
            match taken {
                Ok((entry, file)) => {
                    self.files.insert((number, entry.id.clone()), file);
                    records.push(entry);
                }
                Err(error) => {
                    self.damaged += usize::from(!matches!(error, Error::Record { .. }));
                    self.listing.problems.push(error.to_string());
                }
            }
        }
        records.sort_by(|left, right| left.place().cmp(&right.place()));
        self.listing.runs.push(Run { name: self.free_name(run_name(run)), records });
        Ok(())
    }

    /// That name, numbered if a run has it already: tables and folders must tell runs apart.
    fn free_name(&self, name: String) -> String {
        let is_free = |name: &String| self.listing.runs.iter().all(|run| run.name != *name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
    }

    /// What the list of records shows.
    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// How many of the problems are files that can't be read or are no attention files, rather than records that can't be
    /// shown.
    pub fn damaged(&self) -> usize {
        self.damaged
    }

    /// The file of a record.
    pub fn file(&self, run: usize, id: &str) -> Option<&Path> {
        self.files.get(&(run, id.to_owned())).map(PathBuf::as_path)
    }

    /// All files with their run's number, in the order of the list.
    pub fn files(&self) -> impl Iterator<Item = (usize, &Path)> {
        self.records().map(|(run, _, file)| (run, file))
    }

    /// All records with their run's number and their file, in the order of the list.
    pub(crate) fn records(&self) -> impl Iterator<Item = (usize, &Entry, &Path)> {
        self.listing.runs.iter().enumerate().flat_map(move |(run, listed)| {
            listed.records.iter().filter_map(move |entry| Some((run, entry, self.file(run, &entry.id)?)))
        })
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

/// A file's entry, if the page can address and show it.
fn showable(file: &Path) -> Result<Entry, Error> {
    let manifest = read_manifest(file)?;
    let refuse = |problem: String| Err(Error::Record { path: file.to_owned(), problem });
    let id = &manifest.record.id;
    if id.is_empty() || !id.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter)) {
        return refuse(format!("its id `{}` is not made of letters, digits, `-` and `_`", id.escape_default()));
    }
    if manifest.rows == 0 {
        return refuse("it has no new tokens".into());
    }
    Ok(entry(manifest))
}

fn run_name(run: &Path) -> String {
    let canonical = || std::fs::canonicalize(run).ok();
    let name = run.file_name().map(OsStr::to_owned).or_else(|| Some(canonical()?.file_name()?.to_owned()));
    name.map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The attention files of a run, by name, each where it really is.
fn files(run: &Path) -> Result<Vec<Result<PathBuf, Error>>, Error> {
    let root = canonical(run)?;
    if root.is_file() {
        return Ok(vec![Ok(root)]);
    }
    let folder = match root.join(ATTENTION) {
        folder if folder.is_dir() => within(&root, &folder)?,
        _ => root.clone(),
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder))? {
        let path = entry.map_err(Error::io(&folder))?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) && !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Error::Missing(format!(
            "{}: no attention file (.{EXTENSION}) is in this folder; capture a run with `sra continue --attention layers`",
            folder.display()
        )));
    }
    paths.sort();
    Ok(paths.iter().map(|path| within(&root, path)).collect())
}

fn canonical(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(Error::io(path))
}

/// Where a path of a run really is, which must be in the run.
fn within(run: &Path, path: &Path) -> Result<PathBuf, Error> {
    let target = canonical(path)?;
    if target.starts_with(run) {
        return Ok(target);
    }
    let problem = format!("it leads out of the run to {}; name that as a run to look at it", target.display());
    Err(Error::Record { path: path.to_owned(), problem })
}

/// Whether a file of the index is still where it was: nothing has put a link in its way since.
pub(crate) fn check_place(file: &Path) -> Result<(), Error> {
    let target = canonical(file)?;
    if target == file {
        return Ok(());
    }
    Err(Error::Record { path: file.to_owned(), problem: format!("it now leads to {}", target.display()) })
}
