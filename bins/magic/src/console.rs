//! What goes to the console: log lines on standard error, results as JSON on standard output.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::arguments::Common;
use crate::failure::Failure;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether only errors are wanted.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Starts logging: warnings by default, less with `-q`, more with `-v`; `RUST_LOG` overrides.
pub(crate) fn start(common: &Common) {
    QUIET.store(common.quiet, Ordering::Relaxed);
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .without_time()
        .try_init();
}

/// Prints a result for programs.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(value).map_err(Failure::work)?);
    Ok(())
}
