//! Help and completions.

use crate::program::said;

#[test]
fn help_names_every_subcommand() {
    let help = said(&["--help"]);
    for name in ["process", "prepare", "candidates", "align", "completions"] {
        assert!(help.contains(name), "{name}");
    }
}

#[test]
fn every_command_shows_examples_of_itself() {
    for name in ["process", "prepare", "candidates", "align"] {
        let help = said(&[name, "--help"]);
        let (_, examples) = help.split_once("Example").unwrap_or_default();
        assert!(examples.contains(&format!("thtra {name}")), "{name}: {help}");
    }
}

#[test]
fn every_command_about_helpfulness_shows_examples_of_itself() {
    for name in ["train", "eval", "score", "import"] {
        let help = said(&["helpfulness", name, "--help"]);
        let (_, examples) = help.split_once("Example").unwrap_or_default();
        assert!(examples.contains(&format!("thtra helpfulness {name}")), "{name}: {help}");
    }
}

#[test]
fn completions_are_printed() {
    assert!(said(&["completions", "bash"]).contains("prepare"));
}

#[test]
fn versions_are_told_short_and_long() {
    assert_eq!(said(&["-V"]), concat!("thtra ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = said(&["--version"]);
    assert!(long.contains("\ncommit: ") && long.contains("\nfeatures: "), "{long}");
}

#[test]
fn the_manual_page_is_printed() {
    assert!(said(&["man"]).contains(".SH SYNOPSIS"));
}
