//! `sra score`: responses against references.

use std::process::ExitCode;

use esc_metrics::front::ScoreArguments;

use crate::arguments::Format;
use crate::failure::Failure;

pub(crate) fn run(options: &ScoreArguments, format: Format) -> Result<ExitCode, Failure> {
    let outcome = options.run().map_err(|error| match error {
        esc_metrics::Error::Setting(problem) => Failure::wrong_use(problem),
        other => Failure::work(other),
    })?;
    match format {
        Format::Text => print!("{outcome}"),
        Format::Json => crate::export::print_json(&outcome)?,
    }
    Ok(ExitCode::SUCCESS)
}
