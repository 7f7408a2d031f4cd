//! Runs the built program.

use std::path::PathBuf;
use std::process::{Command, Output};

/// `solace` with these words.
pub(crate) fn solace(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_solace"));
    command.args(["-q", "--threads", "2"]).args(words).env_remove("RUST_LOG");
    command
}

/// What words that must succeed print.
pub(crate) fn said(words: &[&str]) -> String {
    let output = solace(words).output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What words that must fail with this code say.
pub(crate) fn complaint(words: &[&str], code: i32) -> String {
    let Output { status, stderr, .. } = solace(words).output().unwrap();
    let told = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(code), "{words:?}: {told}");
    assert!(!told.contains("panicked"), "{words:?}: {told}");
    told
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
        self.path(name).display().to_string()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The lines of a file as JSON.
    pub(crate) fn rows(&self, name: &str) -> Vec<serde_json::Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
