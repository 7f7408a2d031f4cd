//! Log lines on standard error, and how much of them; where colours may be.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::interrupt;

static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether only errors are wanted.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Whether colours may be written: to a terminal, unless `NO_COLOR` is set.
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Where `println!` would panic, the program ends: behind a closed pipe (`… | head`) as quietly as other programs do, with a full disk behind
/// standard output in a line, as every other failure.
///
/// The signal of closed pipes stays ignored, for it would also end a program whose peer in the network hangs up.
pub fn end_where_nothing_can_be_printed() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if let Some(reason) = message.strip_prefix("failed printing to stdout: ") {
            end_without_output(reason, reason.ends_with(CLOSED_PIPE));
        }
        if message.starts_with("failed printing to stderr: ") {
            // Nobody can be told.
            std::process::exit(1);
        }
        usual(panic);
    }));
}

/// How the standard library's message of a closed pipe ends.
const CLOSED_PIPE: &str = "(os error 32)";

/// Writes to standard output at once; where that fails the program ends, as it does where `println!` fails.
pub(crate) fn write_at_once(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        end_without_output(&error, error.kind() == io::ErrorKind::BrokenPipe);
    }
}

fn end_without_output(reason: impl Display, is_closed_pipe: bool) -> ! {
    if is_closed_pipe {
        interrupt::end_as_with_closed_pipe();
    }
    complain(format_args!("standard output: {reason}"));
    std::process::exit(1);
}

/// A line for people on standard error. Work that goes well does not end because its log can't be written.
pub fn tell(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What went wrong, in a line on standard error; [`tell`] says what happens where that can't be written.
pub fn complain(problem: impl Display) {
    tell(format_args!("error: {problem}"));
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
        // A log that can't be written would be told in that log, and `eprintln!` panics then.
        .log_internal_errors(false)
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
