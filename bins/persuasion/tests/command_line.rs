//! What every program tells about itself.

use crate::trained::told as said;

#[test]
fn versions_are_told_short_and_long() {
    assert_eq!(said(&["-V"]), concat!("persuasion ", env!("CARGO_PKG_VERSION"), "\n"));
    let long = said(&["--version"]);
    assert!(long.contains("\ncommit: ") && long.contains("\nfeatures: "), "{long}");
}

#[test]
fn the_manual_page_is_printed() {
    assert!(said(&["man"]).contains(".SH SYNOPSIS"));
}
