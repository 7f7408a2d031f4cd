//! METEOR's own tables, read from the user's copy.
//!
//! METEOR 1.5 is distributed under the LGPL and is neither part of this workspace nor downloaded by it. Whoever has it, from
//! <https://www.cs.cmu.edu/~alavie/METEOR/> or with the Python package `pycocoevalcap`, names its folder.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use zip::ZipArchive;

use super::paraphrase_cache::{self, Source};
use super::paraphrase_index::ParaphraseIndex;
use super::synonyms::Synonyms;
use crate::Error;

const JAR: &str = "meteor-1.5.jar";
const SYNSETS: &str = "synonym/english.synsets";
const EXCEPTIONS: &str = "synonym/english.exceptions";
const TABLES: [&str; 2] = ["data/paraphrase-en.gz", "paraphrase-en.gz"];

/// Bytes that are read of a word list at most; METEOR's have less than four million.
const LONGEST_LIST: u64 = 1 << 26;

/// The environment variable that names METEOR's folder.
const VARIABLE: &str = "SOLACE_METEOR";

/// METEOR's synonyms and paraphrases for English.
#[derive(Debug)]
pub struct MeteorResources {
    pub(super) synonyms: Synonyms,
    pub(super) paraphrases: ParaphraseIndex,
    cache_problem: Option<String>,
}

impl MeteorResources {
    /// Reads METEOR's folder.
    ///
    /// The synonyms are taken from `meteor-1.5.jar` in the folder or, if the jar was unpacked there, from
    /// `synonym/english.synsets` and `synonym/english.exceptions`; the paraphrases from `data/paraphrase-en.gz` or
    /// `paraphrase-en.gz`. Reading the paraphrases takes some seconds the first time; their index (about 30 MB) is then kept in
    /// `$XDG_CACHE_HOME/solace`, else `~/.cache/solace`, and used as long as the file is the same.
    ///
    /// # Errors
    /// A file that is missing, can't be read, or is not what it should be.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with_cache(folder, default_cache().as_deref())
    }

    /// Reads METEOR's folder as [`Self::open`] does, and keeps the index of the paraphrases in the folder `cache`, or nowhere.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_cache(folder: impl AsRef<Path>, cache: Option<&Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let (synonyms, paraphrases) = rayon::join(|| open_synonyms(folder), || open_paraphrases(folder, cache));
        let (paraphrases, cache_problem) = paraphrases?;
        Ok(Self { synonyms: synonyms?, paraphrases, cache_problem })
    }

    /// The resources in the folder that the environment variable `SOLACE_METEOR` names, or none if it is not set.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn find() -> Result<Option<Self>, Error> {
        std::env::var_os(VARIABLE)
            .filter(|folder| !folder.is_empty())
            .map(|folder| Self::open(PathBuf::from(folder)))
            .transpose()
    }

    /// Why the index of the paraphrases could not be kept. It is complete nevertheless, but will be built again the next time.
    pub fn cache_problem(&self) -> Option<&str> {
        self.cache_problem.as_deref()
    }
}

fn default_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("solace"))
}

fn open_synonyms(folder: &Path) -> Result<Synonyms, Error> {
    let jar = folder.join(JAR);
    let (place, synsets, exceptions) = if jar.is_file() {
        let mut archive = File::open(&jar)
            .map_err(|problem| unusable(&jar, problem))
            .and_then(|file| ZipArchive::new(BufReader::new(file)).map_err(|problem| unusable(&jar, problem)))?;
        let mut list = |name: &str| {
            let entry = archive.by_name(name).map_err(|problem| unusable(&jar, format!("{name}: {problem}")))?;
            read_list(entry).map_err(|problem| unusable(&jar, format!("{name}: {problem}")))
        };
        let (synsets, exceptions) = (list(SYNSETS)?, list(EXCEPTIONS)?);
        (jar, synsets, exceptions)
    } else if folder.join(SYNSETS).is_file() {
        let list = |name: &str| {
            let path = folder.join(name);
            let file = File::open(&path).map_err(|problem| unusable(&path, problem))?;
            read_list(file).map_err(|problem| unusable(&path, problem))
        };
        (folder.join(SYNSETS), list(SYNSETS)?, list(EXCEPTIONS)?)
    } else {
        let problem = format!("there is neither {JAR} nor {SYNSETS} here: name the folder of METEOR 1.5");
        return Err(unusable(folder, problem));
    };
    Synonyms::parse(synsets, &exceptions).map_err(|problem| unusable(&place, problem))
}

fn read_list(list: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    list.take(LONGEST_LIST).read_to_string(&mut text)?;
    Ok(text)
}

/// The index, and why it could not be kept if it was built and could not.
fn open_paraphrases(folder: &Path, cache: Option<&Path>) -> Result<(ParaphraseIndex, Option<String>), Error> {
    let table = TABLES.iter().map(|name| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
        unusable(
            folder,
            format!("there is neither {} nor {} here: name the folder of METEOR 1.5", TABLES[0], TABLES[1]),
        )
    })?;
    let source = Source::of(&table).map_err(|problem| unusable(&table, problem))?;
    let kept = cache.map(|cache| paraphrase_cache::file_in(cache, &source));
    if let Some(index) = kept.as_deref().and_then(|kept| paraphrase_cache::load(kept, &source)) {
        return Ok((index, None));
    }
    let index = build_index(&table)?;
    let saved = kept.map(|kept| {
        paraphrase_cache::save(&kept, &source, &index).map_err(|problem| format!("{}: {problem}", kept.display()))
    });
    Ok((index, saved.and_then(Result::err)))
}

fn build_index(table: &Path) -> Result<ParaphraseIndex, Error> {
    let file = File::open(table).map_err(|problem| unusable(table, problem))?;
    let text = MultiGzDecoder::new(BufReader::with_capacity(1 << 18, file));
    ParaphraseIndex::parse(BufReader::with_capacity(1 << 18, text)).map_err(|problem| unusable(table, problem))
}

fn unusable(path: &Path, problem: impl std::fmt::Display) -> Error {
    Error::Resource { path: path.to_owned(), problem: problem.to_string() }
}
