//! Attention files of a run: `RUN/attention/<record id>.attn`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use attention_viz::{AttentionRecord, EXTENSION, Precision, RecordInfo};
use command_line::{Failure, Progress};
use llm_runtime::{AttentionCapture, output_file};
use serde::Serialize;
use strategy_prompting::{
    CapturedRecord, ContinuationRecord, Error, ModelNames, SRA_PRESETS, SraOptions, TornLine, UNCONDITIONAL,
    read_records, sra,
};

use crate::adherence::{counted, records_file};
use crate::runs::{Responses, nothing_to_measure, warn_of_nothing};

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

/// Copies a record's file from one run to another.
pub(crate) fn copy(from: &Path, to: &Path, id: &str) -> Result<(), Error> {
    let (source, folder) = (file_of(from, id), to.join(FOLDER));
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    std::fs::create_dir_all(&folder).map_err(io(&folder))?;
    let (bytes, copy) = (std::fs::read(&source).map_err(io(&source))?, file_of(to, id));
    output_file::write(&copy, bytes).map_err(io(&copy))
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

/// Captured runs that are looked at together.
pub(crate) struct CapturedRuns {
    runs: Vec<Run>,
    models: ModelNames,
}

struct Run {
    name: String,
    folder: PathBuf,
    /// Those that were asked for a strategy.
    records: Vec<ContinuationRecord>,
}

/// What is read of attention files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Sums over spans.
    Sums,
    /// Also whole rows, where they were kept.
    Rows,
}

/// Where a response comes from, as tables call it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) run: &'a str,
    pub(crate) model: &'a str,
    pub(crate) layout: &'a str,
}

impl CapturedRuns {
    pub(crate) fn open(folders: &[PathBuf]) -> Result<Self, Failure> {
        let (mut runs, mut responses) = (Vec::new(), Responses::default());
        for (folder, name) in folders.iter().zip(names(folders)) {
            let records = read_records(&records_file(folder), TornLine::Skip)?.collect::<Result<Vec<_>, _>>()?;
            let records: Vec<ContinuationRecord> =
                records.into_iter().filter(|record| record.strategy != UNCONDITIONAL).collect();
            records.iter().try_for_each(|record| responses.add(folder, record))?;
            runs.push(Run { name, folder: folder.clone(), records });
        }
        let (empty, full): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.records.is_empty());
        if full.is_empty() {
            return Err(nothing_to_measure(folders));
        }
        warn_of_nothing(&empty.into_iter().map(|run| run.folder.clone()).collect::<Vec<_>>())?;
        let models = full.into_iter().flat_map(|run| &run.records).map(|record| &record.model).collect();
        Ok(Self { runs, models })
    }

    /// The models that made the responses.
    pub(crate) fn models(&self) -> &ModelNames {
        &self.models
    }

    /// Looks at one response after the other.
    pub(crate) fn for_each(
        &self,
        reading: Reading,
        look: &mut dyn FnMut(Source<'_>, &ContinuationRecord, &AttentionCapture) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let total: usize = self.runs.iter().map(|run| run.records.len()).sum();
        let mut bar = Progress::new("reading attention", 0, total as u64);
        let mut done = 0;
        for run in &self.runs {
            for record in &run.records {
                let file = read(&run.folder, record, reading)?;
                let model = self.models.name(&record.model);
                let source = Source { run: &run.name, model: &model, layout: record.layout.name() };
                look(source, record, &file.capture)?;
                done += 1;
                bar.set(done);
            }
        }
        bar.finish();
        Ok(())
    }
}

/// What tables call the runs: the folder's own name, or its path where several have that name.
fn names(folders: &[PathBuf]) -> Vec<String> {
    let own = |folder: &PathBuf| folder.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = |folder: &PathBuf| {
        let is_single = folders.iter().filter(|other| own(other) == own(folder)).count() == 1;
        own(folder).filter(|_| is_single).unwrap_or_else(|| folder.display().to_string())
    };
    folders.iter().map(name).collect()
}

/// Where the attention of a run's response is kept.
pub(crate) fn file_of(run: &Path, id: &str) -> PathBuf {
    run.join(FOLDER).join(format!("{id}.{EXTENSION}"))
}

fn read(run: &Path, record: &ContinuationRecord, reading: Reading) -> Result<AttentionRecord, Failure> {
    let path = file_of(run, &record.id);
    if !path.exists() {
        return Err(Failure::work(format!(
            "{}: this continuation has no attention file; capture a run with `sra continue --attention spans`",
            path.display()
        )));
    }
    let file = match reading {
        Reading::Sums => AttentionRecord::read_sums(&path),
        Reading::Rows => AttentionRecord::read(&path),
    };
    file.map_err(Failure::work)
}

/// Responses that have nothing of what is measured, counted.
#[derive(Default)]
pub(crate) struct Skipped {
    responses: BTreeMap<SkippedGroup, usize>,
    /// What their prompts have.
    known: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SkippedGroup {
    model: String,
    layout: String,
    reason: String,
}

/// So many responses of a model and layout that were left out.
#[derive(Debug, Serialize)]
pub(crate) struct SkippedLine {
    model: String,
    layout: String,
    reason: String,
    responses: usize,
}

impl Skipped {
    /// The measured value; none, and counted, where the response has nothing to measure.
    pub(crate) fn keep<T>(
        &mut self,
        source: Source<'_>,
        record: &ContinuationRecord,
        measured: Result<T, Error>,
    ) -> Result<Option<T>, Failure> {
        match measured {
            Ok(value) => Ok(Some(value)),
            Err(Error::Unmeasured { problem, known }) => {
                let (model, layout) = (source.model.to_owned(), source.layout.to_owned());
                *self.responses.entry(SkippedGroup { model, layout, reason: problem }).or_default() += 1;
                self.known.extend(known.split(", ").filter(|label| !label.is_empty()).map(str::to_owned));
                Ok(None)
            }
            Err(error) => Err(Failure::work(format!("record {}: {error}", record.id))),
        }
    }

    /// One line per model, layout and reason.
    pub(crate) fn lines(&self) -> Vec<SkippedLine> {
        let line = |(group, responses): (&SkippedGroup, &usize)| {
            let SkippedGroup { model, layout, reason } = group.clone();
            SkippedLine { model, layout, reason, responses: *responses }
        };
        self.responses.iter().map(line).collect()
    }

    /// What was left out, in words: a line per layout.
    pub(crate) fn told(&self, models: &ModelNames) -> Vec<String> {
        let told = |line: SkippedLine| {
            let SkippedLine { layout, reason, responses, .. } = &line;
            let group = if models.are_several() { format!("{} · {layout}", line.model) } else { layout.clone() };
            format!("left out: {} of {group} ({reason})", counted(*responses, "response"))
        };
        self.lines().into_iter().map(told).collect()
    }

    /// The failure of a command that could measure nothing.
    pub(crate) fn everything(&self) -> Failure {
        let reasons: BTreeSet<&str> = self.responses.keys().map(|group| group.reason.as_str()).collect();
        let reasons = reasons.into_iter().collect::<Vec<_>>().join("; ");
        let known = self.known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { known } else { format!(" (parts: {known})") };
        Failure::work(format!("nothing could be measured in any response: {reasons}{known}"))
    }
}
