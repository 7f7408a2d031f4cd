//! Figures of searches.

use hyper_search::{ActiveTrial, Outcome, SearchError, Study, StudyOptions};

use crate::common::Scatter;

fn searched() -> Study {
    let study = Study::in_memory(StudyOptions::minimize(Scatter).name("demo")).unwrap();
    let run = |trial: &mut ActiveTrial| -> Result<Outcome, SearchError> {
        let rate = trial.log_float("rate", 1e-6..=1e-2)?;
        let kind = trial.categorical("kind", &["cosine", "linear"])?;
        let cycles = if kind == "cosine" { trial.int("cycles", 1..=4)? } else { 0 };
        let value = (rate.log10() + 3.0).powi(2) + cycles as f64 / 4.0;
        trial.report(0, value)?;
        Ok(if trial.number() % 5 == 4 { Outcome::Pruned } else { Outcome::Complete(value) })
    };
    study.optimize(20, run).unwrap();
    study
}

#[test]
fn figures_show_what_a_search_has_found() {
    let study = searched();
    let figures = study
        .with_history(|history| {
            [
                history.history_figure("loss"),
                history.parallel_figure("loss"),
                history.slice_figure("loss"),
                history.importance_figure(&[("rate".into(), 0.75), ("kind".into(), 0.25)]),
            ]
        })
        .unwrap();
    let expected: [&[&str]; 4] = [
        &["demo: history", "best so far", "pruned, at the last step", "trials: 16 complete, 4 pruned", "loss"],
        &["demo: parameters and values", "loss", "rate", "kind", "cycles", "cosine"],
        &["demo: values by parameter", "rate", "kind", "cycles", "linear"],
        &["demo: importance of parameters", "importance", "rate", "0.75"],
    ];
    for (figure, texts) in figures.iter().zip(expected) {
        let svg = figure.svg();
        for text in texts {
            assert!(svg.contains(&format!(">{text}<")), "{text} in {svg}");
        }
    }
    let csv = figures[0].csv();
    let best: Vec<f64> = csv
        .lines()
        .filter(|line| line.contains(",line,best so far,"))
        .map(|line| line.split(',').nth(4).unwrap().parse().unwrap())
        .collect();
    assert_eq!(best.len(), 2 * 16);
    assert!(best.is_sorted_by(|earlier, later| later <= earlier));
}

#[test]
fn a_study_without_trials_has_figures() {
    let study = Study::in_memory(StudyOptions::maximize(Scatter)).unwrap();
    study
        .with_history(|history| {
            let figures = [
                history.history_figure("x"),
                history.parallel_figure("x"),
                history.slice_figure("x"),
                history.importance_figure(&[]),
            ];
            assert!(figures.iter().all(|figure| figure.svg().contains("no trials")));
        })
        .unwrap();
}
