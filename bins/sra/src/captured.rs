//! Attention files of a run: `RUN/attention/<record id>.attn`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attention_viz::{AttentionRecord, EXTENSION, Precision, RecordInfo};
use llm_runtime::AttentionCapture;
use strategy_prompting::{
    CapturedRecord, ContinuationRecord, Error, SRA_PRESETS, SraOptions, TornLine, UNCONDITIONAL, read_records, sra,
};

use crate::adherence::records_file;
use crate::failure::Failure;
use crate::progress;

/// Folder of attention files within a run.
const FOLDER: &str = "attention";

/// Takes what a run captures and writes one file per continuation.
pub(crate) struct Writer {
    folder: PathBuf,
    precision: Precision,
    /// How every token of the vocabulary is shown.
    texts: Vec<String>,
}

impl Writer {
    pub(crate) fn new(run: &Path, precision: Precision, tokenizer: &llm_runtime::Tokenizer) -> Self {
        let texts = (0..tokenizer.vocabulary_size() as u32).map(|id| tokenizer.token_text(id)).collect();
        Self { folder: run.join(FOLDER), precision, texts }
    }

    pub(crate) fn keep(&self, captured: CapturedRecord<'_>) -> Result<(), Error> {
        let CapturedRecord { record, prompt_tokens, capture } = captured;
        let path = self.folder.join(format!("{}.{EXTENSION}", record.id));
        std::fs::create_dir_all(&self.folder).map_err(|source| Error::Io { path: self.folder.clone(), source })?;
        let token_ids: Vec<u32> = prompt_tokens.iter().chain(&record.tokens).copied().collect();
        let text = |id: &u32| self.texts.get(*id as usize).cloned().unwrap_or_default();
        let token_texts = token_ids.iter().map(text).collect();
        let info = info(record, capture);
        let file = AttentionRecord { info, token_ids, token_texts, capture: capture.clone() };
        file.write(&path, self.precision).map_err(|error| Error::Keep(Box::new(error)))
    }
}

fn info(record: &ContinuationRecord, capture: &AttentionCapture) -> RecordInfo {
    RecordInfo {
        id: record.id.clone(),
        example: record.example.clone(),
        conversation: record.conversation.clone(),
        turn: record.turn,
        strategy: record.strategy.clone(),
        layout: record.layout.name().to_owned(),
        model: record.model.name.clone(),
        situation: record.situation.clone(),
        response: record.text.clone(),
        values: values(capture),
    }
}

/// Numbers that the viewer plots over turns: SRA under every preset, and mass and ratio of the default one.
fn values(capture: &AttentionCapture) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for name in SRA_PRESETS {
        let Some(found) = SraOptions::preset(name).ok().and_then(|options| sra(capture, &options).ok()) else {
            continue;
        };
        if name == "ours" {
            values.insert("sra".to_owned(), found.value);
            values.insert("sra mass".to_owned(), found.mass);
            values.insert("sra / uniform".to_owned(), found.uniform_ratio);
            if found.log_value.is_finite() {
                values.insert("log sra".to_owned(), found.log_value);
            }
        } else {
            values.insert(format!("sra ({name})"), found.value);
        }
    }
    values
}

/// Looks at every captured record of the runs that was asked for a strategy, one after the other. `look` gets the run's
/// name, the record and the sums of its attention.
pub(crate) fn for_each(
    runs: &[PathBuf],
    look: &mut dyn FnMut(&str, &ContinuationRecord, &AttentionCapture) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for run in runs {
        let records = read_records(&records_file(run), TornLine::Skip)?.collect::<Result<Vec<_>, _>>()?;
        let name =
            run.file_name().map_or_else(|| run.display().to_string(), |name| name.to_string_lossy().into_owned());
        let mut bar = progress::Progress::new("reading attention", 0, records.len() as u64);
        for (number, record) in records.iter().enumerate() {
            bar.set(number as u64 + 1);
            if record.strategy == UNCONDITIONAL {
                continue;
            }
            let path = run.join(FOLDER).join(format!("{}.{EXTENSION}", record.id));
            if !path.exists() {
                return Err(Failure::work(format!(
                    "{}: this continuation has no attention file; capture a run with `sra continue --attention spans`",
                    path.display()
                )));
            }
            let file = AttentionRecord::read_sums(&path).map_err(Failure::work)?;
            look(&name, record, &file.capture)?;
        }
        bar.finish();
    }
    Ok(())
}
