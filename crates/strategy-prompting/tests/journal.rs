//! The run folder: resuming, torn lines, locks, and folders of other runs.

use std::fs;
use std::path::Path;

use llm_runtime::TextModel;
use strategy_prompting::{
    CONTINUATIONS, Error, ExistingRun, Journal, MANIFEST, RunManifest, SweepPlan, SweepSettings, TornLine, read_records,
};

use crate::fake_model::FakeModel;
use crate::run::{run, run_whole};
use crate::sample_data::{plan, settings};

fn manifest(plan: &SweepPlan) -> RunManifest {
    RunManifest::new(plan, &FakeModel::new().identity()).unwrap()
}

fn small() -> SweepPlan {
    plan(SweepSettings { limit: Some(1), ..settings() })
}

fn open(folder: &Path, plan: &SweepPlan, existing: ExistingRun) -> Result<Journal, Error> {
    Journal::open(folder, &manifest(plan), existing)
}

#[test]
fn a_folder_with_a_run_is_refused_unless_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), &small(), ExistingRun::Refuse).unwrap());
    let error = open(folder.path(), &small(), ExistingRun::Refuse).unwrap_err();
    assert!(matches!(error, Error::AlreadyStarted { .. }), "{error}");
    open(folder.path(), &small(), ExistingRun::Resume).unwrap();
}

#[test]
fn a_different_run_is_refused_with_the_differences() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), &small(), ExistingRun::Refuse).unwrap());
    let mut changed = settings();
    changed.limit = Some(1);
    changed.generation.temperature = 0.1;
    changed.seed = 9;
    let error = open(folder.path(), &plan(changed), ExistingRun::Resume).unwrap_err().to_string();
    for expected in [MANIFEST, "settings.seed: 7 in the folder, 9 now", "settings.generation.temperature: 0."] {
        assert!(error.contains(expected), "{error}");
    }
    let mut other = manifest(&small());
    other.model.dtype = "q8_0".into();
    let error = Journal::open(folder.path(), &other, ExistingRun::Resume).unwrap_err().to_string();
    assert!(error.contains("model.dtype: \"f32\" in the folder, \"q8_0\" now"), "{error}");
}

#[test]
fn a_model_that_moved_is_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), &small(), ExistingRun::Refuse).unwrap());
    let mut moved = manifest(&small());
    moved.model.name = "elsewhere".into();
    Journal::open(folder.path(), &moved, ExistingRun::Resume).unwrap();
}

#[test]
fn two_journals_can_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), &small(), ExistingRun::Refuse).unwrap();
    let error = open(folder.path(), &small(), ExistingRun::Resume).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(first);
    open(folder.path(), &small(), ExistingRun::Resume).unwrap();
}

#[test]
fn a_torn_last_line_is_cut_off_and_the_complete_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small();
    let whole = run_whole(&plan, folder.path());
    let path = folder.path().join(CONTINUATIONS);
    let text = fs::read(&path).unwrap();
    let last_line = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    // Every kind of tear: nothing of the last line, a byte of it, half a character, all but the line's end.
    for length in [last_line, last_line + 1, last_line + (text.len() - last_line) / 2, text.len() - 1] {
        fs::write(&path, &text[..length]).unwrap();
        let journal = open(folder.path(), &plan, ExistingRun::Resume).unwrap();
        assert_eq!(journal.len(), whole.len() - 1);
        drop(journal);
        assert_eq!(fs::read(&path).unwrap(), &text[..last_line]);
    }
}

#[test]
fn a_damaged_line_in_the_middle_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small();
    run_whole(&plan, folder.path());
    let path = folder.path().join(CONTINUATIONS);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{\"id\": 3";
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let error = open(folder.path(), &plan, ExistingRun::Resume).unwrap_err().to_string();
    assert!(error.contains("continuations.jsonl, line 3"), "{error}");
    let errors: Vec<String> =
        read_records(&path, TornLine::Refuse).unwrap().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("line 3"), "{}", errors[0]);
}

#[test]
fn records_without_a_manifest_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(CONTINUATIONS), "something else").unwrap();
    let error = open(folder.path(), &small(), ExistingRun::Resume).unwrap_err().to_string();
    assert!(error.contains("no run.json"), "{error}");
    assert_eq!(fs::read_to_string(folder.path().join(CONTINUATIONS)).unwrap(), "something else");
}

#[test]
fn a_broken_manifest_and_an_unwritable_folder_are_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(MANIFEST), "{}").unwrap();
    let error = open(folder.path(), &small(), ExistingRun::Resume).unwrap_err().to_string();
    assert!(error.contains("run.json: not the manifest of a run"), "{error}");
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = open(&file.join("inside"), &small(), ExistingRun::Refuse).unwrap_err().to_string();
    assert!(error.contains("file/inside"), "{error}");
    let blocked = folder.path().join("blocked");
    fs::create_dir_all(blocked.join(CONTINUATIONS)).unwrap();
    manifest(&small());
    fs::write(blocked.join(MANIFEST), serde_json::to_vec(&manifest(&small())).unwrap()).unwrap();
    let error = open(&blocked, &small(), ExistingRun::Resume).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn a_record_is_not_taken_twice() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small();
    run_whole(&plan, folder.path());
    let path = folder.path().join(CONTINUATIONS);
    let record = read_records(&path, TornLine::Refuse).unwrap().next().unwrap().unwrap();
    let mut journal = open(folder.path(), &plan, ExistingRun::Resume).unwrap();
    assert!(journal.contains(&record.id) && !journal.is_empty());
    assert!(matches!(journal.append(&record), Err(Error::Contract(_))));
    journal.finish().unwrap();
}

#[test]
fn a_torn_line_is_read_over_only_when_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small();
    let count = run_whole(&plan, folder.path()).len();
    let path = folder.path().join(CONTINUATIONS);
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 5]).unwrap();
    assert_eq!(read_records(&path, TornLine::Skip).unwrap().filter_map(Result::ok).count(), count - 1);
    let last = read_records(&path, TornLine::Refuse).unwrap().last().unwrap().unwrap_err().to_string();
    assert!(last.contains(&format!("line {count}")) && last.contains("does not end"), "{last}");
}

#[test]
fn the_manifest_holds_all_that_decides_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let plan = small();
    run(&plan, folder.path(), &mut FakeModel::new(), ExistingRun::Refuse).unwrap();
    let read = RunManifest::read(folder.path()).unwrap();
    assert_eq!(read, manifest(&plan));
    assert_eq!((read.items, read.strategies.len(), read.plan_sha256.len()), (30, 15, 64));
    assert_eq!(read.instruction.name, "t4");
}
