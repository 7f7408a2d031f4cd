//! `sra stats`: what a corpus holds.

use std::process::ExitCode;

use command_line::dialogues::{corpus, is_prepared};
use command_line::{Failure, Format};
use esconv_data::{Statistics, read_examples};

use crate::arguments::Stats;

pub(crate) fn run(options: &Stats, format: Format) -> Result<ExitCode, Failure> {
    let statistics = match is_prepared(&options.input) {
        true => Statistics::of_examples(&read_examples(&options.input)?),
        false => Statistics::of_conversations(&corpus(&options.input)?.conversations),
    };
    match format {
        Format::Json => command_line::print_json(&statistics)?,
        Format::Text => print!("{statistics}"),
    }
    Ok(ExitCode::SUCCESS)
}
