//! Runs the built program on the shipped model and dialogues.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) use golden_files::{data as real, root};
use serde_json::Value;

pub(crate) fn model() -> PathBuf {
    root().join("fixtures/models/tiny-llama")
}

pub(crate) fn gguf() -> PathBuf {
    model().join("tiny-llama-q8_0.gguf")
}

pub(crate) fn dialogues() -> PathBuf {
    root().join("fixtures/dialogues/dialogues.json")
}

/// `sra` with these words.
pub(crate) fn sra(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sra"));
    command.args(words).env_remove("RUST_LOG");
    command
}

/// The short run that most tests vary: one conversation, two strategies' worth of text.
pub(crate) fn short_run(out: &Path) -> Vec<String> {
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    [
        "continue",
        "--model",
        &path(model()),
        "--data",
        &path(dialogues()),
        "--out",
        &out.to_string_lossy(),
        "--conversations",
        "1",
        "--turns",
        "3..4",
        "--max-new-tokens",
        "6",
        "--kv-memory",
        "64M",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Runs words to the end.
pub(crate) fn run(words: &[String]) -> Output {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    sra(&words).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The run's records, sorted: they may finish in any order.
pub(crate) fn records(out: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(out.join("continuations.jsonl")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Runs words that must succeed.
pub(crate) fn good(words: &[&str]) -> Output {
    let output = sra(words).output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", text(&output.stderr));
    output
}

/// What they print.
pub(crate) fn said(words: &[&str]) -> String {
    text(&good(words).stdout)
}

pub(crate) fn json(words: &[&str]) -> Value {
    serde_json::from_slice(&good(words).stdout).unwrap()
}

/// Rows of a file, a JSON value each.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A folder that vanishes with the test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, contents: &str) -> String {
        std::fs::write(self.path(name), contents).unwrap();
        self.name(name)
    }
}
