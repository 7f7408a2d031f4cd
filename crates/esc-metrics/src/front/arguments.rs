//! The command line of `score`, and what it does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::files::{Row, read_rows, with_references};
use super::report::{ComparisonReport, Outcome, ScoreReport};
use crate::corpus::Item;
use crate::embedding::WordVectors;
use crate::error::Error;
use crate::interval::Resampling;
use crate::meteor::{MeteorResources, WordNet};
use crate::named::Resources;
use crate::suite::{Preset, Scored, Suite};
use crate::tokenize::PunktParameters;

/// Score generated responses against references
///
/// HYP and REF are text files (one text a line), JSON Lines, or run folders. JSON rows are matched by their example or id where both sides have one, else line by line.
#[derive(Debug, Args)]
pub struct ScoreArguments {
    /// Generated responses: a text file, JSON Lines, or a run folder
    #[arg(value_name = "HYP")]
    pub hypotheses: PathBuf,
    /// References; several files for several references of each response. May be left out if HYP's rows hold them
    #[arg(value_name = "REF")]
    pub references: Vec<PathBuf>,
    /// The numbers of a line of papers: default, thu-coai, nlg-eval, multiesc, magic
    #[arg(long, default_value = "default", value_name = "PRESET", value_parser = |name: &str| Preset::by_name(name).map_err(|error| error.to_string()))]
    pub preset: Preset,
    /// Single metrics instead of a preset; several, separated by commas (`list` names them all)
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub metric: Vec<String>,
    /// A second system's responses to the same references: compares the two
    #[arg(long, value_name = "HYP")]
    pub against: Option<PathBuf>,
    /// Also print the values of each strategy (or of another field of the rows)
    #[arg(long, value_name = "FIELD", num_args = 0..=1, default_missing_value = "strategy")]
    pub by: Option<String>,
    /// Bootstrap resamples for 95 % intervals and tests; whole conversations are drawn where the rows name them. 0 prints values only
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub resamples: usize,
    /// Seed of the resampling
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// Folder of METEOR 1.5 (meteor-1.5.jar and data/paraphrase-en.gz) [default: $SOLACE_METEOR]
    #[arg(long, value_name = "DIR")]
    pub meteor: Option<PathBuf>,
    /// NLTK's data folder, for its sentence splitter [default: $NLTK_DATA and NLTK's usual places, else the built-in one]
    #[arg(long, value_name = "DIR")]
    pub nltk_data: Option<PathBuf>,
    /// WordNet's folder, for NLTK's METEOR [default: $SOLACE_WORDNET and the usual places]
    #[arg(long, value_name = "DIR")]
    pub wordnet: Option<PathBuf>,
    /// Word vectors in GloVe's text format, for embedding average, extrema and greedy
    #[arg(long, value_name = "FILE")]
    pub vectors: Option<PathBuf>,
}

impl ScoreArguments {
    /// Reads, scores and, if asked to, compares.
    ///
    /// # Errors
    /// A file can't be read, rows do not fit each other, or a metric or resource is unknown or damaged.
    pub fn run(&self) -> Result<Outcome, Error> {
        if self.metric == ["list"] {
            return Ok(Outcome::Metrics);
        }
        let rows = self.rows(&self.hypotheses)?;
        let suite = self.suite(&rows)?;
        let scored = suite.score(rows.iter().map(Row::item))?;
        match &self.against {
            None => Ok(Outcome::Scores(self.report(&rows, &scored)?)),
            Some(other) => {
                let other_rows = aligned(&rows, self.rows(other)?, other)?;
                let other_scored = suite.score(other_rows.iter().map(Row::item))?;
                let groups = groups(&rows);
                let rows = scored.compare(&other_scored, &groups, &self.resampling()?)?;
                let systems = [&self.hypotheses, other].map(|path| path.display().to_string());
                Ok(Outcome::Comparison(ComparisonReport { systems, items: scored.items(), rows }))
            }
        }
    }

    fn rows(&self, hypotheses: &Path) -> Result<Vec<Row>, Error> {
        let mut rows = read_rows(hypotheses)?;
        for references in &self.references {
            with_references(&mut rows, hypotheses, references)?;
        }
        match rows.iter().position(|row| row.references.is_empty()) {
            Some(at) => Err(Error::Resource {
                path: hypotheses.to_owned(),
                problem: format!("row {} has no reference: name a file of references", at + 1),
            }),
            None => Ok(rows),
        }
    }

    fn suite(&self, rows: &[Row]) -> Result<Suite, Error> {
        let resources = self.resources(rows)?;
        if self.metric.is_empty() {
            Suite::preset(self.preset, &resources)
        } else {
            Suite::of_names(&self.metric, &resources)
        }
    }

    fn resources(&self, rows: &[Row]) -> Result<Resources, Error> {
        let mut resources = Resources::find()?;
        if let Some(folder) = &self.nltk_data {
            resources.punkt = PunktParameters::read(&folder.join("tokenizers/punkt_tab/english"))?;
        }
        if let Some(folder) = &self.meteor {
            resources.meteor = Some(Arc::new(MeteorResources::open(folder)?));
        }
        if let Some(folder) = &self.wordnet {
            resources.wordnet = Some(Arc::new(WordNet::open(folder)?));
        }
        if let Some(file) = &self.vectors {
            // Files of word vectors are large, so only the words that occur are kept.
            let words = resources.nltk_words();
            let mut known = std::collections::BTreeSet::new();
            for text in rows.iter().flat_map(|row| row.references.iter().chain([&row.hypothesis])) {
                words.tokenize(text, &mut |word| {
                    known.insert(word.to_owned());
                });
            }
            resources.vectors = Some(Arc::new(WordVectors::read_for(file, known.iter().map(String::as_str))?));
        }
        Ok(resources)
    }

    fn report(&self, rows: &[Row], scored: &Scored) -> Result<ScoreReport, Error> {
        let values = match self.resamples {
            0 => scored.rows(),
            _ => scored.rows_with_intervals(&groups(rows), &self.resampling()?)?,
        };
        let mut parts = BTreeMap::new();
        if let Some(field) = &self.by {
            let mut items: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (at, row) in rows.iter().enumerate() {
                items.entry(row.field(field)).or_default().push(at);
            }
            for (label, items) in items {
                parts.insert(label, (items.len(), scored.rows_of_items(&items)));
            }
        }
        Ok(ScoreReport { suite: scored.suite().to_owned(), items: scored.items(), rows: values, parts })
    }

    fn resampling(&self) -> Result<Resampling, Error> {
        Resampling::new(self.resamples.max(1), 0.95, self.seed)
    }
}

/// What belongs together: the conversation, or every row for itself.
fn groups(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.conversation.as_deref().unwrap_or(&row.id)).collect()
}

/// The second system's rows in the order of the first one's.
fn aligned(rows: &[Row], others: Vec<Row>, path: &Path) -> Result<Vec<Row>, Error> {
    let mut by_id: BTreeMap<String, Row> = others.into_iter().map(|row| (row.id.clone(), row)).collect();
    rows.iter()
        .map(|row| {
            by_id.remove(&row.id).ok_or_else(|| Error::Resource {
                path: path.to_owned(),
                problem: format!("has no response for `{}`, which the first system answered", row.id),
            })
        })
        .collect()
}

impl Row {
    fn item(&self) -> Item {
        Item { hypothesis: self.hypothesis.clone(), references: self.references.clone() }
    }
}
