//! Word vectors from text files.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::Error;

/// Lines that are parsed at once.
const BLOCK: usize = 4096;

/// Vectors of words. Any other word has the mean of all vectors of the file.
///
/// The format is word2vec's and GloVe's text: a word and its numbers on each line, separated by spaces or tabs. A first
/// line of two whole numbers (words, dimensions) is a header and held against what follows; without one, the first line
/// tells the dimensions. A word that comes twice keeps its first vector, the second is not part of the mean.
///
/// Numbers are kept as `f64`: 400,000 words of 300 dimensions take 1 GB. [`read_for`](Self::read_for) keeps only the
/// words that will be looked up.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    name: String,
    dimensions: usize,
    /// Where a word's vector starts; `None` for a word that was asked for and is not in the file.
    places: HashMap<String, Option<usize>>,
    /// Whether words outside `places` are unknown for certain.
    is_whole: bool,
    values: Vec<f64>,
    mean: Vec<f64>,
    words: usize,
    duplicates: usize,
}

impl WordVectors {
    /// Reads a whole file; its name without extension names the vectors in reports.
    ///
    /// # Errors
    /// The file can't be read, or a line is not as described; the error names the line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::open(path, None)
    }

    /// Reads a file and keeps the vectors of the given words only. The mean is still that of the whole file. Looking up
    /// any other word is an error.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_for<'a>(path: &Path, words: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        Self::open(path, Some(words.into_iter().collect()))
    }

    /// Reads from anything; `name` stands for the file in reports and errors.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_reader(name: &str, reader: impl BufRead) -> Result<Self, Error> {
        Reading::new(name, Path::new(name), None).read(reader)
    }

    fn open(path: &Path, only: Option<HashSet<&str>>) -> Result<Self, Error> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let reading = Reading::new(&name, path, only);
        // A folder has no lines, and those of a device may never end.
        if path.exists() && !path.is_file() {
            return Err(reading.problem("it is no file".into()));
        }
        let file = File::open(path).map_err(|error| reading.problem(error.to_string()))?;
        reading.read(BufReader::with_capacity(1 << 20, file))
    }

    /// What they are called in reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Numbers of each vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Different words in the file.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Lines that were left out because their word had come before.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// Whether a word has a vector of its own here.
    pub fn contains(&self, word: &str) -> bool {
        self.places.get(word).is_some_and(Option::is_some)
    }

    /// A word's vector, or the mean of all vectors.
    ///
    /// # Errors
    /// The word is not among those that the vectors were read for.
    pub fn vector(&self, word: &str) -> Result<&[f64], Error> {
        match self.places.get(word) {
            Some(Some(start)) => Ok(&self.values[*start..start + self.dimensions]),
            Some(None) => Ok(&self.mean),
            None if self.is_whole => Ok(&self.mean),
            None => Err(Error::Setting(format!("`{word}` is not among the words that `{}` was read for", self.name))),
        }
    }
}

/// A file that is being read.
struct Reading<'a> {
    path: PathBuf,
    /// Words to keep; all if there is no such set.
    only: Option<HashSet<&'a str>>,
    /// Words so far, kept or not.
    seen: HashSet<Box<str>>,
    /// Words that the header promised.
    promised: Option<usize>,
    vectors: WordVectors,
}

impl<'a> Reading<'a> {
    fn new(name: &str, path: &Path, only: Option<HashSet<&'a str>>) -> Self {
        let asked = only.iter().flatten().map(|word| ((*word).to_owned(), None)).collect();
        let vectors = WordVectors {
            name: name.to_owned(),
            dimensions: 0,
            places: asked,
            is_whole: only.is_none(),
            values: Vec::new(),
            mean: Vec::new(),
            words: 0,
            duplicates: 0,
        };
        Self { path: path.to_owned(), only, seen: HashSet::new(), promised: None, vectors }
    }

    fn read(mut self, mut reader: impl BufRead) -> Result<WordVectors, Error> {
        let mut number = 1;
        loop {
            let block = self.next_block(&mut reader, number)?;
            if block.is_empty() {
                return self.finished();
            }
            let lines = if number == 1 { self.opened(&block)? } else { &block };
            let first = number + block.len() - lines.len();
            let rows = lines.par_iter().enumerate().map(|(at, line)| self.row(line, first + at));
            for row in rows.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten() {
                self.add(row);
            }
            number += block.len();
        }
    }

