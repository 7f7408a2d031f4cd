//! Signals: Ctrl-C and SIGTERM end a long job soon, with everything finished kept. A second one ends it at once.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Exit code of an interrupted job.
pub(crate) const EXIT_CODE: u8 = 130;

/// From now on an interrupt sets [`was_asked`] instead of ending the process.
pub(crate) fn listen() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler: extern "C" fn(libc::c_int) = note;
        // SAFETY: the handler only stores to an atomic and restores the default action, both allowed in a handler.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

/// `magic … | head` ends quietly when `head` has seen enough, as other programs do.
pub(crate) fn end_quietly_with_closed_pipes() {
    // SAFETY: restores the default action of a signal before any other thread runs.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Whether somebody wants the job to end.
pub(crate) fn was_asked() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn note(signal: libc::c_int) {
    INTERRUPTED.store(true, Ordering::SeqCst);
    // SAFETY: `signal` is async-signal-safe.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
