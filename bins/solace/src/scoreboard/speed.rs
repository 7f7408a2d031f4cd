//! How fast systems were and how much memory they took: no two runs are the same.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use command_line::Failure;
use llm_runtime::{format_bytes, peak_memory};
use serde::{Deserialize, Serialize};

use super::systems::System;

/// A system's speed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Until everything was planned and whoever answers was loaded.
    plan_seconds: f64,
    answer_seconds: f64,
    answers_per_second: f64,
    tokens_per_second: f64,
    /// Largest resident memory in bytes; none where the system does not tell.
    peak_memory: Option<u64>,
}

/// A measurement that has begun.
pub(super) struct Speed {
    begun: Instant,
    answering: Instant,
    planned: f64,
}

impl Speed {
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now(), answering: Instant::now(), planned: 0.0 }
    }

    /// Planned, and everything that answers is loaded.
    pub(super) fn answers_begin(&mut self) {
        self.planned = self.begun.elapsed().as_secs_f64();
        self.answering = Instant::now();
    }

    pub(super) fn end(self, answers: usize, tokens: usize) -> Measured {
        let seconds = self.answering.elapsed().as_secs_f64();
        let peak = peak_memory();
        Measured {
            plan_seconds: self.planned,
            answer_seconds: seconds,
            answers_per_second: answers as f64 / seconds,
            tokens_per_second: tokens as f64 / seconds,
            peak_memory: (peak > 0).then_some(peak),
        }
    }
}

/// Speeds by the names of systems, kept in a file.
pub(super) struct Speeds {
    path: PathBuf,
    by_system: BTreeMap<String, Measured>,
}

impl Speeds {
    /// Those that are known so far.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let by_system = match std::fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| Failure::work(format!("{}: no speeds of systems: {error}", path.display())))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Failure::at(path)(error)),
        };
        Ok(Self { path: path.to_owned(), by_system })
    }

    pub(super) fn set(&mut self, system: &str, measured: Measured) -> Result<(), Failure> {
        self.by_system.insert(system.to_owned(), measured);
        super::write(&self.path, &format!("{}\n", serde_json::to_string_pretty(&self.by_system)?))
    }

    /// As a table; a system that went on after an interruption has none.
    pub(super) fn text(&self, systems: &[System]) -> String {
        let width = systems.iter().map(|system| system.name.chars().count()).max().unwrap_or(0);
        let mut text = format!(
            "{:<width$} {:>10} {:>10} {:>10} {:>10} {:>12}\n",
            "", "planning", "answering", "answers/s", "tokens/s", "peak memory"
        );
        for system in systems {
            let Some(speed) = self.by_system.get(&system.name) else {
                let _ = writeln!(text, "{:<width$} (interrupted, so not measured)", system.name);
                continue;
            };
            let memory = speed.peak_memory.map_or_else(|| "–".to_owned(), format_bytes);
            let Measured { plan_seconds, answer_seconds, answers_per_second, tokens_per_second, .. } = speed;
            let _ = writeln!(
                text,
                "{:<width$} {plan_seconds:>8.1} s {answer_seconds:>8.1} s {answers_per_second:>10.2} {tokens_per_second:>10.1} {memory:>12}",
                system.name
            );
        }
        text
    }
}
