//! `persuasion report`: a run or a search as one page.

use std::process::ExitCode;

use command_line::{Failure, Format, print_json};
use persuasion::report::{RunFiles, StudyFiles, run_page, study_page, write_page};
use serde_json::json;

use crate::report_arguments::Report;

pub(crate) fn run(options: &Report, format: Format) -> Result<ExitCode, Failure> {
    let page = match StudyFiles::is_study(&options.run) {
        true => study_page(&StudyFiles::read(&options.run)?),
        false => run_page(&RunFiles::read(&options.run)?, options.samples.into()),
    };
    let out = options.out.clone().unwrap_or_else(|| options.run.join("report.html"));
    write_page(&out, &page)?;
    match format {
        Format::Json => print_json(&json!({ "report": out, "bytes": page.len() }))?,
        Format::Text => println!("{} ({:.1} MB)", out.display(), page.len() as f64 / 1e6),
    }
    Ok(ExitCode::SUCCESS)
}
