//! A long job shows itself: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::console;

/// Time between two lines in a log.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// How far a job of countable pieces has come.
pub(crate) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    total: usize,
    begun_at: usize,
    start: Instant,
    last_line: Instant,
}

impl Progress {
    /// `done` of `total` pieces were finished before.
    pub(crate) fn new(what: &'static str, done: usize, total: usize) -> Self {
        let bar = (!console::is_quiet() && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(total as u64).with_position(done as u64).with_message(what);
            let style = "{msg} {wide_bar} {pos}/{len}  {per_sec}  {eta} left";
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        Self { what, bar, total, begun_at: done, start: now, last_line: now }
    }

    /// Now `done` pieces are finished.
    pub(crate) fn set(&mut self, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        } else if !console::is_quiet() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.print_line(done);
        }
    }

    fn print_line(&self, done: usize) {
        let (what, total, fresh) = (self.what, self.total, done.saturating_sub(self.begun_at));
        let seconds = self.start.elapsed().as_secs_f64();
        let left = seconds / fresh.max(1) as f64 * total.saturating_sub(done) as f64;
        let left = HumanDuration(Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX));
        eprintln!("{what}: {done} of {total}, {:.1} a second, {left} left", fresh as f64 / seconds.max(1e-9));
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
