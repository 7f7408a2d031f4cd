//! WordNet's synonyms, looked up as NLTK's `wordnet.synsets` does.
//!
//! Reads the files of the WordNet 3.0 database: `index.*` (words and where their synsets are), `data.*` (synsets) and `*.exc`
//! (irregular forms), each for nouns, verbs, adjectives and adverbs. Format: the manual pages wndb(5WN) and morphy(7WN).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::resources::wordnet_folders;

/// A suffix and what takes its place in the base form.
type Rule = (&'static str, &'static str);

const NOUN_RULES: &[Rule] = &[
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
];
const VERB_RULES: &[Rule] =
    &[("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")];
const ADJECTIVE_RULES: &[Rule] = &[("er", ""), ("est", ""), ("er", "e"), ("est", "e")];

/// The WordNet 3.0 database.
#[derive(Debug)]
pub struct WordNet {
    parts: [PartOfSpeech; 4],
}

impl WordNet {
    /// Reads the database from the folder with its files.
    ///
    /// # Errors
    /// A file that is missing or not as expected.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let read = |suffix, rules| PartOfSpeech::read(folder, suffix, rules);
        let (nouns, (verbs, (adjectives, adverbs))) = rayon::join(
            || read("noun", NOUN_RULES),
            || (read("verb", VERB_RULES), (read("adj", ADJECTIVE_RULES), read("adv", &[]))),
        );
        Ok(Self { parts: [nouns?, verbs?, adjectives?, adverbs?] })
    }

    /// The database in the folder that the environment variable `SOLACE_WORDNET` names; else, if it is there, `corpora/wordnet` of NLTK's data
    /// (in the places of [`PunktParameters::find`](crate::tokenize::PunktParameters::find)), or `/usr/share/wordnet`; else none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn find() -> Result<Option<Self>, Error> {
        if let Some(folder) = std::env::var_os("SOLACE_WORDNET").filter(|value| !value.is_empty()) {
            return Self::open(PathBuf::from(folder)).map(Some);
        }
        wordnet_folders().find(|folder| folder.join("index.noun").is_file()).map(Self::open).transpose()
    }

    /// The single words in all synsets of a word and its base forms, in every part of speech. A word may come several times.
    pub fn synonyms(&self, word: &str) -> Vec<&str> {
        let word = word.to_lowercase();
        let mut synonyms = Vec::new();
        for part in &self.parts {
            for form in part.forms(&word) {
                for synset in part.index.get(form.as_str()).into_iter().flatten() {
                    synonyms.extend(part.words(*synset).filter(|word| !word.contains('_')));
                }
            }
        }
        synonyms
    }
}

/// The files of a part of speech.
#[derive(Debug)]
struct PartOfSpeech {
    rules: &'static [Rule],
    /// Words with the places of their synsets in `data`.
    index: HashMap<Box<str>, Box<[u32]>>,
    data: String,
    /// Irregular forms with their base forms.
    exceptions: HashMap<Box<str>, Vec<Box<str>>>,
}

impl PartOfSpeech {
    fn read(folder: &Path, suffix: &str, rules: &'static [Rule]) -> Result<Self, Error> {
        let data = read_text(&folder.join(format!("data.{suffix}")))?;
        let mut part = Self { rules, index: HashMap::new(), data, exceptions: HashMap::new() };
        part.read_index(&folder.join(format!("index.{suffix}")))?;
        part.read_exceptions(&folder.join(format!("{suffix}.exc")))?;
        Ok(part)
    }

    /// Lines that start with a space are the licence.
    fn read_index(&mut self, path: &Path) -> Result<(), Error> {
        let text = read_text(path)?;
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with(' ')) {
            let (word, synsets) =
                index_line(line).ok_or_else(|| broken(path, number, "not a line of a WordNet 3.0 index"))?;
            if let Some(synset) = synsets.iter().find(|synset| !self.has_synset(**synset)) {
                return Err(broken(path, number, &format!("the data file has no synset at {synset:08}")));
            }
            self.index.insert(word.into(), synsets);
        }
        Ok(())
    }

    fn read_exceptions(&mut self, path: &Path) -> Result<(), Error> {
        for line in read_text(path)?.lines() {
            let mut words = line.split_ascii_whitespace();
            if let Some(form) = words.next() {
                self.exceptions.insert(form.into(), words.map(Into::into).collect());
            }
        }
        Ok(())
    }

    /// Whether a synset's line starts there: it starts with its own place.
    fn has_synset(&self, at: u32) -> bool {
        let line = self.data.get(at as usize..);
        line.and_then(|line| line.get(..8)).is_some_and(|place| place.parse() == Ok(at))
    }

    /// The word and its base forms, as far as the index has them.
    fn forms(&self, word: &str) -> Vec<String> {
        let mut forms = vec![word.to_owned()];
        if let Some(bases) = self.exceptions.get(word) {
            forms.extend(bases.iter().map(|base| base.to_string()));
        } else {
            let stems = self.rules.iter().filter_map(|(suffix, base)| Some((word.strip_suffix(suffix)?, base)));
            forms.extend(stems.map(|(stem, base)| format!("{stem}{base}")));
        }
        forms.retain(|form| self.index.contains_key(form.as_str()));
        forms
    }

    /// The words of a synset. An adjective's mark, as in `galore(ip)`, is no part of the word.
    fn words(&self, synset: u32) -> impl Iterator<Item = &str> {
        let line = self.data.get(synset as usize..).and_then(|data| data.lines().next()).unwrap_or_default();
        // Place, lexicographer's file and part of speech; then the number of words, and each with a number of its own.
        let mut fields = line.split_ascii_whitespace().skip(3);
        let count = fields.next().and_then(|count| usize::from_str_radix(count, 16).ok()).unwrap_or_default();
        fields.step_by(2).take(count).map(without_mark)
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|problem| Error::Resource {
        path: path.to_owned(),
        problem: format!("{problem} (a file of WordNet 3.0)"),
    })
}

fn broken(path: &Path, line: usize, problem: &str) -> Error {
    Error::Resource { path: path.to_owned(), problem: format!("line {line}: {problem}") }
}

/// The word of a line and the places of its synsets.
fn index_line(line: &str) -> Option<(&str, Box<[u32]>)> {
    // word, part of speech, number of synsets, number of pointers, pointers, number of senses, number of tagged senses, synsets
    let mut fields = line.split_ascii_whitespace();
    let word = fields.next()?;
    let count: usize = fields.nth(1)?.parse().ok()?;
    let pointers: usize = fields.next()?.parse().ok()?;
    let synsets: Option<Box<[u32]>> = fields.skip(pointers).skip(2).map(|synset| synset.parse().ok()).collect();
    synsets.filter(|synsets| synsets.len() == count).map(|synsets| (word, synsets))
}

fn without_mark(word: &str) -> &str {
    match word.strip_suffix(')').and_then(|marked| marked.rsplit_once('(')) {
        Some((plain, mark)) if !mark.contains(')') => plain,
        _ => word,
    }
}
