//! `magic export`: the model with its adapter folded in.

use std::process::ExitCode;

use command_line::{Failure, Format, merge};

use crate::inference_arguments::Export;

pub(crate) fn run(options: &Export, format: Format) -> Result<ExitCode, Failure> {
    options.check()?;
    merge(&options.merge, format)
}
