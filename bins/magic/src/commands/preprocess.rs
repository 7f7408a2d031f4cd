//! `magic preprocess`: raw dialogues become samples of the generator.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{Failure, Format, print_json};
use magic::{
    Dialogue, INFERENCE_FILES, Sample, SampleRule, StrategySource, add_inferences, read_inferences, samples,
    write_samples,
};
use serde::Serialize;

use crate::arguments::Preprocess;

/// What became of one split.
#[derive(Serialize)]
struct Split {
    file: PathBuf,
    dialogues: usize,
    samples: usize,
    /// Samples with a motivation.
    motivated: usize,
}

pub(crate) fn run(options: &Preprocess, format: Format) -> Result<ExitCode, Failure> {
    // All is read and checked before anything is written.
    let mut splits = Vec::new();
    for ((name, raw, rule), inferred) in options.data.splits().into_iter().zip(INFERENCE_FILES) {
        let inferred = options.inferred_dir.as_ref().map(|folder| folder.join(inferred));
        let (samples, dialogues) = samples_of(options, &raw, rule, inferred.as_deref())?;
        let motivated = samples.iter().filter(|sample| !sample.motivation.is_empty()).count();
        let file = options.out_dir.join(format!("{name}.json"));
        splits.push((Split { file, dialogues, samples: samples.len(), motivated }, samples));
    }
    std::fs::create_dir_all(&options.out_dir).map_err(Failure::at(&options.out_dir))?;
    for (split, samples) in &splits {
        write_samples(&split.file, samples)?;
    }
    let splits: Vec<Split> = splits.into_iter().map(|(split, _)| split).collect();
    match format {
        Format::Json => print_json(&splits)?,
        Format::Text => splits.iter().for_each(print),
    }
    Ok(ExitCode::SUCCESS)
}

fn samples_of(
    options: &Preprocess,
    raw: &Path,
    rule: SampleRule,
    inferred: Option<&Path>,
) -> Result<(Vec<Sample>, usize), Failure> {
    let dialogues = Dialogue::read_all(raw)?;
    let mut samples = samples(&dialogues, rule, options.expand_case);
    if let Some(path) = inferred {
        let source = match options.gold_strategy {
            true => StrategySource::Annotated,
            false => StrategySource::Inferred,
        };
        add_inferences(&mut samples, read_inferences(path)?, source, path)?;
    }
    Ok((samples, dialogues.len()))
}

fn print(split: &Split) {
    let Split { file, dialogues, samples, motivated } = split;
    println!("{}: {samples} samples of {dialogues} dialogues, {motivated} with a motivation", file.display());
}
