//! Log lines on standard error, and how much of them; where colours may be.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::EnvFilter;

use crate::arguments::Common;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether only errors are wanted.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Whether colours may be written: to a terminal, unless `NO_COLOR` is set.
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A full disk behind standard output is told in a line, as every other failure, and not as a panic of `println!`.
pub(crate) fn end_where_nothing_can_be_printed() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let told = panic.payload_as_str().and_then(|message| message.strip_prefix("failed printing to stdout: "));
        let Some(reason) = told else { return usual(panic) };
        eprintln!("error: standard output: {reason}");
        std::process::exit(1);
    }));
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
        .with_ansi(has_colours(&std::io::stderr()))
        .with_target(false)
        .without_time()
        .try_init();
}
