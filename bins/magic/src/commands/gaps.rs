//! What is said where a file has gaps in the end.

use std::path::Path;
use std::process::ExitCode;

use command_line::{console, interrupt};

/// The exit code of a command that asks for many things, one at a time; if some are missing in its file, that is told, with the first reason there was.
pub(super) fn exit_code(file: &Path, missing: usize, what: &str, first_failure: Option<&str>) -> ExitCode {
    if missing == 0 {
        return ExitCode::SUCCESS;
    }
    let why = first_failure.map_or_else(String::new, |failure| format!(" ({failure})"));
    console::complain(format_args!("{}: {missing} {what} are missing{why}; --resume asks for them", file.display()));
    match interrupt::was_asked() {
        true => ExitCode::from(interrupt::EXIT_CODE),
        false => ExitCode::FAILURE,
    }
}
