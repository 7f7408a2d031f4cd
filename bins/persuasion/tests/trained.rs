//! A small run that tests of trained models share, and the program run on it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::corpora::{Place, lines, text};

/// A model with random weights.
pub(crate) const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-llama");

/// `persuasion` with these words.
pub(crate) fn persuasion(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_persuasion"));
    command.args(words).env_remove("RUST_LOG").env_remove("OPENAI_API_KEY");
    command
}

/// What words that must succeed print.
pub(crate) fn told(words: &[&str]) -> String {
    let output = persuasion(words).output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", text(&output.stderr));
    text(&output.stdout)
}

/// What words that must fail with this code say.
pub(crate) fn refusal(words: &[&str], code: i32) -> String {
    let Output { status, stderr, .. } = persuasion(words).output().unwrap();
    let said = text(&stderr);
    assert_eq!(status.code(), Some(code), "{words:?}: {said}");
    assert!(!said.contains("panicked"), "{words:?}: {said}");
    said
}

/// The rows of a file.
pub(crate) fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A post with two pairs; replies differ in length from pair to pair.
fn pairs(post: usize) -> [Value; 2] {
    [0, 1].map(|number| {
        json!({
            "id": format!("e{post}.{number}"), "group": format!("p{post}"),
            "prompt": format!("I think that plan {post} is best, for it is cheap."),
            "chosen": format!("Have you thought of what plan {post} costs later?{}", " It will cost more.".repeat(number)),
            "rejected": format!("No.{} You are wrong.", " Never.".repeat(3 * (post % 3))),
        })
    })
}

/// A folder with pairs in `pairs` and a run in `run`, made once.
pub(crate) fn trained() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        for (part, posts) in [("train", 0..6), ("validation", 6..9), ("test", 9..13)] {
            place.write(&format!("pairs/{part}.jsonl"), lines(&posts.flat_map(pairs).collect::<Vec<_>>()));
        }
        let (data, run) = (place.name("pairs"), place.name("run"));
        told(&[
            "train",
            "--model",
            MODEL,
            "--data",
            &data,
            "--out",
            &run,
            "--template",
            "bare",
            "--max-length",
            "120",
            "--max-prompt-length",
            "60",
            "--epochs",
            "1",
            "--learning-rate",
            "1e-2",
            "--warmup",
            "0",
            "--generate",
            "0",
        ]);
        place
    })
}
