//! The pages in headless Chromium, through `browser-tests/run.mjs`; skipped aloud where there is no Node.js or no Chromium.

use std::process::Command;

use crate::report::spoil;
use crate::report_folder::{Place, Size, page_of, said, search};

/// 3,200 pairs in 3 epochs: over 10,000 rows.
const LARGE: Size = Size { posts: 1600, pairs_per_post: 2, epochs: 3, sentences: 8 };
const SMALL: Size = Size { posts: 16, pairs_per_post: 2, epochs: 3, sentences: 4 };

#[test]
fn the_pages_work_in_a_browser() {
    let place = Place::new();
    place.run("beta-0.1", LARGE, 0.78);
    place.run("beta-0.3", SMALL, 0.6);
    place.run("hostile", SMALL, 0.8);
    spoil(&place, "hostile");
    search(&place.path("study"), 12);
    for run in ["beta-0.1", "hostile", "study"] {
        page_of(&place, run);
    }
    let compared = place.name("compared.html");
    said(&["compare", &place.name("beta-0.3"), &place.name("hostile"), "--html", &compared]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/browser-tests/run.mjs");
    let pages = ["beta-0.1/report.html", "hostile/report.html", "study/report.html", "compared.html"];
    let output = match Command::new("node").arg(script).args(pages.map(|page| place.name(page))).output() {
        Ok(output) => output,
        Err(error) => return println!("skipped: Node.js is not here ({error})"),
    };
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}
