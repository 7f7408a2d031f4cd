//! Help, completions and how options may be written.

use crate::program::{Place, magic, said, text};

#[test]
fn help_names_every_subcommand() {
    let help = said(&["--help"]);
    for name in ["preprocess", "collect-motivations", "build-prompts", "parse-answers", "templates", "completions"] {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn every_command_shows_examples_of_itself() {
    for name in ["preprocess", "collect-motivations", "build-prompts", "parse-answers", "templates"] {
        let help = said(&[name, "--help"]);
        let (_, examples) = help.split_once("Example").unwrap_or_default();
        assert!(examples.contains(&format!("magic {name}")), "{name}: {help}");
    }
}

#[test]
fn completions_are_printed() {
    assert!(said(&["completions", "bash"]).contains("collect-motivations"));
}

#[test]
fn the_published_spelling_of_options_is_taken() {
    let place = Place::with_data();
    let (folder, file) = (place.folder(), place.name("train.txt"));
    said(&["collect-motivations", "--train_file_path", &file, "--out_dir", &folder, "--backend", "echo"]);
    assert!(place.path("motivations_4_LLaMA.json").exists());
}

#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    for words in
        [["collect-motivations", "--openai_api_key=sk-hunter2"], ["collect-motivations", "--openai-api-key=sk-hunter2"]]
    {
        let output = magic(&words).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("OPENAI_API_KEY") && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn versions_are_told_short_and_long() {
    assert_eq!(said(&["-V"]), concat!("magic ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = said(&["--version"]);
    assert!(long.contains("\ncommit: ") && long.contains("\nfeatures: "), "{long}");
}

#[test]
fn the_manual_page_is_printed() {
    assert!(said(&["man"]).contains(".SH SYNOPSIS"));
}
