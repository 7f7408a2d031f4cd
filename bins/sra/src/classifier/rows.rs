//! Predictions as they are made, and the files they go to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use command_line::{Failure, Progress, interrupt};
use serde::{Deserialize, Serialize};
use strategy_prompting::{Layout, RowFile, RowKind};
use text_encoder::{Prediction, ReadingOptions, TextClassifier};

use super::data::Response;

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
    let mut bar = Progress::new("classifying", done as u64, responses.len() as u64);
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

const ROWS: RowKind<Row> = RowKind {
    name: "row of `sra classifier predict`",
    beginning: r#"{"index":"#,
    id: |row| row.index.to_string(),
    made_by: |row| &row.classifier,
};

/// A file of predictions that grows.
pub(super) enum Predictions {
    /// One JSON object a line; can be gone on with.
    Json(RowFile<Row>),
    /// `index`, `prediction`, then a column of probabilities for each class.
    Table { path: PathBuf, file: File, rows: Vec<Row> },
}

impl Predictions {
    /// Opens a new file, or, to resume, one that the same classifier has begun for the same responses.
    pub(super) fn open(
        path: &Path,
        resume: bool,
        responses: &[Response],
        labels: &[String],
        classifier: &str,
    ) -> Result<Self, Failure> {
        let is_table = path.extension().is_some_and(|extension| extension == "tsv");
        if is_table && resume {
            return Err(Failure::wrong_use("a .tsv file can't be gone on with: name a .jsonl file to use --resume"));
        }
        if is_table { Self::new_table(path, labels) } else { Self::json(path, resume, responses, classifier) }
    }

    fn json(path: &Path, resume: bool, responses: &[Response], classifier: &str) -> Result<Self, Failure> {
        let file = RowFile::open(path, resume, classifier, ROWS)?;
        let fits = |(number, row): (usize, &Row)| {
            row.index == number && responses.get(number).is_some_and(|response| response.id == row.id)
        };
        match file.rows().iter().enumerate().position(|row| !fits(row)) {
            Some(number) => Err(Failure::work(format!(
                "{}: line {}: not the row of these responses: name another file",
                path.display(),
                number + 1
            ))),
            None => Ok(Self::Json(file)),
        }
    }

    fn new_table(path: &Path, labels: &[String]) -> Result<Self, Failure> {
        let wrong = |error: std::io::Error| Failure::work(format!("{}: {error}", path.display()));
        let mut file = File::create_new(path).map_err(wrong)?;
        // In the order in which a row's probabilities stand.
        let mut labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        labels.sort_unstable();
        let header = ["index", "prediction"].into_iter().chain(labels);
        writeln!(file, "{}", header.map(cell).collect::<Vec<_>>().join("\t")).map_err(wrong)?;
        Ok(Self::Table { path: path.into(), file, rows: Vec::new() })
    }

    /// Keeps rows.
    pub(super) fn append(&mut self, new: Vec<Row>) -> Result<(), Failure> {
        match self {
            Self::Json(file) => Ok(new.into_iter().try_for_each(|row| file.append(row))?),
            Self::Table { path, file, rows } => {
                let text: String = new.iter().map(|row| table_line(row) + "\n").collect();
                let io = |error| Failure::work(format!("{}: {error}; the rows before are safe", path.display()));
                let length = file.metadata().map_err(io)?.len();
                if let Err(error) = file.write_all(text.as_bytes()) {
                    // Readers of tables know no torn lines.
                    let _ = file.set_len(length);
                    return Err(io(error));
                }
                rows.extend(new);
                Ok(())
            }
        }
    }

    /// All rows, those of earlier runs first.
    pub(super) fn rows(&self) -> &[Row] {
        match self {
            Self::Json(file) => file.rows(),
            Self::Table { rows, .. } => rows,
        }
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
