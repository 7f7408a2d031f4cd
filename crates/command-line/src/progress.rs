//! A long job shows itself: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crate::console;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Seconds between two lines in a log.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// How far a job of countable pieces has come.
pub struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    total: u64,
    begun_at: u64,
    start: Instant,
    last_line: Option<Instant>,
    quiet: bool,
}

impl Progress {
    /// `done` of `total` pieces were finished before.
    pub fn new(what: &'static str, done: u64, total: u64) -> Self {
        let quiet = console::is_quiet();
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(total).with_position(done);
            let style = "{msg} {wide_bar} {pos}/{len}  {per_sec}  {eta} left";
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(what);
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        Self { what, bar, total, begun_at: done, start: now, last_line: None, quiet }
    }

    /// Now `done` pieces are finished.
    pub fn set(&mut self, done: u64) {
        self.set_with(done, "");
    }

    /// Now `done` pieces are finished, and `note` is how things stand.
    pub fn set_with(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            if !note.is_empty() {
                bar.set_message(format!("{}  {note}", self.what));
            }
            return;
        }
        // The last line is printed where there were lines before; a short job needs none.
        let is_due = self.last_line.unwrap_or(self.start).elapsed() >= LINE_EVERY;
        let is_last = done >= self.total && self.last_line.is_some();
        if self.quiet || !(is_due || is_last) {
            return;
        }
        self.last_line = Some(Instant::now());
        let fresh = done.saturating_sub(self.begun_at);
        let seconds = self.start.elapsed().as_secs_f64();
        let left = if fresh > 0 { seconds / fresh as f64 * (self.total.saturating_sub(done)) as f64 } else { 0.0 };
        console::tell(format_args!(
            "{}: {done} of {}, {:.1} a second, {} left{}{note}",
            self.what,
            self.total,
            fresh as f64 / seconds.max(1e-9),
            HumanDuration(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)),
            if note.is_empty() { "" } else { "; " }
        ));
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
