//! Signals: Ctrl-C and SIGTERM end a long job at the next token, with everything finished kept. A second one ends it at once.
//!
//! In a chat Ctrl-C ends the answer that is being made, and the chat while a line is waited for.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static TERMINATED: AtomicBool = AtomicBool::new(false);
static ENDS_AT_ONCE: AtomicBool = AtomicBool::new(false);

/// How often somebody looks whether a process has ended.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Exit code of an interrupted job.
pub const EXIT_CODE: u8 = 130;

/// From now on an interrupt sets [`was_asked`] instead of ending the process.
pub fn listen() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler: extern "C" fn(libc::c_int) = note;
        // SAFETY: the handler only stores to an atomic and restores the default action, both allowed in a handler.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// Ends the process as a closed pipe ends other programs (`… | head`): by its signal, so that shells can tell.
pub(crate) fn end_as_with_closed_pipe() -> ! {
    // SAFETY: the process ends with these; no handler of ours hears this signal.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::raise(libc::SIGPIPE);
    }
    // Where the signal is blocked: the code that shells give for it.
    std::process::exit(128 + libc::SIGPIPE);
}

/// Whether somebody wants the job to end.
pub fn was_asked() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Whether a SIGTERM came, or an interrupt that nothing has answered to.
pub fn was_asked_to_end() -> bool {
    was_asked() || TERMINATED.load(Ordering::Relaxed)
}

/// An interrupt was answered to; the next one is noted again.
pub fn forget() {
    INTERRUPTED.store(false, Ordering::Relaxed);
    listen();
}

/// While `wait` waits for somebody, an interrupt ends the process at once with [`EXIT_CODE`].
pub fn end_at_once_during<T>(wait: impl FnOnce() -> T) -> T {
    ENDS_AT_ONCE.store(true, Ordering::SeqCst);
    if was_asked_to_end() {
        // One came just before: it was noted, so the handler did not end the process.
        std::process::exit(i32::from(EXIT_CODE));
    }
    let waited = wait();
    ENDS_AT_ONCE.store(false, Ordering::SeqCst);
    waited
}

/// Waits for a process that does a part of the job. A SIGTERM is passed on to it; Ctrl-C at a terminal reaches it by itself.
///
/// # Errors
/// The system can't say how it ended.
pub fn wait_for(child: &mut Child) -> io::Result<ExitStatus> {
    let mut passed_on = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if TERMINATED.load(Ordering::Relaxed) && !passed_on {
            passed_on = true;
            if let Ok(process) = libc::pid_t::try_from(child.id()) {
                // SAFETY: the process is a child that nobody has waited for, so that its number is still its own.
                unsafe { libc::kill(process, libc::SIGTERM) };
            }
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

extern "C" fn note(signal: libc::c_int) {
    if ENDS_AT_ONCE.load(Ordering::SeqCst) {
        // SAFETY: both are async-signal-safe, and the line end outlives the call.
        unsafe {
            libc::write(libc::STDERR_FILENO, b"\n".as_ptr().cast(), 1);
            libc::_exit(libc::c_int::from(EXIT_CODE));
        }
    }
    INTERRUPTED.store(true, Ordering::SeqCst);
    if signal == libc::SIGTERM {
        TERMINATED.store(true, Ordering::SeqCst);
    }
    // SAFETY: `signal` is async-signal-safe.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
