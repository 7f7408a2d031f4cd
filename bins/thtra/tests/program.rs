//! Runs the built program on a made-up corpus, with a made-up tokenizer.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Map, Value, json};
use thtra::{Author, Dialogue, DialogueTokenizer, Strategy, Turn};

/// Conversations of the made-up corpus: 14 to learn from, 3 for validation, 3 for the test.
pub(crate) const CONVERSATIONS: usize = 20;

/// `thtra` with these words.
pub(crate) fn thtra(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thtra"));
    command.args(words).env_remove("RUST_LOG");
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What words that must succeed print.
pub(crate) fn said(words: &[&str]) -> String {
    let output = thtra(words).output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", text(&output.stderr));
    text(&output.stdout)
}

/// What words that must fail with this code say.
pub(crate) fn complaint(words: &[&str], code: i32) -> String {
    let Output { status, stderr, .. } = thtra(words).output().unwrap();
    let told = text(&stderr);
    assert_eq!(status.code(), Some(code), "{words:?}: {told}");
    assert!(!told.contains("panicked"), "{words:?}: {told}");
    told
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

    /// One with the made-up corpus in `ESConv.json`.
    pub(crate) fn with_corpus() -> Self {
        let place = Self::new();
        place.write("ESConv.json", &json!((0..CONVERSATIONS).map(conversation).collect::<Vec<_>>()).to_string());
        place
    }

    /// One with what `process` makes of the made-up corpus in the folder `data`, and with a tokenizer in the folder `tokenizer`.
    pub(crate) fn with_data() -> Self {
        let place = Self::with_corpus();
        said(&["process", "--input", &place.name("ESConv.json"), "--out", &place.name("data")]);
        write_tokenizer(&place.path("tokenizer"));
        place
    }

    /// One with the samples of that in the folder `prepared`.
    pub(crate) fn with_samples() -> Self {
        let place = Self::with_data();
        place.prepare(&[]);
        place
    }

    /// Prepares its data and gives what is printed.
    pub(crate) fn prepare(&self, more: &[&str]) -> String {
        self.with_prepare(more, said)
    }

    /// Fails to do so and gives what is said.
    pub(crate) fn fail_to_prepare(&self) -> String {
        self.with_prepare(&[], |words| complaint(words, 1))
    }

    fn with_prepare(&self, more: &[&str], act: impl Fn(&[&str]) -> String) -> String {
        let [data, tokenizer, out] = ["data", "tokenizer", "prepared"].map(|name| self.name(name));
        act(&[&["prepare", "--data-dir", &data, "--tokenizer", &tokenizer, "--out", &out], more].concat())
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

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

/// A conversation of the made-up corpus. Those of odd numbers are opened by the supporter.
pub(crate) fn conversation(number: usize) -> Value {
    let seeker = |text: &str, feedback: Option<&str>| {
        let annotation = feedback.map_or(json!({}), |rating| json!({ "feedback": rating }));
        json!({"speaker": "seeker", "annotation": annotation, "content": text})
    };
    let supporter = |text: &str, strategy: &str| json!({"speaker": "supporter", "annotation": {"strategy": strategy}, "content": text});
    let mut dialog = vec![
        seeker(&format!(" I  am number {number}.\n"), None),
        supporter("What happened?", "Question"),
        seeker("I failed.", Some("4")),
        supporter("Oh no!", "Others"),
        supporter("Try it\tagain.", "Providing Suggestions"),
        seeker("Thank you.", Some("2")),
        supporter("Bye.", "Others"),
    ];
    if !number.is_multiple_of(2) {
        dialog.insert(0, supporter("Welcome.", "Others"));
    }
    json!({
        "experience_type": "Current Experience", "emotion_type": "shame", "problem_type": "academic pressure",
        // Two conversations each have the same situation.
        "situation": format!("Exam {} went wrong.", number / 2), "survey_score": {}, "dialog": dialog,
    })
}

/// Writes a tokenizer of BlenderBot-small's kind: letters, digits, marks, and the word `prediction`.
pub(crate) fn write_tokenizer(folder: &Path) {
    write_tokenizer_of(folder, 0);
}

/// Writes the same with words that mean nothing, so that there are so many tokens at least.
pub(crate) fn write_tokenizer_of(folder: &Path, tokens: usize) {
    std::fs::create_dir_all(folder).unwrap();
    let mut pieces: Vec<String> =
        ["__null__", "__start__", "__end__", "__unk__", "__newln__"].map(str::to_owned).into();
    for letter in ('a'..='z').chain('0'..='9') {
        pieces.extend([letter.to_string(), format!("{letter}@@")]);
    }
    pieces.extend([".", ",", "!", "?", "(", ")", "'", "prediction"].map(str::to_owned));
    pieces.extend((pieces.len()..tokens).map(|number| format!("word{number}")));
    let ids: Map<String, Value> = pieces.into_iter().enumerate().map(|(id, piece)| (piece, json!(id))).collect();
    std::fs::write(folder.join("vocab.json"), Value::Object(ids).to_string()).unwrap();
    let word = "prediction";
    let merges = (1..word.len()).map(|end| match end + 1 == word.len() {
        true => format!("{} n</w>\n", &word[..end]),
        false => format!("{} {}\n", &word[..end], &word[end..=end]),
    });
    std::fs::write(folder.join("merges.txt"), format!("#version: 0.2\n{}", merges.collect::<String>())).unwrap();
    let config = json!({"tokenizer_class": "BlenderbotSmallTokenizer"}).to_string();
    std::fs::write(folder.join("tokenizer_config.json"), config).unwrap();
}

/// That tokenizer.
pub(crate) fn tokenizer() -> DialogueTokenizer {
    let folder = tempfile::tempdir().unwrap();
    write_tokenizer(folder.path());
    DialogueTokenizer::open(folder.path()).unwrap()
}

/// A dialogue; `None` is the seeker.
pub(crate) fn dialogue(turns: &[(&str, Option<Strategy>)]) -> Dialogue {
    let turn = |(text, strategy): &(&str, Option<Strategy>)| Turn {
        text: (*text).to_owned(),
        author: strategy.map_or(Author::Seeker, Author::Supporter),
    };
    Dialogue {
        emotion_type: "shame".into(),
        problem_type: "academic pressure".into(),
        situation: "I failed.".into(),
        turns: turns.iter().map(turn).collect(),
    }
}
