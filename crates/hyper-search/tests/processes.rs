//! Many processes on one study, some of them killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper_search::{ActiveTrial, SearchError, Study, StudyOptions, Trial, TrialState};

use crate::common::Scatter;

const TRIALS: u64 = 60;
const FOLDER: &str = "HYPER_SEARCH_TEST_FOLDER";
const THIS_TEST: &str = "processes::ten_processes_share_a_study_and_three_are_killed";

fn options() -> StudyOptions {
    StudyOptions::minimize(Scatter).name("shared").retry(3)
}

/// Writes down that it ran, in a file that is not the study's, and takes its time.
fn objective(folder: &Path, trial: &mut ActiveTrial) -> Result<f64, SearchError> {
    let mut runs = OpenOptions::new().create(true).append(true).open(folder.join("runs.txt")).unwrap();
    writeln!(runs, "{}", trial.number()).unwrap();
    let x = trial.float("x", -1.0..=1.0)?;
    for step in 0..5 {
        std::thread::sleep(Duration::from_millis(10));
        trial.report(step, x)?;
    }
    Ok(x * x)
}

fn work(folder: &Path) {
    let study = Study::open_or_create(folder.join("study"), options()).unwrap();
    study.optimize(TRIALS, |trial| objective(folder, trial)).unwrap();
}

fn start(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", THIS_TEST, "--nocapture"]).env(FOLDER, folder).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn finished(study: &Study) -> usize {
    study.trials().unwrap().iter().filter(|trial| trial.state.is_finished()).count()
}

#[test]
fn ten_processes_share_a_study_and_three_are_killed() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        // This is one of the processes.
        return work(Path::new(&folder));
    }
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path();
    let mut workers: Vec<Child> = (0..10).map(|_| start(folder)).collect();
    let study = Study::open_or_create(folder.join("study"), options()).unwrap();
    for (killed, after) in [(7, 5), (0, 15), (4, 30)] {
        while finished(&study) < after {
            std::thread::sleep(Duration::from_millis(5));
        }
        workers[killed].kill().unwrap();
    }
    let ended: Vec<bool> = workers.iter_mut().map(|worker| worker.wait().unwrap().success()).collect();
    let killed: BTreeSet<usize> = (0..10).filter(|worker| !ended[*worker]).collect();
    assert_eq!(killed, BTreeSet::from([0, 4, 7]));
    drop(study);

    // Whatever was running when the last process ended is gone on with.
    work(folder);
    let study = Study::open(folder.join("study"), options()).unwrap();
    let trials = study.trials().unwrap();
    check_none_is_lost(&trials);
    check_none_ran_twice(folder, &trials);
}

fn check_none_is_lost(trials: &[Trial]) {
    let lost: Vec<&Trial> = trials.iter().filter(|trial| trial.state == TrialState::Failed).collect();
    assert!((1..=3).contains(&lost.len()), "{} trials were lost by three processes", lost.len());
    assert_eq!(trials.len() as u64, TRIALS + lost.len() as u64);
    let complete: BTreeMap<u64, &Trial> = trials
        .iter()
        .filter(|trial| trial.state == TrialState::Complete)
        .map(|trial| (trial.first_attempt(), trial))
        .collect();
    assert_eq!(complete.len() as u64, TRIALS);
    for lost in lost {
        assert_eq!(lost.failure(), Some("its process ended"));
        let again = complete[&lost.first_attempt()];
        assert!(again.number > lost.number && again.retries() > lost.retries());
        assert!(lost.parameters.is_empty() || again.parameters == lost.parameters);
    }
    for trial in complete.values() {
        assert_eq!((trial.value, trial.reports.len()), (Some(trial.parameters[0].1.powi(2)), 5));
    }
}

fn check_none_ran_twice(folder: &Path, trials: &[Trial]) {
    let runs = std::fs::read_to_string(folder.join("runs.txt")).unwrap();
    let mut numbers: Vec<u64> = runs.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    let before = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), before, "a trial ran twice");
    let ran: BTreeSet<u64> = numbers.into_iter().collect();
    for trial in trials.iter().filter(|trial| trial.state == TrialState::Complete) {
        assert!(ran.contains(&trial.number));
    }
}
