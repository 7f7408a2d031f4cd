//! A disk that fills up: the test runs itself again under a limit on file sizes, which makes writes fail half-way.

#![cfg(unix)]

use std::path::Path;
use std::process::Command;

use strategy_prompting::{CONTINUATIONS, Error, ExistingRun, TornLine, read_records};

use crate::fake_model::FakeModel;
use crate::run::{run, run_whole};
use crate::sample_data::{plan, settings};

const FOLDER: &str = "STRATEGY_PROMPTING_FULL_DISK_FOLDER";

/// The inner half: meaningful only in the process that the outer half starts.
#[test]
fn inner_run_on_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let error = run(&plan(settings()), Path::new(&folder), &mut FakeModel::new(), ExistingRun::Refuse).unwrap_err();
    let Error::Journal { kept, .. } = &error else { panic!("{error}") };
    assert!(*kept > 0 && error.to_string().contains("free the disk and resume"), "{error}");
}

#[test]
fn a_full_disk_loses_no_finished_record_and_the_run_resumes() {
    let (full, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // A write past the limit fails with an error instead of a signal if that signal is ignored.
    let status = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 200; exec \"$0\" full_disk::inner_run_on_a_full_disk --exact --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, full.path())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let path = full.path().join(CONTINUATIONS);
    let kept = read_records(&path, TornLine::Refuse).unwrap().map(Result::unwrap).count();
    assert!(kept > 0 && kept < plan(settings()).len());
    run(&plan(settings()), full.path(), &mut FakeModel::new(), ExistingRun::Resume).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>(),
        run_whole(&plan(settings()), whole.path())
    );
}
