//! Studies that are only looked at.

use hyper_search::{ActiveTrial, SearchError, Snapshot, Study, StudyOptions};

use crate::common::Scatter;

fn square(trial: &mut ActiveTrial) -> Result<f64, SearchError> {
    let x = trial.float("x", -10.0..=10.0)?;
    trial.report(0, x)?;
    Ok((x - 2.0).powi(2))
}

#[test]
fn a_snapshot_shows_what_the_study_knows_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let study = Study::create(folder.path(), StudyOptions::minimize(Scatter).name("watched")).unwrap();
    study.optimize(3, square).unwrap();
    let running = study.ask().unwrap();
    let journal = folder.path().join("journal.jsonl");
    let torn = [std::fs::read(&journal).unwrap(), b"{\"t\": 1".to_vec()].concat();
    std::fs::write(&journal, &torn).unwrap();
    let snapshot = Snapshot::read(folder.path()).unwrap();
    assert_eq!((snapshot.history().study, snapshot.history().trials.len()), ("watched", 4));
    assert_eq!(snapshot.history().best().map(|trial| trial.number), study.best().unwrap().map(|trial| trial.number));
    assert_eq!(std::fs::read(&journal).unwrap(), torn);
    drop(running);
}

#[test]
fn what_is_no_study_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = || Snapshot::read(folder.path()).unwrap_err().to_string();
    assert!(told().contains("journal.jsonl"), "{}", told());
    std::fs::write(folder.path().join("journal.jsonl"), "").unwrap();
    assert!(told().contains("the study has not begun"), "{}", told());
    std::fs::write(folder.path().join("journal.jsonl"), "{\"what\": 1}\n").unwrap();
    assert!(told().contains("not a record of a study") && told().contains('1'), "{}", told());
}
