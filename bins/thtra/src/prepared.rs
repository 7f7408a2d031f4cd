//! Prepared samples: token sequences in files, so that a training does not tokenise its dialogues again.
//!
//! A folder holds one file for each part and layout, `train.strat.jsonl` for instance, with a [`Sample`] a line, and `meta.json`, which says what they were made of
//! and how. Whoever opens it says what is wanted; a folder that was made of something else is refused, never used by mistake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llm_runtime::sha256_of_files;
use serde::{Deserialize, Serialize};
use strategy_prompting::{write_atomically, write_json_lines};

use crate::dialogue::Dialogue;
use crate::error::{Error, read_text};
use crate::part::Part;
use crate::sample::{EncodedDialogues, Layout, Lengths, Sample, SampleCounts};
use crate::tokenizer::DialogueTokenizer;

/// What prepared samples were made of.
pub const META_FILE: &str = "meta.json";
/// Grows when the meaning of the files changes.
const FORMAT: u32 = 1;

/// `meta.json`: what a folder of prepared samples was made of, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedMeta {
    /// 1.
    pub format: u32,
    /// How many tokens could stay.
    pub lengths: Lengths,
    /// Which tokenizer.
    pub tokenizer: TokenizerMeta,
    /// The files of dialogues.
    pub sources: BTreeMap<Part, SourceMeta>,
    /// The files of samples, by their names.
    pub files: BTreeMap<String, FileMeta>,
}

/// A tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerMeta {
    /// [`DialogueTokenizer::sha256`].
    pub sha256: String,
    /// Number of tokens, the strategies' included.
    pub vocabulary_size: usize,
    /// The id of the first strategy.
    pub first_strategy: u32,
}

/// A file of dialogues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceMeta {
    /// Hex SHA-256 of its bytes.
    pub sha256: String,
    /// Dialogues in it.
    pub dialogues: usize,
    /// Turns in these.
    pub turns: usize,
}

/// A file of samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMeta {
    /// The part.
    pub part: Part,
    /// The layout.
    pub layout: Layout,
    /// Hex SHA-256 of its bytes.
    pub sha256: String,
    /// Its samples in numbers.
    pub counts: SampleCounts,
}

/// What a caller is about to use; whatever is `None` is not compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The folder with `train.txt`, `valid.txt` and `test.txt`.
    pub data_dir: Option<&'a Path>,
    /// The tokenizer of the model that will read the samples.
    pub tokenizer: Option<&'a DialogueTokenizer>,
    /// How many tokens may stay.
    pub lengths: Option<Lengths>,
}

/// A folder of prepared samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    folder: PathBuf,
    meta: PreparedMeta,
}

impl Prepared {
    /// Makes the samples of `train.txt`, `valid.txt` and `test.txt` in `data_dir` and writes them into a folder, which is made if it is not there.
    /// `done` is told after each part how many of the three are finished.
    ///
    /// # Errors
    /// A length is 0, no layout is asked for, a file of dialogues can't be read, or a file can't be written. All dialogues are read before anything is
    /// written.
    pub fn create(
        folder: &Path,
        data_dir: &Path,
        tokenizer: &DialogueTokenizer,
        lengths: Lengths,
        layouts: &[Layout],
        done: &mut dyn FnMut(usize),
    ) -> Result<Self, Error> {
        lengths.check()?;
        if layouts.is_empty() {
            return Err(Error::Setting("no layout is asked for".into()));
        }
        let mut sources = BTreeMap::new();
        let mut parts = Vec::new();
        for part in Part::ALL {
            let path = data_dir.join(part.file());
            let dialogues = Dialogue::read_all(&path)?;
            sources.insert(part, SourceMeta::of(&path, &dialogues)?);
            parts.push((part, dialogues));
        }
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        remove_meta(folder)?;
        let mut files = BTreeMap::new();
        for (number, (part, dialogues)) in parts.iter().enumerate() {
            let encoded = EncodedDialogues::new(tokenizer, dialogues)?;
            for layout in layouts {
                let (name, meta) = write_samples(folder, *part, *layout, lengths, &encoded)?;
                files.insert(name, meta);
            }
            done(number + 1);
        }
        let tokenizer = TokenizerMeta::of(tokenizer);
        let meta = PreparedMeta { format: FORMAT, lengths, tokenizer, sources, files };
        // Last: a folder with this file is a whole one.
        write_meta(folder, &meta)?;
        Ok(Self { folder: folder.to_owned(), meta })
    }

    /// Opens a folder for a purpose.
    ///
    /// # Errors
    /// It was not prepared, or not by this version, or from something else than is wanted, or in another way; the error tells what differs.
    pub fn open(folder: &Path, wanted: Wanted<'_>) -> Result<Self, Error> {
        let path = folder.join(META_FILE);
        if !path.is_file() {
            return Err(Error::format(&path, "there are no prepared samples here: make them with `thtra prepare`"));
        }
        let text = read_text(&path)?;
        let stale = |problem: String| Error::Stale { folder: folder.to_owned(), problem };
        let format: FormatOnly = serde_json::from_str(&text).map_err(|error| not_meta(&path, &error))?;
        if format.format != FORMAT {
            let found = format.format;
            return Err(stale(format!("the samples have the form {found}, and this program reads form {FORMAT}")));
        }
        let meta: PreparedMeta = serde_json::from_str(&text).map_err(|error| not_meta(&path, &error))?;
        let prepared = Self { folder: folder.to_owned(), meta };
        prepared.difference(wanted)?.map_or(Ok(prepared), |problem| Err(stale(problem)))
    }

