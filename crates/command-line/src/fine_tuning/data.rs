//! From files of chats to token sequences.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use llm_runtime::PretrainedModel;
use lora::SftDataset;
use lora::sft::{
    EncodeRecord, EncodeSummary, Encoded, SftEncoder, SftExample, SftRecord, SftTemplate, pack, read_records,
};

use super::TrainingData;
use crate::Failure;

/// What is learned from, and what is held out.
pub(crate) struct Sets {
    pub(crate) train: SftDataset,
    pub(crate) summary: EncodeSummary,
    /// By name.
    pub(crate) dev: Vec<(String, SftDataset)>,
}

pub(crate) fn read(
    options: &TrainingData,
    model: &PretrainedModel,
    encode_record: EncodeRecord<'_>,
) -> Result<Sets, Failure> {
    let template = match (options.wording.plain_template()?, &model.template) {
        (Some(plain), _) => SftTemplate::from(plain),
        (None, Some(template)) => SftTemplate::from(template.clone()),
        (None, None) => {
            let problem = "the model has no chat template: name one with --chat-template, or use --plain plain";
            return Err(Failure::wrong_use(problem));
        }
    };
    let encoder = SftEncoder::new(&model.tokenizer, &template, options.encoding())?;
    let mut summary = EncodeSummary::default();
    let mut train = Vec::new();
    for path in &options.data {
        let wanted = options.limit.unwrap_or(usize::MAX).saturating_sub(train.len());
        let (examples, of_file) = encode(options, &encoder, encode_record, wanted, path)?;
        tell(path, &of_file);
        train.extend(examples);
        summary = of_file;
    }
    if train.is_empty() {
        return Err(Failure::work(format!(
            "the training files hold no example that can be used: {} are too long for --cutoff, {} are bad",
            summary.too_long, summary.bad
        )));
    }
    summary.encoded = train.len();
    summary.longest = train.iter().map(|example| example.ids.len()).max().unwrap_or(0);
    summary.tokens = train.iter().map(|example| example.ids.len()).sum();
    summary.learned_tokens = train.iter().map(SftExample::targets).sum();
    let mut dev = Vec::new();
    for path in held_out_files(&options.dev)? {
        let (examples, of_file) = encode(options, &encoder, encode_record, usize::MAX, &path)?;
        tell(&path, &of_file);
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        dev.push((name, SftDataset::new(examples)));
    }
    let train = match options.pack {
        Some(length) => SftDataset::packed(&pack(&train, length)?),
        None => SftDataset::new(train),
    };
    Ok(Sets { train, summary, dev })
}

/// The first examples of a file, as many as are wanted.
fn encode(
    options: &TrainingData,
    encoder: &SftEncoder<'_>,
    encode_record: EncodeRecord<'_>,
    wanted: usize,
    path: &Path,
) -> Result<(Vec<SftExample>, EncodeSummary), Failure> {
    let records = read_records(path, &options.reading())?;
    for skipped in &records.skipped {
        tracing::warn!("left out: {skipped}");
    }
    let found = Cell::new(0);
    let counted = |encoder: &SftEncoder<'_>, record: &SftRecord| {
        let encoded = encode_record(encoder, record)?;
        found.set(found.get() + usize::from(matches!(encoded, Encoded::Example { .. })));
        Ok(encoded)
    };
    // Encoding takes time: nothing is encoded beyond the limit.
    let first = records.records.iter().take_while(|_| found.get() < wanted);
    Ok(encoder.encode_all_by(&counted, first, options.bad_records())?)
}

fn tell(path: &Path, summary: &EncodeSummary) {
    tracing::info!(
        "{}: {} examples, {} tokens, {} of them learned, longest {}; {} shortened, {} too long, {} bad",
        path.display(),
        summary.encoded,
        summary.tokens,
        summary.learned_tokens,
        summary.longest,
        summary.shortened,
        summary.too_long,
        summary.bad
    );
    for skipped in &summary.skipped {
        tracing::warn!("left out: {}: {}", skipped.place, skipped.reason);
    }
}

/// Files as they are; of a folder every file whose stem ends with `dev` or `val`.
fn held_out_files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| Failure::work(format!("{}: {error}", path.display())))?;
        let mut found: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_held_out(path)).collect();
        if found.is_empty() {
            let problem = format!("{}: no *dev.json, *dev.jsonl, *val.json or *val.jsonl is here", path.display());
            return Err(Failure::work(problem));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn is_held_out(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    (stem.ends_with("dev") || stem.ends_with("val")) && (extension == "json" || extension == "jsonl")
}
