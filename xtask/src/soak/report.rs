//! What a soak found: a table for people, JSON for the page.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::comparison::Compared;
use super::jobs::Job;
use crate::programs::Signal;

/// All commands.
pub(super) struct Report {
    asked: usize,
    seed: u64,
    threads: usize,
    jobs: Vec<JobReport>,
}

/// One command.
pub(super) struct JobReport {
    name: &'static str,
    /// How long the undisturbed run took.
    pub(super) undisturbed: Duration,
    /// Times that it was brought to its end.
    pub(super) rounds: usize,
    kills: Vec<(Signal, f64, bool)>,
    /// The last round's counts, all rounds' leftovers and differences.
    compared: Compared,
    /// Why it could not be brought to its end.
    pub(super) problem: Option<String>,
}

impl JobReport {
    pub(super) fn new(job: &Job) -> Self {
        let (undisturbed, kills, compared) = (Duration::ZERO, Vec::new(), Compared::default());
        Self { name: job.name, undisturbed, rounds: 0, kills, compared, problem: None }
    }

    pub(super) fn kills(&self) -> usize {
        self.kills.len()
    }

    /// Notes a kill: the signal, when, and whether it found anything written.
    pub(super) fn killed(&mut self, signal: Signal, share: f64, has_written: bool) {
        self.kills.push((signal, share, has_written));
    }

    pub(super) fn compared(&mut self, round: Compared) {
        let number = self.rounds + 1;
        let old = std::mem::take(&mut self.compared);
        let of_round = |texts: Vec<String>| texts.into_iter().map(move |text| format!("round {number}: {text}"));
        self.compared = Compared {
            leftovers: old.leftovers.into_iter().chain(of_round(round.leftovers)).collect(),
            differences: old.differences.into_iter().chain(of_round(round.differences)).collect(),
            ..round
        };
    }

    fn count(&self, signal: Signal) -> usize {
        self.kills.iter().filter(|(own, ..)| *own == signal).count()
    }

    fn verdict(&self) -> &'static str {
        match (&self.problem, self.compared.differences.is_empty()) {
            (Some(_), _) => "FAILED",
            (None, true) => "equal",
            (None, false) => "DIFFERENT",
        }
    }

    fn json(&self) -> Value {
        let kills = self.kills.iter().map(|(signal, share, written)| {
            json!({"signal": signal.name(), "at": (share * 1e4).round() / 1e4, "something_was_written": written})
        });
        json!({
            "command": self.name, "undisturbed_seconds": self.undisturbed.as_secs_f64(), "rounds": self.rounds,
            "kills": kills.collect::<Vec<_>>(), "verdict": self.verdict(), "problem": self.problem,
            "files_equal_by_bytes": self.compared.bytes, "files_equal_by_rule": self.compared.by_rule,
            "files_not_compared": self.compared.not_compared, "leftovers": self.compared.leftovers,
            "differences": self.compared.differences,
        })
    }
}

impl Report {
    pub(super) fn new(asked: usize, seed: u64, threads: usize) -> Self {
        Self { asked, seed, threads, jobs: Vec::new() }
    }

    pub(super) fn add(&mut self, job: JobReport) {
        eprintln!("  {}: {} kills, {} rounds", job.verdict(), job.kills(), job.rounds);
        self.jobs.push(job);
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:<26} {:>7} {:>6} {:>6} {:>14} {:>8}  {:<9} {}\n",
            "command",
            "alone",
            "rounds",
            "kills",
            "KILL/TERM/INT",
            "with work",
            "result",
            "files: bytes + by rule (not compared)"
        );
        for job in &self.jobs {
            let signals: Vec<String> = Signal::ALL.iter().map(|signal| job.count(*signal).to_string()).collect();
            let Compared { bytes, by_rule, not_compared, .. } = &job.compared;
            let _ = writeln!(
                table,
                "{:<26} {:>5.1} s {:>6} {:>6} {:>14} {:>8}  {:<9} {bytes} + {by_rule} ({not_compared})",
                job.name,
                job.undisturbed.as_secs_f64(),
                job.rounds,
                job.kills(),
                signals.join("/"),
                job.kills.iter().filter(|(.., written)| *written).count(),
                job.verdict(),
            );
        }
        let kills: usize = self.jobs.iter().map(JobReport::kills).sum();
        let equal = self.jobs.iter().filter(|job| job.verdict() == "equal").count();
        let _ = writeln!(
            table,
            "{kills} kills (asked for {}, seed {}, {} threads); {equal} of {} commands left what the undisturbed run left",
            self.asked,
            self.seed,
            self.threads,
            self.jobs.len()
        );
        table
    }

    /// For machines.
    pub(super) fn json(&self) -> String {
        let jobs: Vec<Value> = self.jobs.iter().map(JobReport::json).collect();
        let report =
            json!({"kills_asked_for": self.asked, "seed": self.seed, "threads": self.threads, "commands": jobs});
        format!("{report:#}\n")
    }

    /// Everything that is wrong; nothing if nothing is.
    pub(super) fn problems(&self) -> String {
        let of = |job: &JobReport| -> Vec<String> {
            job.problem.iter().chain(&job.compared.differences).map(|text| format!("{}: {text}", job.name)).collect()
        };
        self.jobs.iter().flat_map(of).collect::<Vec<_>>().join("\n")
    }
}