    /// What the folder was made of.
    pub fn meta(&self) -> &PreparedMeta {
        &self.meta
    }

    /// The samples of a part in a layout, in the order of the dialogues.
    ///
    /// # Errors
    /// They were not prepared, or their file is not the one that was written.
    pub fn read(&self, part: Part, layout: Layout) -> Result<Vec<Sample>, Error> {
        let stale = |problem: String| Error::Stale { folder: self.folder.clone(), problem };
        let name = file_name(part, layout);
        let Some(file) = self.meta.files.get(&name) else {
            let known: Vec<&str> = self.meta.files.keys().map(String::as_str).collect();
            return Err(stale(format!("holds no {name}, only {}", known.join(", "))));
        };
        let path = self.folder.join(&name);
        if sha256_of_files(&[&path])? != file.sha256 {
            return Err(stale(format!("{name} is not the file that {META_FILE} speaks of")));
        }
        read_samples(&path)
    }

    /// What is not as wanted.
    fn difference(&self, wanted: Wanted<'_>) -> Result<Option<String>, Error> {
        if let Some(lengths) = wanted.lengths
            && lengths != self.meta.lengths
        {
            let [found, wanted] = [self.meta.lengths, lengths].map(|lengths| {
                let Lengths { max_input_length, max_decoder_input_length } = lengths;
                format!("--max-input-length {max_input_length} --max-decoder-input-length {max_decoder_input_length}")
            });
            return Ok(Some(format!("the samples were prepared with {found}, and {wanted} is wanted")));
        }
        if let Some(tokenizer) = wanted.tokenizer {
            let (found, wanted) = (&self.meta.tokenizer, TokenizerMeta::of(tokenizer));
            if *found != wanted {
                let (found, wanted) = (found.in_words(), wanted.in_words());
                return Ok(Some(format!(
                    "the samples were prepared with another tokenizer: {found}, and the model's is {wanted}"
                )));
            }
        }
        if let Some(data_dir) = wanted.data_dir {
            for (part, source) in &self.meta.sources {
                let path = data_dir.join(part.file());
                if sha256_of_files(&[&path])? != source.sha256 {
                    return Ok(Some(format!("{} is not the file that the samples were made of", path.display())));
                }
            }
        }
        Ok(None)
    }
}

/// Read first, so that another form is told as such.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl SourceMeta {
    fn of(path: &Path, dialogues: &[Dialogue]) -> Result<Self, Error> {
        let turns = dialogues.iter().map(|dialogue| dialogue.turns.len()).sum();
        Ok(Self { sha256: sha256_of_files(&[path])?, dialogues: dialogues.len(), turns })
    }
}

impl TokenizerMeta {
    fn of(tokenizer: &DialogueTokenizer) -> Self {
        Self {
            sha256: tokenizer.sha256(),
            vocabulary_size: tokenizer.tokenizer().vocabulary_size(),
            first_strategy: tokenizer.first_strategy(),
        }
    }

    fn in_words(&self) -> String {
        let hash = self.sha256.get(..8).unwrap_or(&self.sha256);
        format!("one of {} tokens (SHA-256 {hash}…)", self.vocabulary_size)
    }
}

/// The file of a part in a layout: `train.strat.jsonl`.
pub fn file_name(part: Part, layout: Layout) -> String {
    format!("{part}.{layout}.jsonl")
}

fn write_samples(
    folder: &Path,
    part: Part,
    layout: Layout,
    lengths: Lengths,
    dialogues: &EncodedDialogues<'_>,
) -> Result<(String, FileMeta), Error> {
    let name = file_name(part, layout);
    let path = folder.join(&name);
    let encoded = dialogues.lay_out(layout, lengths);
    write_json_lines(&path, &encoded.samples)?;
    let sha256 = sha256_of_files(&[&path])?;
    Ok((name, FileMeta { part, layout, sha256, counts: encoded.counts }))
}

fn read_samples(path: &Path) -> Result<Vec<Sample>, Error> {
    let text = read_text(path)?;
    let sample = |(number, line)| {
        let wrong = |error| Error::line(path, number + 1, format!("not a prepared sample: {error}"));
        serde_json::from_str(line).map_err(wrong)
    };
    text.lines().enumerate().map(sample).collect()
}

fn write_meta(folder: &Path, meta: &PreparedMeta) -> Result<(), Error> {
    let path = folder.join(META_FILE);
    let io = |error: serde_json::Error| strategy_prompting::Error::Io { path: path.clone(), source: error.into() };
    Ok(write_atomically(&path, |writer| serde_json::to_writer_pretty(writer, meta).map_err(io))?)
}

/// An older preparation is over: a kill from here on leaves a folder that nobody takes for a whole one.
fn remove_meta(folder: &Path) -> Result<(), Error> {
    let path = folder.join(META_FILE);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&path)(error)),
        _ => Ok(()),
    }
}

fn not_meta(path: &Path, error: &serde_json::Error) -> Error {
    Error::format(path, format!("not what `thtra prepare` writes: {error}; run it again"))
}
