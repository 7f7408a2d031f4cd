//! Which files of a run are listed, and why the others are not.

use std::os::unix::fs::symlink;
use std::path::Path;

use attention_viz::{AttentionRecord, Precision, RunIndex};

use crate::sample::{SMALL, info, record};

fn sample(id: &str) -> AttentionRecord {
    let mut sample = record(1, SMALL, info(1, 1, 4, "c1_hf", "Offer Hope"));
    sample.info.id = id.into();
    sample
}

fn keep(folder: &Path, name: &str, record: &AttentionRecord) {
    std::fs::create_dir_all(folder).unwrap();
    record.write(&folder.join(name), Precision::F16).unwrap();
}

fn open(run: &Path) -> RunIndex {
    RunIndex::open(&[run.to_owned()]).unwrap()
}

/// File names of what is listed.
fn listed(index: &RunIndex) -> Vec<String> {
    let mut names: Vec<String> =
        index.files().map(|(_, file)| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_record_needs_an_id_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    for (name, id) in [
        ("a.attn", "same"),
        ("b.attn", "same"),
        ("c.attn", ""),
        ("d.attn", ".."),
        ("e.attn", "a/b"),
        ("f.attn", "F-_9"),
    ] {
        keep(&run, name, &sample(id));
    }
    let index = open(&run);
    assert_eq!(listed(&index), ["a.attn", "f.attn"]);
    let problems = &index.listing().problems;
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems[0].contains("b.attn: its id `same` is that of") && problems[0].contains("a.attn"), "{problems:?}");
    assert!(problems[1].contains("c.attn: its id `` is not made of letters"), "{problems:?}");
    // The other run may have the same ids.
    let both = RunIndex::open(&[run.clone(), run]).unwrap();
    assert_eq!(both.files().count(), 4);
}

#[test]
fn what_can_not_be_shown_is_not_listed() {
    let folder = tempfile::tempdir().unwrap();
    keep(folder.path(), "a.attn", &sample("whole"));
    let bytes = sample("torn").to_bytes(Precision::F16).unwrap();
    std::fs::write(folder.path().join("b.attn"), &bytes[..bytes.len() - 1]).unwrap();
    let mut empty = sample("empty");
    empty.capture.rows = 0;
    empty.token_ids.truncate(60);
    empty.token_texts.truncate(60);
    for values in [
        &mut empty.capture.span_sums,
        &mut empty.capture.head_span_sums,
        &mut empty.capture.layer_rows,
        &mut empty.capture.head_rows,
    ] {
        values.clear();
    }
    keep(folder.path(), "c.attn", &empty);
    let index = open(folder.path());
    assert_eq!(listed(&index), ["a.attn"]);
    let problems = index.listing().problems.join("\n");
    assert!(problems.contains("b.attn") && problems.contains("ends within its arrays"), "{problems}");
    assert!(problems.contains("c.attn: it has no new tokens"), "{problems}");
}

#[test]
fn no_link_leads_out_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let (run, elsewhere) = (folder.path().join("run"), folder.path().join("elsewhere"));
    keep(&run.join("attention"), "a.attn", &sample("inside"));
    keep(&run.join("other"), "b.attn", &sample("beside"));
    keep(&elsewhere, "secret.attn", &sample("secret"));
    let attention = run.join("attention");
    symlink(elsewhere.join("secret.attn"), attention.join("out.attn")).unwrap();
    symlink("../../elsewhere/secret.attn", attention.join("relative.attn")).unwrap();
    symlink(run.join("other/b.attn"), attention.join("within.attn")).unwrap();
    symlink("nowhere.attn", attention.join("broken.attn")).unwrap();
    let index = open(&run);
    assert_eq!(listed(&index), ["a.attn", "b.attn"], "a link within the run is followed");
    let problems = &index.listing().problems;
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(problems.iter().filter(|problem| problem.contains("leads out of the run")).count(), 2);

    // A run may be a link itself, and is called by the link's name.
    let latest = folder.path().join("latest");
    symlink(&run, &latest).unwrap();
    let index = open(&latest);
    assert_eq!(listed(&index), ["a.attn", "b.attn"]);
    assert_eq!(index.listing().runs[0].name, "latest");
    // So may a file that is named as a run.
    assert_eq!(listed(&open(&attention.join("out.attn"))), ["secret.attn"]);

    // The folder of attention files is part of the run.
    let borrowed = folder.path().join("borrowed");
    std::fs::create_dir(&borrowed).unwrap();
    symlink(&elsewhere, borrowed.join("attention")).unwrap();
    let error = RunIndex::open(&[borrowed]).unwrap_err().to_string();
    assert!(error.contains("leads out of the run"), "{error}");
}
