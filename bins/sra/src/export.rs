//! `sra export`: a run in the forms other tools read.

use std::path::Path;
use std::process::ExitCode;

use command_line::{Failure, Format};
use serde::Serialize;
use strategy_prompting::{
    CONTINUATIONS, ResponseText, RunManifest, TornLine, export_chats, export_reference, read_records,
};

use crate::arguments::{Export, ExportForm};

pub(crate) fn run(options: &Export, format: Format) -> Result<ExitCode, Failure> {
    let labels: Vec<String> =
        RunManifest::read(&options.input)?.strategies.into_iter().map(|strategy| strategy.name).collect();
    let records = read_records(&options.input.join(CONTINUATIONS), TornLine::Skip)?;
    let chosen = records.filter(|record| match (record, options.layout) {
        (Ok(record), Some(layout)) => record.layout == layout,
        _ => true,
    });
    let text = if options.tidy { ResponseText::Tidied } else { ResponseText::Raw };
    let summary = match options.form {
        ExportForm::Reference => export_reference(chosen, &labels, &options.out, text)?,
        ExportForm::Chat => export_chats(chosen, &options.out, text)?,
    };
    report_written(&options.out, summary.conversations, summary.continuations, format)
}

/// What a command wrote.
#[derive(Serialize)]
struct Written<'a> {
    path: &'a Path,
    conversations: usize,
    continuations: usize,
}

/// Tells what was written where.
pub(crate) fn report_written(
    path: &Path,
    conversations: usize,
    continuations: usize,
    format: Format,
) -> Result<ExitCode, Failure> {
    match format {
        Format::Json => command_line::print_json(&Written { path, conversations, continuations })?,
        Format::Text => println!("{}: {conversations} conversations, {continuations} continuations", path.display()),
    }
    Ok(ExitCode::SUCCESS)
}
