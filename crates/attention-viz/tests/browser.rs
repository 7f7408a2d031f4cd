//! The page in headless Chromium, through `browser-tests/run.mjs`; skipped aloud where there is no Node.js or no Chromium.

use std::path::{Path, PathBuf};
use std::process::Command;

use attention_viz::{
    AttentionRecord, Choice, ExportOptions, LineBy, Precision, RunIndex, SinkHandling, export_comparison,
    export_record, export_turns, standalone_html,
};

use crate::sample::{SMALL, Size, info, record};
use crate::server::serve_runs;

/// A long prompt and answer, as of a 1.1 B model.
const LARGE: Size = Size { prompt: 1000, rows: 200, layers: 22, heads: 4, full: false };

fn write_samples(folder: &Path) -> AttentionRecord {
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
    odd.capture.head_shares.clear();
    odd.info.values.clear();
    keep(&odd);
    // Sums only, with spans.
    let mut sums = record(40, Size { full: false, ..SMALL }, info(40, 9, 4, "c1_hf", "x"));
    sums.capture.layer_rows.clear();
    keep(&sums);
    let other = |number, size, strategy| {
        let mut record = record(number, size, info(number, 99, 9, "other", strategy));
        record.info.values.clear();
        record
    };
    // A sound header, but numbers that are none: only reading the record tells.
    let mut damaged = other(41, SMALL, "damaged");
    damaged.capture.span_sums[5] = f32::NAN;
    keep(&damaged);
    // Characters that have no place in XML.
    let mut control = other(42, SMALL, "a\u{1}b");
    for (at, text) in [(3, "\u{0}"), (4, "\u{1b}[31m"), (15, "a\u{1}b"), (62, "\u{ffff}\u{85}")] {
        control.token_texts[at] = text.into();
    }
    control.capture.spans[0].label = "sys\u{2}tem".into();
    keep(&control);
    // Without the strategy's span.
    let mut spanless = other(43, SMALL, "spanless");
    spanless.capture.spans[2].label = "something_else".into();
    keep(&spanless);
    // A model of another shape.
    keep(&other(44, Size { layers: 2, heads: 2, ..SMALL }, "other shape"));
    // As older programs have captured it: no shares of heads, and no single heads to make them from.
    let mut older = other(45, Size { full: false, ..SMALL }, "older");
    older.capture.head_shares.clear();
    keep(&older);
    record(3, SMALL, info(3, 2, 3, "c1_hf", "Share Information"))
}

/// Two runs of one name: of a large model with single heads in two conversations, and of a small one without, with many records.
fn write_runs(folder: &Path) -> [PathBuf; 2] {
    let runs = ["large/run", "small/run"].map(|name| folder.join(name));
    let keep = |run: &Path, mut sample: AttentionRecord, model: &str| {
        sample.info.model = model.into();
        sample.write(&run.join(format!("{}.attn", sample.info.id)), Precision::F16).unwrap();
    };
    runs.iter().for_each(|run| std::fs::create_dir_all(run).unwrap());
    let mut turned = record(1, SMALL, info(1, 1, 3, "c1_hf", "Offer \u{202e}Hope"));
    turned.token_texts[20] = "left \u{202e}turned".into();
    turned.info.values.insert("count".into(), 12_345.0);
    keep(&runs[0], turned, "large");
    keep(&runs[0], record(2, SMALL, info(2, 2, 3, "c1_hf", "Offer Hope")), "large");
    keep(&runs[0], record(3, SMALL, info(3, 1, 4, "c1_hf", "Offer Hope")), "large");
    keep(&runs[1], record(4, Size { full: false, ..SMALL }, info(4, 1, 3, "c1_hf", "Offer Hope")), "small");
    let tiny = Size { prompt: 24, rows: 1, layers: 1, heads: 1, full: false };
    for number in 5..320 {
        keep(&runs[1], record(number, tiny, info(number, number, 5, "c1_hf", LONG_NAME)), "small");
    }
    runs
}

/// A strategy's name that is longer than most.
const LONG_NAME: &str = "Avoid Judgment and Criticism, whatever the seeker says";

/// What `attention-viz export` writes, for the page to be compared with: of everything and of one head.
fn write_exports(run: &Path, out: &Path) {
    let file = |number: usize| run.join(format!("record-{number}.attn"));
    let one_head = Choice { layers: "1".parse().unwrap(), heads: "3".parse().unwrap(), ..Choice::default() };
    let kept = Choice { sink: SinkHandling::Keep, ..Choice::default() };
    for (name, choice) in [("whole", Choice::default()), ("head", one_head), ("kept", kept)] {
        let span = "strategy_name".to_owned();
        let options = ExportOptions { span, choice, select: None, html: false, csv: true, svg: false, png: false };
        let out = out.join(name);
        export_record(&file(3), &out, &options).unwrap();
        export_comparison(&file(3), &file(4), &out, &options).unwrap();
        let index = RunIndex::open(&[run.to_owned()]).unwrap();
        export_turns(index.listing(), "sra", LineBy::Layout, &out, &options).unwrap();
    }
}

#[test]
fn the_page_works_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    // The page shows and searches the run's name, so that it must not be a random one.
    let run = folder.path().join("run-5");
    std::fs::create_dir(&run).unwrap();
    let small = write_samples(&run);
    let (standalone, exports) = (folder.path().join("standalone.html"), folder.path().join("exports"));
    std::fs::write(&standalone, standalone_html(&small)).unwrap();
    write_exports(&run, &exports);
    let [base, several] =
        [vec![run], write_runs(folder.path()).to_vec()].map(|runs| format!("http://{}/", serve_runs(&runs)));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/browser-tests/run.mjs");
    let script_run = Command::new("node").arg(script).arg(base).arg(&standalone).arg(&exports).arg(several).output();
    let output = match script_run {
        Ok(output) => output,
        Err(error) => return println!("skipped: Node.js is not here ({error})"),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
