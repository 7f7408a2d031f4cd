//! Runs with a fake model: kill and resume, failures, models that break their contract.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use llm_runtime::TextModel;
use proptest::prelude::*;
use strategy_prompting::{
    CONTINUATIONS, Error, ExistingRun, FAILURES, FailureRecord, Journal, OnFailure, Progress, RunManifest, RunSummary,
    SweepPlan, run_sweep,
};

use crate::fake_model::{FakeModel, Fault};
use crate::sample_data::{plan, settings};

/// Runs what the folder lacks.
pub(crate) fn run(
    plan: &SweepPlan,
    folder: &Path,
    model: &mut FakeModel,
    existing: ExistingRun,
) -> Result<RunSummary, Error> {
    let manifest = RunManifest::new(plan, &model.identity())?;
    let mut journal = Journal::open(folder, &manifest, existing)?;
    run_sweep(plan, model, &mut journal, OnFailure::Skip, None, &mut |_| ControlFlow::Continue(()))
}

/// Runs everything and gives the lines.
pub(crate) fn run_whole(plan: &SweepPlan, folder: &Path) -> BTreeSet<String> {
    let summary = run(plan, folder, &mut FakeModel::new(), ExistingRun::Refuse).unwrap();
    assert_eq!(summary.finished, plan.len());
    lines(folder)
}

fn lines(folder: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(folder.join(CONTINUATIONS)).unwrap();
    let lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), text.lines().count(), "a line occurs twice");
    lines
}

#[test]
fn a_run_finishes_every_item_and_tells_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    let mut model = FakeModel::new();
    let mut journal =
        Journal::open(folder.path(), &RunManifest::new(&plan, &model.identity()).unwrap(), ExistingRun::Refuse)
            .unwrap();
    let (mut finished, mut texts) = (0, 0);
    let summary = run_sweep(&plan, &mut model, &mut journal, OnFailure::Stop, None, &mut |progress| {
        match progress {
            Progress::Started { total, already_finished } => assert_eq!((total, already_finished), (270, 0)),
            Progress::Text { .. } => texts += 1,
            Progress::Finished { done, total, .. } => {
                finished += 1;
                assert_eq!((done, total), (finished, 270));
            }
            Progress::Failed { failure } => panic!("{failure:?}"),
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((texts, summary.finished, summary.statistics.requests), (270, 270, 270));
    assert_eq!(journal.len(), 270);
    assert!(!summary.stopped);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Each stage ends early in one of three ways (the observer stops, the model dies, the process is killed in the
    /// middle of a line); the last stage runs to the end.
    #[test]
    fn resumed_runs_give_the_bytes_of_an_uninterrupted_one(
        stages in prop::collection::vec((0_usize..3, 0_usize..90, 1_usize..7), 0..5),
    ) {
        let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let plan = plan(settings());
        let expected = run_whole(&plan, whole.path());
        for (kind, count, batch) in stages {
            let fault = if kind == 1 { Fault::DiesAfter(count) } else { Fault::None };
            let mut model = FakeModel { batch, ..FakeModel::with(fault) };
            let manifest = RunManifest::new(&plan, &model.identity()).unwrap();
            let mut journal = Journal::open(broken.path(), &manifest, ExistingRun::Resume).unwrap();
            let mut left = count + 1;
            let outcome = run_sweep(&plan, &mut model, &mut journal, OnFailure::Skip, None, &mut |progress| {
                left -= usize::from(matches!(progress, Progress::Finished { .. }));
                if kind != 1 && left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            prop_assert!(outcome.is_ok() || kind == 1);
            drop(journal);
            if kind == 2 {
                let path = broken.path().join(CONTINUATIONS);
                let text = fs::read(&path).unwrap();
                fs::write(&path, &text[..text.len().saturating_sub(count * 40)]).unwrap();
            }
        }
        run(&plan, broken.path(), &mut FakeModel::new(), ExistingRun::Resume).unwrap();
        prop_assert_eq!(lines(broken.path()), expected);
    }
}

#[test]
fn a_finished_run_asks_nothing_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    run_whole(&plan, folder.path());
    let mut model = FakeModel::with(Fault::DiesAfter(0));
    let summary = run(&plan, folder.path(), &mut model, ExistingRun::Resume).unwrap();
    assert_eq!((summary.already_finished, summary.finished), (270, 0));
}

#[test]
fn failures_are_noted_and_tried_again_when_the_run_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    let mut model = FakeModel::with(Fault::Refuses(HashSet::from([3, 200])));
    let summary = run(&plan, folder.path(), &mut model, ExistingRun::Refuse).unwrap();
    assert_eq!((summary.finished, summary.failed), (268, 2));
    let text = fs::read_to_string(folder.path().join(FAILURES)).unwrap();
    let failures: Vec<FailureRecord> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(failures[0].id, plan.item(3).unwrap().id().unwrap());
    assert!(failures[1].error.contains("900 tokens") && failures[1].layout == "standard");
    let summary = run(&plan, folder.path(), &mut FakeModel::new(), ExistingRun::Resume).unwrap();
    assert_eq!((summary.already_finished, summary.finished, summary.failed), (268, 2, 0));
    assert!(!folder.path().join(FAILURES).exists());
}

#[test]
fn a_failure_ends_the_run_if_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    let mut model = FakeModel { batch: 1, ..FakeModel::with(Fault::Refuses(HashSet::from([20]))) };
    let manifest = RunManifest::new(&plan, &model.identity()).unwrap();
    let mut journal = Journal::open(folder.path(), &manifest, ExistingRun::Refuse).unwrap();
    let go_on = &mut |_: Progress<'_>| ControlFlow::Continue(());
    let error = run_sweep(&plan, &mut model, &mut journal, OnFailure::Stop, None, go_on).unwrap_err().to_string();
    assert!(error.contains("anna-3") && error.contains("layout c1_hf"), "{error}");
    assert_eq!(journal.len(), 20);
    assert!(folder.path().join(FAILURES).exists());
}

#[test]
fn a_model_that_dies_loses_nothing_finished() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    let error = run(&plan, folder.path(), &mut FakeModel::with(Fault::DiesAfter(33)), ExistingRun::Refuse).unwrap_err();
    assert!(matches!(error, Error::Model(_)), "{error}");
    assert_eq!(lines(folder.path()).len(), 33);
}

#[test]
fn cancelled_requests_leave_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    let mut model = FakeModel::with(Fault::Cancels(HashSet::from([0, 1])));
    let summary = run(&plan, folder.path(), &mut model, ExistingRun::Refuse).unwrap();
    assert_eq!(summary.finished, 268);
}

#[test]
fn a_model_that_breaks_its_contract_is_found_out() {
    for (fault, expected) in [(Fault::AnswersTwice, "answered twice"), (Fault::ForgetsTheLast, "without an answer")] {
        let folder = tempfile::tempdir().unwrap();
        let plan = plan(settings());
        let error =
            run(&plan, folder.path(), &mut FakeModel::with(fault), ExistingRun::Refuse).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!lines(folder.path()).is_empty());
    }
}

#[test]
fn an_observer_that_breaks_at_the_start_stops_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(settings());
    let mut model = FakeModel::with(Fault::DiesAfter(0));
    let manifest = RunManifest::new(&plan, &model.identity()).unwrap();
    let mut journal = Journal::open(folder.path(), &manifest, ExistingRun::Refuse).unwrap();
    let stop = &mut |_: Progress<'_>| ControlFlow::Break(());
    let summary = run_sweep(&plan, &mut model, &mut journal, OnFailure::Skip, None, stop).unwrap();
    assert!(summary.stopped && summary.finished == 0);
}
