//! Runs the built program on made-up dialogues.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) use golden_files::data as real;
use serde_json::{Value, json};

/// `magic` with these words.
pub(crate) fn magic(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_magic"));
    command.args(words).env_remove("RUST_LOG").env_remove("OPENAI_API_KEY");
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs words that must succeed.
pub(crate) fn good(words: &[&str]) -> Output {
    let output = magic(words).output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", text(&output.stderr));
    output
}

/// What they print.
pub(crate) fn said(words: &[&str]) -> String {
    text(&good(words).stdout)
}

pub(crate) fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A folder that vanishes with the test.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// One with the three raw files: two dialogues to train with, one each to validate and to test with.
    pub(crate) fn with_data() -> Self {
        let place = Self::new();
        place.write("train.txt", &(dialogue(true, 5) + &dialogue(false, 4)));
        place.write("valid.txt", &dialogue(false, 6));
        place.write("test.txt", &dialogue(true, 6));
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// The folder itself.
    pub(crate) fn folder(&self) -> String {
        self.0.path().to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, contents: &str) -> String {
        std::fs::write(self.path(name), contents).unwrap();
        self.name(name)
    }
}

const STRATEGIES: [&str; 3] = ["Question", "Reflection of Feelings", "Greetings"];

/// A raw line of so many turns, opened by the supporter or by the seeker.
pub(crate) fn dialogue(opened_by_supporter: bool, turns: usize) -> String {
    let turn = |number: usize| {
        if number.is_multiple_of(2) == opened_by_supporter {
            let strategy = STRATEGIES[number / 2 % STRATEGIES.len()];
            json!({"text": format!("I ' m with you , turn {number} ."), "speaker": "sys", "strategy": strategy})
        } else {
            json!({"text": format!(" so it ' s  hard , turn {number} ."), "speaker": "usr", "feedback": null})
        }
    };
    let dialogue = json!({
        "emotion_type": "fear", "problem_type": "job crisis", "situation": "They don ' t call back .",
        "init_intensity": 4, "final_intensity": 2, "dialog": (0..turns).map(turn).collect::<Vec<_>>(),
    });
    format!("{dialogue}\r\n")
}
