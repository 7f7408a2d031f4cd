//! The tables that Punkt looks words up in.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::resources::punkt_folders;

/// What Punkt knows of a language: abbreviations, words that start sentences, pairs that no sentence end parts, and how words are spelt.
/// A copy is cheap.
///
/// NLTK's tables are not part of this crate; [`PunktParameters::find`] reads them where NLTK's data is installed. Without them
/// [`PunktParameters::built_in`] has a list of abbreviations of its own, under which sentences of informal English end at the same places
/// almost always; tokenisers say in their names which of the two they used.
#[derive(Debug, Clone)]
pub struct PunktParameters(Arc<Tables>);

#[derive(Debug)]
struct Tables {
    is_built_in: bool,
    abbreviations: HashSet<String>,
    collocations: HashMap<String, HashSet<String>>,
    sentence_starters: HashSet<String>,
    spellings: HashMap<String, u8>,
}

impl PunktParameters {
    /// Abbreviations, words that start sentences and common words that this project collected for English; no pairs.
    pub fn built_in() -> Self {
        let abbreviations = entries(include_str!("../../../data/abbreviations.txt"));
        // Three periods with spaces between them are one word, which ends like an abbreviation.
        let abbreviations = abbreviations.chain([". . "]).map(str::to_owned).collect();
        let sentence_starters =
            entries(include_str!("../../../data/sentence_starters.txt")).map(str::to_owned).collect();
        let common_words = entries(include_str!("../../../data/common_words.txt"));
        let spellings = common_words.map(|word| (word.to_owned(), UPPER_INSIDE | LOWER_INSIDE)).collect();
        let collocations = HashMap::new();
        Self(Arc::new(Tables { is_built_in: true, abbreviations, collocations, sentence_starters, spellings }))
    }

    /// NLTK's English tables, from the first place that has `tokenizers/punkt_tab/english`: the folders in `$NLTK_DATA`, `~/nltk_data`, and
    /// `nltk_data` in `/usr/share`, `/usr/local/share`, `/usr/lib` and `/usr/local/lib`. Nothing where NLTK's data is not installed.
    ///
    /// # Errors
    /// A folder has the tables but they can't be read.
    pub fn find() -> Result<Option<Self>, Error> {
        punkt_folders().find(|folder| folder.is_dir()).map(|folder| Self::read(&folder)).transpose()
    }

    /// The tables of a folder: `abbrev_types.txt`, `collocations.tab`, `sent_starters.txt` and `ortho_context.tab`, as NLTK's `punkt_tab` has
    /// them.
    ///
    /// # Errors
    /// A file can't be read, or a line is not as it should be.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let mut collocations: HashMap<String, HashSet<String>> = HashMap::new();
        for (first, second) in pairs(&folder.join("collocations.tab"))? {
            collocations.entry(first).or_default().insert(second);
        }
        Ok(Self(Arc::new(Tables {
            is_built_in: false,
            abbreviations: lines(&folder.join("abbrev_types.txt"))?.into_iter().collect(),
            collocations,
            sentence_starters: lines(&folder.join("sent_starters.txt"))?.into_iter().collect(),
            spellings: spellings(&folder.join("ortho_context.tab"))?,
        })))
    }

    /// Whether these are the abbreviations of this project, and not tables of NLTK's kind.
    pub fn is_built_in(&self) -> bool {
        self.0.is_built_in
    }

    pub(super) fn has_abbreviation(&self, word: &str) -> bool {
        self.0.abbreviations.contains(word)
    }

    pub(super) fn has_collocation(&self, first: &str, second: &str) -> bool {
        self.0.collocations.get(first).is_some_and(|seconds| seconds.contains(second))
    }

    pub(super) fn has_sentence_starter(&self, word: &str) -> bool {
        self.0.sentence_starters.contains(word)
    }

    pub(super) fn spelling(&self, word: &str) -> Spelling {
        Spelling(self.0.spellings.get(word).copied().unwrap_or(0))
    }
}

/// How a word was seen, as flags of `ortho_context.tab`.
#[derive(Clone, Copy)]
pub(super) struct Spelling(u8);

const UPPER_AT_START: u8 = 2;
const UPPER_INSIDE: u8 = 4;
const UPPER_ELSEWHERE: u8 = 8;
const LOWER_AT_START: u8 = 16;
const LOWER_INSIDE: u8 = 32;
const LOWER_ELSEWHERE: u8 = 64;

impl Spelling {
    pub(super) fn is_seen_upper(self) -> bool {
        self.0 & (UPPER_AT_START | UPPER_INSIDE | UPPER_ELSEWHERE) != 0
    }
    pub(super) fn is_upper_inside(self) -> bool {
        self.0 & UPPER_INSIDE != 0
    }
    pub(super) fn is_seen_lower(self) -> bool {
        self.0 & (LOWER_AT_START | LOWER_INSIDE | LOWER_ELSEWHERE) != 0
    }
    pub(super) fn is_lower_at_start(self) -> bool {
        self.0 & LOWER_AT_START != 0
    }
}

/// The words of a list of this crate.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
}

/// Lines as they are: spaces at their ends count.
fn lines(path: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let problem =
            format!("{error}; NLTK's `punkt_tab` has this file, get it anew with `nltk.download(\"punkt_tab\")`");
        Error::Resource { path: path.to_owned(), problem }
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn pairs(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let pair = |(number, line): (usize, String)| match line.split_once('\t') {
        Some((first, second)) => Ok((first.to_owned(), second.to_owned())),
        None => Err(wrong_line(path, number, "two fields with a tab between them")),
    };
    lines(path)?.into_iter().enumerate().map(pair).collect()
}

fn spellings(path: &Path) -> Result<HashMap<String, u8>, Error> {
    let spelling = |(number, (word, flags)): (usize, (String, String))| match flags.parse() {
        Ok(flags) => Ok((word, flags)),
        Err(_) => Err(wrong_line(path, number, "a word and a number below 256")),
    };
    pairs(path)?.into_iter().enumerate().map(spelling).collect()
}

fn wrong_line(path: &Path, number: usize, expected: &str) -> Error {
    Error::Resource { path: path.to_owned(), problem: format!("line {} is not {expected}", number + 1) }
}
