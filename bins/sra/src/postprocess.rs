//! `sra postprocess`: responses without tags and labels.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use command_line::{Failure, Format};
use strategy_prompting::{
    CONTINUATIONS, PostprocessSummary, ReferenceConversation, ResponseText, RunManifest, TornLine, gather_by_example,
    postprocess_file, read_records, write_conversation_array,
};

use crate::arguments::Postprocess;

pub(crate) fn run(options: &Postprocess, format: Format) -> Result<ExitCode, Failure> {
    let summary = match options.compat {
        false => postprocess_file(&records_of(&options.input), &options.out, TornLine::Skip)?,
        true => compat(options)?,
    };
    crate::export::report_written(&options.out, summary.conversations, summary.continuations, format)
}

/// A run folder stands for its file of records.
fn records_of(input: &Path) -> PathBuf {
    if input.is_dir() { input.join(CONTINUATIONS) } else { input.to_path_buf() }
}

/// One JSON array of conversations, as the published code writes.
fn compat(options: &Postprocess) -> Result<PostprocessSummary, Failure> {
    let conversations = match options.input.join(CONTINUATIONS).is_file() {
        true => of_run(&options.input)?,
        false => of_reference_files(&options.input)?,
    };
    write_conversation_array(&options.out, &conversations)?;
    let continuations = conversations.iter().map(|conversation| conversation.responses.0.len()).sum();
    Ok(PostprocessSummary { conversations: conversations.len(), continuations })
}

fn of_run(folder: &Path) -> Result<Vec<ReferenceConversation>, Failure> {
    let labels: Vec<String> = RunManifest::read(folder)?.strategies.into_iter().map(|strategy| strategy.name).collect();
    let records = read_records(&folder.join(CONTINUATIONS), TornLine::Skip)?;
    let gathered = gather_by_example(records, &labels, ResponseText::Compat)?;
    Ok(gathered.into_iter().map(|example| example.conversation).collect())
}

fn of_reference_files(folder: &Path) -> Result<Vec<ReferenceConversation>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Failure::work(format!("{}: {error}: expected a run folder or a folder of JSON files", folder.display()))
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::work(format!("{}: neither {CONTINUATIONS} nor *.json is here", folder.display())));
    }
    files.iter().map(|file| Ok(ReferenceConversation::read(file)?.compat())).collect()
}
