//! `persuasion compare`: several runs beside each other.

use std::process::ExitCode;

use command_line::{Failure, Format, output_place, print_json};
use esc_metrics::interval::Resampling;
use persuasion::report::{Comparison, ComparisonOptions, RunFiles, comparison_page, write_page};

use crate::report_arguments::Compare;

pub(crate) fn run(options: &Compare, format: Format) -> Result<ExitCode, Failure> {
    let resampling =
        Resampling::new(options.resamples, options.confidence, options.seed).map_err(Failure::wrong_use)?;
    if let Some(path) = &options.html {
        output_place::check_file(path)?;
    }
    let runs = options.runs.iter().map(|run| RunFiles::read(run)).collect::<Result<Vec<_>, _>>()?;
    let comparison = Comparison::of(&runs, &ComparisonOptions { at: options.at.into(), resampling })?;
    if let Some(path) = &options.html {
        write_page(path, &comparison_page(&runs, &comparison))?;
    }
    match format {
        Format::Json => print_json(&comparison)?,
        Format::Text => print!("{}", comparison.text()),
    }
    Ok(ExitCode::SUCCESS)
}