    /// The next lines, as they are.
    fn next_block(&self, reader: &mut impl BufRead, number: usize) -> Result<Vec<String>, Error> {
        let mut block = Vec::new();
        while block.len() < BLOCK {
            let mut line = Vec::new();
            let at = number + block.len();
            let read = reader.read_until(b'\n', &mut line).map_err(|error| self.problem_in(at, &error.to_string()))?;
            if read == 0 {
                break;
            }
            block.push(String::from_utf8(line).map_err(|_| self.problem_in(at, "it is not UTF-8"))?);
        }
        Ok(block)
    }

    /// Learns the dimensions from the first line, and leaves it out if it is a header.
    fn opened<'b>(&mut self, block: &'b [String]) -> Result<&'b [String], Error> {
        let Some((first, rest)) = block.split_first() else {
            return Ok(block);
        };
        let fields: Vec<&str> = fields(first).collect();
        let header = match fields[..] {
            [words, dimensions] => words.parse().ok().zip(dimensions.parse().ok()),
            _ => None,
        };
        let (promised, dimensions, lines) = match header {
            Some((words, dimensions)) => (Some(words), dimensions, rest),
            None => (None, fields.len().saturating_sub(1), block),
        };
        if dimensions == 0 {
            return Err(self.problem_in(1, "expected a word and its numbers, or a header of words and dimensions"));
        }
        self.promised = promised;
        self.vectors.dimensions = dimensions;
        Ok(lines)
    }

    /// The word and the vector of a line; `None` for an empty line.
    fn row<'b>(&self, line: &'b str, number: usize) -> Result<Option<(&'b str, Vec<f64>)>, Error> {
        let line = line.trim_end_matches(is_separator_or_end);
        if line.is_empty() {
            return Ok(None);
        }
        let dimensions = self.vectors.dimensions;
        let mut values = Vec::new();
        let mut word = line;
        for _ in 0..dimensions {
            let Some((before, value)) = word.rsplit_once(is_separator) else {
                let found = values.len();
                return Err(
                    self.problem_in(number, &format!("a word and {found} numbers, but {dimensions} are expected"))
                );
            };
            values.push(self.value(value, number)?);
            word = before.trim_end_matches(is_separator);
        }
        values.reverse();
        // Some of GloVe's words have spaces in them; a word that ends in a number is a row with too many of them.
        if word.rsplit_once(is_separator).is_some_and(|(_, last)| last.parse::<f64>().is_ok()) {
            return Err(self.problem_in(number, &format!("more than the {dimensions} numbers that are expected")));
        }
        Ok(Some((word, values)))
    }

    fn value(&self, text: &str, number: usize) -> Result<f64, Error> {
        let finite = text.parse().ok().filter(|value: &f64| value.is_finite());
        finite.ok_or_else(|| self.problem_in(number, &format!("`{text}` is not a finite number")))
    }

    fn add(&mut self, (word, vector): (&str, Vec<f64>)) {
        if !self.seen.insert(word.into()) {
            self.vectors.duplicates += 1;
            return;
        }
        self.vectors.words += 1;
        self.vectors.mean.resize(vector.len(), 0.0);
        for (sum, value) in self.vectors.mean.iter_mut().zip(&vector) {
            *sum += value;
        }
        if self.only.as_ref().is_none_or(|only| only.contains(word)) {
            self.vectors.places.insert(word.to_owned(), Some(self.vectors.values.len()));
            self.vectors.values.extend(vector);
        }
    }

    fn finished(mut self) -> Result<WordVectors, Error> {
        let found = self.vectors.words + self.vectors.duplicates;
        if found == 0 {
            return Err(self.problem("it holds no word vectors".to_owned()));
        }
        if let Some(promised) = self.promised.filter(|promised| *promised != found) {
            return Err(self.problem(format!("{found} word vectors, but the header promises {promised}")));
        }
        let words = self.vectors.words as f64;
        self.vectors.mean.iter_mut().for_each(|sum| *sum /= words);
        Ok(self.vectors)
    }

    fn problem_in(&self, line: usize, problem: &str) -> Error {
        self.problem(format!("line {line}: {problem}"))
    }

    fn problem(&self, problem: String) -> Error {
        Error::Resource { path: self.path.clone(), problem }
    }
}

fn fields(line: &str) -> impl Iterator<Item = &str> {
    line.split(is_separator_or_end).filter(|field| !field.is_empty())
}

/// Other white space belongs to words.
fn is_separator(character: char) -> bool {
    character == ' ' || character == '\t'
}

fn is_separator_or_end(character: char) -> bool {
    is_separator(character) || character == '\n' || character == '\r'
}
