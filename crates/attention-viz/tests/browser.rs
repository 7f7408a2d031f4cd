//! The page in headless Chromium, through `browser-tests/run.mjs`; skipped aloud where there is no Node.js or no Chromium.

use std::process::Command;

use attention_viz::{AttentionRecord, Precision, standalone_html};

use crate::sample::{SMALL, Size, info, record};
use crate::server::serve_folder;

/// A long prompt and answer, as of a 1.1 B model.
const LARGE: Size = Size { prompt: 1000, rows: 200, layers: 22, heads: 4, full: false };

fn write_samples(folder: &std::path::Path) -> AttentionRecord {
    let keep = |record: &AttentionRecord| {
        record.write(&folder.join(format!("{}.attn", record.info.id)), Precision::F16).unwrap();
    };
    keep(&record(1, LARGE, info(1, 1, 3, "c1_hf", "Offer Hope")));
    keep(&record(2, LARGE, info(2, 1, 3, "standard", "Offer Hope")));
    let mut number = 3;
    for conversation in 2..5 {
        for turn in 3..9 {
            for layout in ["c1_hf", "standard"] {
                keep(&record(number, SMALL, info(number, conversation, turn, layout, "Share Information")));
                number += 1;
            }
        }
    }
    // One new token, one layer, one head, no spans, sums only.
    let mut odd =
        record(39, Size { prompt: 24, rows: 1, layers: 1, heads: 1, full: false }, info(39, 9, 3, "c1_hf", "x"));
    odd.capture.layer_rows.clear();
    odd.capture.spans.clear();
    odd.capture.span_sums.truncate(2);
    odd.capture.head_profile.truncate(2);
    odd.info.values.clear();
    keep(&odd);
    // Sums only, with spans.
    let mut sums = record(40, Size { full: false, ..SMALL }, info(40, 9, 4, "c1_hf", "x"));
    sums.capture.layer_rows.clear();
    keep(&sums);
    record(3, SMALL, info(3, 2, 3, "c1_hf", "Share Information"))
}

#[test]
fn the_page_works_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    // The page shows and searches the run's name, so that it must not be a random one.
    let run = folder.path().join("run-5");
    std::fs::create_dir(&run).unwrap();
    let small = write_samples(&run);
    let standalone = folder.path().join("standalone.html");
    std::fs::write(&standalone, standalone_html(&small)).unwrap();
    let address = serve_folder(&run);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/browser-tests/run.mjs");
    let script_run = Command::new("node").arg(script).arg(format!("http://{address}/")).arg(&standalone).output();
    let output = match script_run {
        Ok(output) => output,
        Err(error) => return println!("skipped: Node.js is not here ({error})"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
