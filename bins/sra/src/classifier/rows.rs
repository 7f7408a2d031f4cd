//! Predictions as they are made, and the files they go to.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strategy_prompting::Layout;
use text_encoder::{Prediction, ReadingOptions, TextClassifier};

use super::data::Response;
use crate::failure::Failure;
use crate::{interrupt, progress};

/// Responses that are classified before results are kept.
const CHUNK: usize = 256;

/// Classifies the responses from number `done` on and gives their predictions in order, some at a time. `false` if somebody wanted it to
/// end before.
pub(super) fn classify(
    classifier: &TextClassifier,
    responses: &[Response],
    done: usize,
    options: &ReadingOptions,
    keep: &mut dyn FnMut(&[Prediction]) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut bar = progress::Progress::new("classifying", done as u64, responses.len() as u64);
    let mut so_far = done;
    for chunk in responses.get(done..).unwrap_or_default().chunks(CHUNK) {
        if interrupt::was_asked() {
            return Ok(false);
        }
        let texts: Vec<&str> = chunk.iter().map(|response| response.text.as_str()).collect();
        keep(&classifier.predict(&texts, options)?)?;
        so_far += chunk.len();
        bar.set(so_far as u64);
    }
    bar.finish();
    Ok(true)
}

/// One prediction as a line of JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// Place among the responses, from 0.
    pub(super) index: usize,
    pub(super) id: String,
    pub(super) conversation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) layout: Option<Layout>,
    /// The strategy that was asked for, or is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strategy: Option<String>,
    pub(super) prediction: String,
    pub(super) probabilities: BTreeMap<String, f32>,
    /// The beginning of the SHA-256 of the classifier's weights.
    pub(super) classifier: String,
}

impl Row {
    pub(super) fn new(
        index: usize,
        response: &Response,
        prediction: &Prediction,
        labels: &[String],
        classifier: &str,
    ) -> Self {
        Self {
            index,
            id: response.id.clone(),
            conversation: response.conversation.clone(),
            layout: response.layout,
            strategy: response.strategy.clone(),
            prediction: labels.get(prediction.class).cloned().unwrap_or_default(),
            probabilities: labels.iter().cloned().zip(prediction.probabilities.iter().copied()).collect(),
            classifier: classifier.to_owned(),
        }
    }
}

/// A file of predictions that grows.
pub(super) enum RowFile {
    /// One JSON object a line; can be gone on with.
    Json { path: PathBuf, file: File, rows: Vec<Row> },
    /// `index`, `prediction`, then a column of probabilities for each class.
    Table { path: PathBuf, file: File, rows: Vec<Row> },
}

impl RowFile {
    /// Opens a new file, or, to resume, one that the same classifier has begun for the same responses.
    pub(super) fn open(
        path: &Path,
        resume: bool,
        responses: &[Response],
        labels: &[String],
        classifier: &str,
    ) -> Result<Self, Failure> {
        let wrong = |problem: String| Failure::work(format!("{}: {problem}", path.display()));
        let is_table = path.extension().is_some_and(|extension| extension == "tsv");
        if is_table && resume {
            return Err(Failure::wrong_use("a .tsv file can't be gone on with: name a .jsonl file to use --resume"));
        }
        if path.exists() && !resume {
            return Err(wrong("the file exists already: go on with it (--resume), or name another".into()));
        }
        let mut file =
            OpenOptions::new().create(true).append(true).open(path).map_err(|error| wrong(error.to_string()))?;
        if is_table {
            // In the order in which a row's probabilities stand.
            let mut labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            labels.sort_unstable();
            let header = ["index", "prediction"].into_iter().chain(labels);
            let header = header.map(cell).collect::<Vec<_>>().join("\t");
            writeln!(file, "{header}").map_err(|error| wrong(error.to_string()))?;
            return Ok(Self::Table { path: path.into(), file, rows: Vec::new() });
        }
        let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        // A line that a kill tore is made again.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        file.set_len(whole as u64).map_err(|error| wrong(error.to_string()))?;
        let rows = known_rows(&text[..whole], responses, classifier).map_err(wrong)?;
        Ok(Self::Json { path: path.into(), file, rows })
    }

    /// Keeps rows, as one write.
    pub(super) fn append(&mut self, new: Vec<Row>) -> Result<(), Failure> {
        let mut text = String::new();
        for row in &new {
            match self {
                Self::Json { .. } => text.push_str(&serde_json::to_string(row).map_err(Failure::work)?),
                Self::Table { .. } => text.push_str(&table_line(row)),
            }
            text.push('\n');
        }
        let (Self::Json { path, file, rows } | Self::Table { path, file, rows }) = self;
        file.write_all(text.as_bytes())
            .map_err(|error| Failure::work(format!("{}: {error}; the rows before are safe", path.display())))?;
        rows.extend(new);
        Ok(())
    }

    /// All rows, those of earlier runs first.
    pub(super) fn rows(&self) -> &[Row] {
        let (Self::Json { rows, .. } | Self::Table { rows, .. }) = self;
        rows
    }
}

fn table_line(row: &Row) -> String {
    let probabilities = row.probabilities.values().map(|probability| format!("\t{probability:.6}"));
    format!("{}\t{}{}", row.index, cell(&row.prediction), probabilities.collect::<String>())
}

/// A label within a table.
fn cell(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

/// The rows of a file that was begun, if they are those of these responses.
fn known_rows(text: &[u8], responses: &[Response], classifier: &str) -> Result<Vec<Row>, String> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut rows = Vec::new();
    for (number, line) in lines.enumerate() {
        let row: Row = serde_json::from_slice(line)
            .map_err(|error| format!("line {}: not a row of `sra classifier predict`: {error}", number + 1))?;
        if row.classifier != classifier {
            return Err(format!(
                "its rows are by the classifier {}, not {classifier}: name another file",
                row.classifier
            ));
        }
        if row.index != number || responses.get(number).is_none_or(|response| response.id != row.id) {
            return Err(format!("line {}: not the row of these responses: name another file", number + 1));
        }
        rows.push(row);
    }
    Ok(rows)
}
