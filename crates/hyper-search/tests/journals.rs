//! Journals that were torn, changed, or written by processes that are no more.

use std::fs;
use std::path::Path;
use std::time::Duration;

use hyper_search::{ActiveTrial, SearchError, Study, StudyOptions, Trial, TrialState};

use crate::common::Scatter;

fn options() -> StudyOptions {
    StudyOptions::minimize(Scatter).name("test")
}

fn objective(trial: &mut ActiveTrial) -> Result<f64, SearchError> {
    let x = trial.float("x", 0.0..=1.0)?;
    trial.report(0, x)?;
    Ok(x)
}

fn journal(folder: &Path) -> std::path::PathBuf {
    folder.join("journal.jsonl")
}

#[test]
fn a_line_torn_at_any_place_is_cut_off_and_the_study_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    Study::create(folder.path(), options()).unwrap().optimize(2, objective).unwrap();
    let whole = fs::read(journal(folder.path())).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for length in last..whole.len() {
        fs::write(journal(folder.path()), &whole[..length]).unwrap();
        let study = Study::open(folder.path(), options()).unwrap();
        let trials = study.trials().unwrap();
        assert_eq!((trials[0].state, trials[1].state), (TrialState::Complete, TrialState::Running), "{length}");
        let ended = study.ask().unwrap();
        assert_eq!(ended.number(), 2);
        ended.complete(0.5).unwrap();
        let bytes = fs::read(journal(folder.path())).unwrap();
        assert!(bytes.starts_with(&whole[..last]) && bytes.ends_with(b"\n"));
    }
}

#[test]
fn a_line_torn_under_an_open_study_is_cut_off_by_the_next_who_writes() {
    let folder = tempfile::tempdir().unwrap();
    let study = Study::create(folder.path(), options()).unwrap();
    study.optimize(1, objective).unwrap();
    let mut bytes = fs::read(journal(folder.path())).unwrap();
    bytes.extend(b"{\"t\":1.0,\"worker\":\"killed\",\"op\":\"tri");
    fs::write(journal(folder.path()), &bytes).unwrap();
    assert_eq!(study.trials().unwrap().len(), 1);
    study.optimize(2, objective).unwrap();
    assert_eq!(study.trials().unwrap().len(), 2);
    assert_eq!(Study::open(folder.path(), options()).unwrap().trials().unwrap().len(), 2);
}

#[test]
fn lines_that_are_no_records_are_named() {
    for (line, problem) in [
        ("{\"t\":1.0}\n", "line 3: not a record of a study"),
        ("not json\n", "line 3: not a record"),
        ("\u{0}\n", "line 3: not a record"),
        ("{\"t\":1.0,\"worker\":\"w\",\"op\":\"dance\"}\n", "unknown variant `dance`"),
        (
            "{\"t\":1.0,\"worker\":\"w\",\"op\":\"study\",\"version\":9,\"name\":\"n\",\"direction\":\"minimize\"}\n",
            "line 3: the journal is of version 9; this program reads version 1",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        drop(Study::create(folder.path(), options()).unwrap());
        let mut bytes = fs::read(journal(folder.path())).unwrap();
        bytes.extend(line.as_bytes());
        fs::write(journal(folder.path()), &bytes).unwrap();
        let told = Study::open(folder.path(), options()).err().unwrap().to_string();
        assert!(told.contains(problem) && told.contains("journal.jsonl"), "{told}");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(journal(folder.path()), "{\"t\":1.0,\"worker\":\"w\",\"op\":\"alive\"}\n").unwrap();
    let told = Study::open(folder.path(), options()).err().unwrap().to_string();
    assert!(told.contains("line 1: a journal begins with its study"), "{told}");
}

#[test]
fn records_about_what_is_not_there_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    Study::create(folder.path(), options()).unwrap().optimize(1, objective).unwrap();
    let before = Study::open(folder.path(), options()).unwrap().trials().unwrap();
    let mut bytes = fs::read(journal(folder.path())).unwrap();
    for record in [
        r#""op":"claim","trial":7"#,
        r#""op":"claim","trial":0"#,
        r#""op":"report","trial":0,"step":5,"value":1.0"#,
        r#""op":"end","trial":18446744073709551615,"state":"complete","value":1.0"#,
        r#""op":"release","trial":0"#,
        r#""op":"expire","trial":0,"seen":9e99,"retry":true,"reason":"late""#,
        r#""op":"study","version":1,"name":"second","direction":"maximize""#,
    ] {
        bytes.extend(format!("{{\"t\":1.0,\"worker\":\"w\",{record}}}\n").as_bytes());
    }
    fs::write(journal(folder.path()), &bytes).unwrap();
    let study = Study::open(folder.path(), options()).unwrap();
    assert_eq!(study.trials().unwrap(), before);
    assert_eq!(study.name(), "test");
}

/// Leaves a running trial of a process of another machine that was heard of some seconds ago.
fn leave_running(folder: &Path, seconds_ago: f64) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let distribution = r#"{"name":"FloatDistribution","attributes":{"step":null,"low":0.0,"high":1.0,"log":false}}"#;
    let mut bytes = fs::read(journal(folder)).unwrap();
    for record in [
        r#""op":"worker","machine":"elsewhere""#,
        r#""op":"trial","waits":false"#,
        &format!(r#""op":"parameter","trial":0,"name":"x","value":0.125,"distribution":{distribution}"#),
        r#""op":"attribute","trial":0,"name":"note","value":"kept""#,
    ] {
        bytes.extend(format!("{{\"t\":{},\"worker\":\"far\",{record}}}\n", now - seconds_ago).as_bytes());
    }
    fs::write(journal(folder), &bytes).unwrap();
}

#[test]
fn a_silent_process_has_failed_and_its_parameters_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(Study::create(folder.path(), options()).unwrap());
    leave_running(folder.path(), 100.0);
    let patient = Study::open(folder.path(), options()).unwrap();
    let other = patient.ask().unwrap();
    assert_eq!(other.number(), 1);
    other.complete(1.0).unwrap();
    let study = Study::open(folder.path(), options().heartbeat(Duration::from_secs(30)).retry(1)).unwrap();
    let mut again = study.ask().unwrap();
    let state = again.state();
    assert_eq!((state.number, state.first_attempt(), state.retries()), (2, 0, 1));
    assert_eq!(state.attributes["note"], "kept");
    assert_eq!(again.float("x", 0.0..=1.0).unwrap(), 0.125);
    again.complete(0.125).unwrap();
    let lost = study.trials().unwrap().remove(0);
    assert_eq!(lost.state, TrialState::Failed);
    assert_eq!(lost.failure(), Some("its process was silent for 100 seconds"));
    // The lost one and its second try count once.
    study.optimize(2, objective).unwrap();
    assert_eq!(study.trials().unwrap().len(), 3);
}

