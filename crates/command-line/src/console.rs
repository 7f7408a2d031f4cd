//! Log lines on standard error, and how much of them; where colours may be.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether only errors are wanted.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Whether colours may be written: to a terminal, unless `NO_COLOR` is set.
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A full disk behind standard output is told in a line, as every other failure, and not as a panic of `println!`.
pub fn end_where_nothing_can_be_printed() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.payload_as_str().and_then(|message| message.strip_prefix("failed printing to stdout: "));
        let Some(reason) = told else { return usual(panic) };
        eprintln!("error: standard output: {reason}");
        std::process::exit(1);
    }));
}

/// Starts logging: warnings by default, less if `quiet`, more the more `verbose`; `RUST_LOG` overrides.
pub fn start(quiet: bool, verbose: u8) {
    QUIET.store(quiet, Ordering::Relaxed);
    let level = match (quiet, verbose) {
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
        .with_ansi(has_colours(&std::io::stderr()))
        .with_target(false)
        .without_time()
        .try_init();
}

/// Prints a result for programs: JSON on standard output.
///
/// # Errors
/// The value has no form in JSON.
pub fn print_json(value: &impl Serialize) -> serde_json::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
