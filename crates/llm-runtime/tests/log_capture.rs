//! What is logged while the tests run: ours at every level, the HTTP client's but for `trace`, where it writes raw bytes.

use std::io::Write;
use std::sync::{Mutex, Once};

static LINES: Mutex<String> = Mutex::new(String::new());

/// From now on log lines are kept.
pub(crate) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
            .with_writer(|| Lines)
            .init();
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// What was logged so far.
pub(crate) fn lines() -> String {
    LINES.lock().unwrap().clone()
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push_str(&format!("{}: {}\n", record.target(), record.args()));
    }

    fn flush(&self) {}
}