/// Times are told and never counted on: a clock that was set back or forward, here or elsewhere, spoils no study.
#[test]
fn clocks_that_were_set_wrong_change_no_trial() {
    const TRIALS: u64 = 4;
    let right = tempfile::tempdir().unwrap();
    Study::create(right.path(), options()).unwrap().optimize(TRIALS, objective).unwrap();
    let facts = |folder: &Path| {
        let study = Study::open(folder, options()).unwrap();
        let facts = |trial: Trial| (trial.number, trial.state, trial.external_parameters(), trial.value, trial.reports);
        study.trials().unwrap().into_iter().map(facts).collect::<Vec<_>>()
    };
    let lines: Vec<serde_json::Value> = fs::read_to_string(journal(right.path()))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Before 1970, far behind, standing still, far ahead, back and forth.
    let clocks: [fn(usize) -> f64; 5] =
        [|_| -1e9, |_| 0.0, |_| 1e9, |number| 1e10 + number as f64, |number| if number % 2 == 0 { 4e9 } else { 1e3 }];
    for clock in clocks {
        let wrong = tempfile::tempdir().unwrap();
        let half = lines.len() / 2;
        let line = |(number, line): (usize, &serde_json::Value)| {
            let mut line = line.clone();
            line["t"] = clock(number).into();
            format!("{line}\n")
        };
        fs::create_dir_all(wrong.path()).unwrap();
        fs::write(journal(wrong.path()), lines[..half].iter().enumerate().map(line).collect::<String>()).unwrap();
        // The rest by a clock that goes right again.
        Study::open(wrong.path(), options().heartbeat(Duration::from_secs(1_000_000_000))).unwrap();
        fs::write(journal(wrong.path()), lines.iter().enumerate().map(line).collect::<String>()).unwrap();
        assert_eq!(facts(wrong.path()), facts(right.path()));
        let study = Study::open(wrong.path(), options()).unwrap();
        study.optimize(TRIALS + 1, objective).unwrap();
        assert_eq!(study.trials().unwrap().len() as u64, TRIALS + 1);
        study.export_optuna(wrong.path().join("optuna.jsonl")).unwrap();
    }
}

/// A process elsewhere whose clock is ahead is waited for longer, and one that is behind is given up earlier; what it then says comes too late and is no
/// second result.
#[test]
fn a_process_whose_clock_is_wrong_spoils_no_trial() {
    let folder = tempfile::tempdir().unwrap();
    drop(Study::create(folder.path(), options()).unwrap());
    leave_running(folder.path(), -1e8);
    let study = Study::open(folder.path(), options()).unwrap();
    study.optimize(2, objective).unwrap();
    let trials = study.trials().unwrap();
    assert_eq!(trials.iter().map(|trial| trial.state).collect::<Vec<_>>(), [TrialState::Running, TrialState::Complete]);
}

#[test]
fn without_retries_a_lost_trial_only_fails() {
    let folder = tempfile::tempdir().unwrap();
    drop(Study::create(folder.path(), options()).unwrap());
    leave_running(folder.path(), 1e6);
    let study = Study::open(folder.path(), options()).unwrap();
    study.optimize(1, objective).unwrap();
    let states: Vec<_> = study.trials().unwrap().iter().map(|trial| trial.state).collect();
    assert_eq!(states, [TrialState::Failed]);
}

#[test]
fn signs_of_life_keep_a_long_trial_and_who_was_given_up_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let alive = Study::create(folder.path(), options().heartbeat(Duration::from_millis(100))).unwrap();
    let mut trial = alive.ask().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    let other = Study::open(folder.path(), options().heartbeat(Duration::from_millis(200))).unwrap();
    other.ask().unwrap().complete(1.0).unwrap();
    trial.report(0, 1.0).unwrap();
    let hasty = Study::open(folder.path(), options().heartbeat(Duration::from_nanos(1))).unwrap();
    hasty.ask().unwrap().complete(1.0).unwrap();
    let told = trial.report(1, 1.0).unwrap_err();
    assert!(matches!(told, SearchError::Lost { trial: 0 }), "{told}");
    assert!(matches!(trial.complete(1.0), Err(SearchError::Lost { trial: 0 })));
    assert_eq!(other.trials().unwrap()[0].state, TrialState::Failed);
}
